"""Pages of a log of ten million entries cost what those of ten thousand do, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import event

from gateway.audit import search as searching
from gateway.audit.search import Search, search
from gateway.db import Database
from tests.bench.bench_reading import costs, filled, searches
from tests.services.postgres import running_postgres

# A tree of a thousand times the entries is about a level and a half deeper; what grew with the log would be far beyond.
MORE = 2.5
PAGES_A_LOOKUP = 8


class Watched:
    """The statements of searches on one database, with the work each takes as the database itself counts it."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def search(self, wanted: Search, before: int | None) -> list[tuple[str, Any]]:
        """Searches once; returns the statements it sent."""
        said: list[tuple[str, Any]] = []

        def note(
            connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
        ) -> None:
            if statement.lstrip().startswith("SELECT"):
                said.append((statement, parameters))

        event.listen(self.database.engine, "before_cursor_execute", note)
        try:
            with self.database.read() as session:
                search(session, wanted, before)
        finally:
            event.remove(self.database.engine, "before_cursor_execute", note)
        assert said
        return said

    def work(self, said: list[tuple[str, Any]]) -> int:
        """Virtual machine steps on SQLite, in hundreds; pages read on PostgreSQL."""
        with self.database.engine.connect() as connection:
            if not self.database.is_sqlite:
                plans = [
                    connection.exec_driver_sql("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + s, p).scalar()
                    for s, p in said
                ]
                return sum(_pages(plan[0]["Plan"]) for plan in plans)
            steps = [0]

            def step() -> int:
                steps[0] += 1
                return 0

            raw = connection.connection.dbapi_connection
            raw.set_progress_handler(step, 100)
            for statement, parameters in said:
                connection.exec_driver_sql(statement, parameters).fetchall()
            raw.set_progress_handler(None, 0)
            return steps[0]


def _pages(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def _whole_table(database: Database, statement: str, parameters: Any) -> bool:
    with database.engine.connect() as connection:
        if database.is_sqlite:
            plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters)
            return any(row[3].startswith("SCAN audit_") for row in plan)
        plan = connection.exec_driver_sql("EXPLAIN (FORMAT JSON) " + statement, parameters)
        found = plan.scalar()
        return _seq_scan(found if isinstance(found, list) else json.loads(str(found)))


# These stay small whatever the log does: one row an hour, one a checkpoint, one for the state.
_SMALL_TABLES = {"audit_hour", "audit_checkpoint", "audit_indexed"}


def _seq_scan(node: Any) -> bool:
    if isinstance(node, list):
        return any(_seq_scan(part) for part in node)
    if not isinstance(node, dict):
        return False
    whole = node.get("Node Type") == "Seq Scan" and node.get("Relation Name") not in _SMALL_TABLES
    return whole or any(_seq_scan(part) for part in node.values())


@pytest.mark.services
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_page_reads_by_index_and_takes_the_same_work(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A smaller window, so that the short log fills it as well.
    monkeypatch.setattr(searching, "WINDOW", 200)
    _flat(engine, 4_000, 40_000)


@pytest.mark.soak
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_page_of_ten_million_entries_takes_the_same_work(engine: str) -> None:
    _flat(engine, 50_000, 10_000_000)


def _flat(engine: str, few: int, many: int) -> None:
    if engine == "sqlite":
        _compare(None, None, few, many)
        return
    with running_postgres() as server:
        _compare(server.database(), server.database(), few, many)


def _compare(one: str | None, other: str | None, few: int, many: int) -> None:
    small, large = _works(one, few, plans=False), _works(other, many, plans=True)
    print({name: (small[name], large[name]) for name in small})
    # The same kind of page may show fewer entries of a short log; the fullest page of the short one is the measure. A short table
    # is read whole by PostgreSQL, so there the measure is what a look-up through the trees can cost, however long the log is.
    most = (
        MORE * max(small.values()) if one is None else PAGES_A_LOOKUP * (searching.WINDOW + searching.CHUNK)
    )
    assert {name: work for name, work in large.items() if work > most} == {}


def _works(url: str | None, size: int, *, plans: bool) -> dict[str, int]:
    with filled(size, url) as database:
        watched, found = Watched(database), {}
        for name, (wanted, before) in searches(size).items():
            said = watched.search(wanted, before)
            if plans:
                assert [s for s, p in said if _whole_table(database, s, p)] == [], name
            found[name] = watched.work(said)
        if plans:
            print({name: f"{1000 * seconds:.1f} ms" for name, seconds in costs(database, size).items()})
        return found
