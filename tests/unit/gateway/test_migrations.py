"""The revisions: from an empty database to exactly the rows that the rooms describe, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from gateway import bootstrap
from tests.factories import settings_at
from tests.services.postgres import running_postgres


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    with running_postgres() as server:
        yield server.database()


def migrated(url: str, tmp_path: Path) -> str:
    """The database at the newest revision; returns its URL as SQLAlchemy takes it."""
    settings = settings_at(tmp_path / "home", database_url=url)
    bootstrap.upgrade(settings)
    return settings.database


def differences(url: str, tmp_path: Path) -> list[Any]:
    """What the models describe and the database lacks, or the other way round."""
    engine = create_engine(migrated(url, tmp_path))
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            return list(compare_metadata(context, bootstrap.everything()))
    finally:
        engine.dispose()


def test_the_revisions_lead_to_the_models(url: str, tmp_path: Path) -> None:
    assert differences(url, tmp_path) == []


def test_a_second_upgrade_changes_nothing_and_keeps_rows(url: str, tmp_path: Path) -> None:
    engine = create_engine(migrated(url, tmp_path))
    try:
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO number_sequence (series, last) VALUES ('GX-2026', 7)"))
        before = sorted(inspect(engine).get_table_names())
        migrated(url, tmp_path)
        assert sorted(inspect(engine).get_table_names()) == before
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT last FROM number_sequence")) == 7
    finally:
        engine.dispose()


def test_a_missing_column_would_be_seen(tmp_path: Path) -> None:
    """The comparison itself bites: without one column the two differ."""
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    engine = create_engine(migrated(url, tmp_path))
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE share DROP COLUMN purpose_note"))
    engine.dispose()
    assert any("purpose_note" in str(found) for found in differences(url, tmp_path))


def test_there_is_one_line_of_revisions() -> None:
    config = Config()
    config.set_main_option("script_location", str(bootstrap.migrations()))
    assert len(ScriptDirectory.from_config(config).get_heads()) == 1
