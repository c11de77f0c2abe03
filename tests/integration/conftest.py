"""Scenes on both installations: SQLite with a local store, PostgreSQL with MinIO."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.conftest import minio, postgres, production
from tests.worlds import Scene, scene, shared, template, template_scene, world

__all__ = ["minio", "postgres", "production", "scene", "template", "template_scene", "world"]


@pytest.fixture(params=["embedded", pytest.param("production", marks=pytest.mark.services)])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """An active share and a ready bundle, on each installation in turn."""
    if request.param == "embedded":
        yield request.getfixturevalue("scene")
        return
    made = shared(request.getfixturevalue("production"))
    made.bundle = made.prepare()
    yield made
