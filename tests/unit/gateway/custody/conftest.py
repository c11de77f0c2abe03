"""A database of its own for what custody remembers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import bootstrap
from gateway.db import Database
from gateway.deps import Deps
from tests.factories import Clock, settings_at


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'custody.db'}", bytes(32))
    bootstrap.everything().create_all(made.engine)
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def portal(tmp_path: Path, clock: Clock) -> Iterator[Deps]:
    """An embedded installation without anybody in it."""
    settings = settings_at(tmp_path / "home")
    bootstrap.make_keys(settings)
    deps = bootstrap.build(settings, clock=clock)
    bootstrap.everything().create_all(deps.database.engine)
    yield deps
    deps.keyring.close()
    deps.database.close()
