"""Portals to drive over HTTP: the embedded installation for every test, the production one where a test asks for both."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories import World, build_world, copy_world
from tests.services.minio import Minio, running_minio
from tests.services.postgres import Postgres, running_postgres


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One loaded company per worker, copied for each test."""
    return build_world(tmp_path_factory.mktemp("template") / "home")


@pytest.fixture
def world(template: World, tmp_path: Path) -> Iterator[World]:
    """A portal on SQLite and a local store, with the demo company, for this test alone."""
    made = copy_world(template, tmp_path / "home")
    yield made
    made.deps.database.close()


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    """A real MinIO, one per worker."""
    with running_minio(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL, one per worker."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def production(minio: Minio, postgres: Postgres, tmp_path: Path) -> Iterator[World]:
    """A portal on PostgreSQL and MinIO, with the demo company, for this test alone."""
    from gateway import bootstrap
    from tests.factories import settings_at

    for name, value in (("access", minio.access_key), ("secret", minio.secret_key)):
        path = tmp_path / name
        path.touch(mode=0o600)
        path.write_text(value)
    url, own = postgres.database(), secrets.token_hex(6)
    more = {
        # Buckets of its own: what other tests left in a server that keeps everything is not this portal's.
        **{f"s3_bucket_{kind}": f"{kind}-{own}" for kind in ("objects", "bundles", "evidence", "audit")},
        "database_url": url, "storage": "s3", "s3_endpoint": minio.endpoint,
        "s3_access_key_file": tmp_path / "access", "s3_secret_key_file": tmp_path / "secret",
    }  # fmt: skip
    assert bootstrap.prepare_storage(settings_at(tmp_path / "home", **more)) == []
    made = build_world(tmp_path / "home", **more)
    yield made
    made.deps.database.close()
    postgres.drop(url)


@pytest.fixture(params=["embedded", pytest.param("production", marks=pytest.mark.services)])
def portal(request: pytest.FixtureRequest) -> World:
    """Both installations in turn."""
    found: World = request.getfixturevalue("world" if request.param == "embedded" else "production")
    return found
