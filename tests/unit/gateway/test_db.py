"""Rows that grant power carry a seal; transactions nest; times are UTC. On SQLite and on PostgreSQL alike."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import String, select, text
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db import Base, Database, Guarded, after_commit, locked, new_id, seal
from gateway.errors import TamperedRow, UnrecordedChange
from tests.services.postgres import Postgres, running_postgres

NOW = datetime(2026, 11, 23, 8, 0, 0, 123456, tzinfo=UTC)
KEY = b"m" * 32


class Power(Guarded, Base):
    """A guarded row of this test."""

    __tablename__ = "test_power"
    __guarded__ = ("holder", "level", "until", "day", "code")
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    holder: Mapped[str]
    level: Mapped[int] = mapped_column(default=1)
    until: Mapped[datetime | None]
    day: Mapped[date | None]
    code: Mapped[bytes | None]
    note: Mapped[str | None]


POWER = Power.__table__
# The class is known to this module; the table must not stand in what migrations and other tests see.
Base.metadata.remove(POWER)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """A real PostgreSQL."""
    with running_postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of either kind with one table."""
    server = request.getfixturevalue("server") if request.param == "postgres" else None
    url = (
        f"sqlite:///{tmp_path / 'a.db'}"
        if server is None
        else server.database().replace("://", "+psycopg://", 1)
    )
    made = Database(url, KEY)
    POWER.create(made.engine)  # type: ignore[attr-defined]
    yield made
    made.close()
    if server is not None:
        server.drop(url.replace("+psycopg", "", 1))


def keep(database: Database, holder: str = "a", leaf: str | None = None, level: int = 1) -> str:
    """A stored row; its id."""
    with database.write() as session:
        row = Power(
            id=new_id(),
            holder=holder,
            level=level,
            until=NOW,
            day=NOW.date(),
            code=b"\0\1",
            leaf=leaf or new_id(),
        )
        session.add(row)
        return row.id


def find(database: Database, key: str) -> Power | None:
    """The row as it is loaded."""
    with database.read() as session:
        return session.get(Power, key)


def raw(database: Database, statement: str, **values: object) -> None:
    """SQL past the product."""
    with database.engine.begin() as connection:
        connection.execute(text(statement), values)


def test_a_stored_row_is_loaded_as_it_was(database: Database) -> None:
    row = find(database, keep(database))
    assert row is not None
    assert (row.holder, row.level, row.until, row.day, row.code) == ("a", 1, NOW, NOW.date(), b"\0\1")
    assert len(row.mac) == 64


@pytest.mark.parametrize(
    "change",
    [
        "holder = 'b'",
        "level = 9",
        "level = 2",
        "until = NULL",
        "day = NULL",
        "code = NULL",
        "leaf = '00000000000000000000000000000000'",
        "mac = '0000000000000000000000000000000000000000000000000000000000000000'",
        "mac = ''",
        "id = 'ffffffffffffffffffffffffffffffff'",
    ],
)
def test_any_change_past_the_product_is_noticed(database: Database, change: str) -> None:
    key = keep(database)
    raw(database, f"UPDATE test_power SET {change} WHERE id = :id", id=key)
    with database.read() as session, pytest.raises(TamperedRow):
        session.scalars(select(Power)).all()


def test_an_unguarded_column_may_change(database: Database) -> None:
    key = keep(database)
    raw(database, "UPDATE test_power SET note = 'x' WHERE id = :id", id=key)
    found = find(database, key)
    assert found is not None
    assert found.note == "x"


def test_a_row_put_in_past_the_product_is_noticed(database: Database) -> None:
    raw(
        database,
        "INSERT INTO test_power (id, holder, level, leaf, mac) VALUES (:id, 'b', 9, :id, :mac)",
        id="e" * 32,
        mac="0" * 64,
    )
    with pytest.raises(TamperedRow):
        find(database, "e" * 32)


def test_a_copied_row_is_noticed(database: Database) -> None:
    key = keep(database, "strong", level=9)
    raw(
        database,
        "INSERT INTO test_power (id, holder, level, until, day, code, leaf, mac) "
        "SELECT :new, holder, level, until, day, code, leaf, mac FROM test_power WHERE id = :id",
        new="e" * 32,
        id=key,
    )
    with pytest.raises(TamperedRow):
        find(database, "e" * 32)
    assert find(database, key) is not None


def test_swapped_rows_are_noticed(database: Database) -> None:
    one, two = keep(database, "a", level=1), keep(database, "b", level=9)
    for old, new in ((one, "x" * 32), (two, one), ("x" * 32, two)):
        raw(database, "UPDATE test_power SET id = :new WHERE id = :old", old=old, new=new)
    for key in (one, two):
        with pytest.raises(TamperedRow):
            find(database, key)


def test_an_older_state_of_the_row_cannot_carry_a_newer_leaf(database: Database) -> None:
    key = keep(database)
    before = find(database, key)
    with database.write() as session:
        row = session.get_one(Power, key)
        row.level, row.leaf = 5, new_id()
    assert before is not None
    raw(database, "UPDATE test_power SET level = 1, mac = :mac WHERE id = :id", mac=before.mac, id=key)
    with pytest.raises(TamperedRow):
        find(database, key)


def test_another_key_accepts_nothing(database: Database) -> None:
    key = keep(database)
    other = Database(database.engine.url.render_as_string(hide_password=False), b"n" * 32)
    with pytest.raises(TamperedRow):
        find(other, key)
    other.close()


def test_a_refreshed_row_is_checked_again(database: Database) -> None:
    key = keep(database)
    with database.read() as session:
        row = session.get_one(Power, key)
        session.rollback()
        raw(database, "UPDATE test_power SET level = 9 WHERE id = :id", id=key)
        with pytest.raises(TamperedRow):
            session.refresh(row)


def test_a_locked_row_is_read_anew_and_checked(database: Database) -> None:
    key = keep(database)
    raw(database, "UPDATE test_power SET level = 9 WHERE id = :id", id=key)
    with pytest.raises(TamperedRow), database.write() as session:
        locked(session, Power, key)
    with database.write() as session:
        assert locked(session, Power, "0" * 32) is None


def test_a_change_without_a_new_leaf_is_refused(database: Database) -> None:
    key = keep(database)
    with pytest.raises(UnrecordedChange), database.write() as session:
        session.get_one(Power, key).level = 2
    found = find(database, key)
    assert found is not None
    assert found.level == 1


def test_a_new_row_without_a_leaf_is_refused(database: Database) -> None:
    with pytest.raises(UnrecordedChange), database.write() as session:
        session.add(Power(holder="a"))
    with database.read() as session:
        assert not session.scalars(select(Power)).all()


def test_a_recorded_change_is_sealed_anew(database: Database) -> None:
    key = keep(database)
    with database.write() as session:
        row = session.get_one(Power, key)
        row.level, row.leaf = 2, "1" * 32
    found = find(database, key)
    assert found is not None
    assert (found.level, found.leaf) == (2, "1" * 32)
    assert found.mac == seal(found, KEY)


def test_an_unguarded_change_needs_no_leaf(database: Database) -> None:
    key = keep(database)
    with database.write() as session:
        session.get_one(Power, key).note = "x"
    found = find(database, key)
    assert found is not None
    assert found.note == "x"


def test_defaults_are_sealed(database: Database) -> None:
    with database.write() as session:
        session.add(Power(holder="a", leaf="1" * 32))
    with database.read() as session:
        row = session.scalars(select(Power)).one()
        assert row.level == 1
        assert len(row.id) == 32


def nest(database: Database) -> None:
    """Writes in an inner block, reads it in the outer one, and fails at the end."""
    with database.write() as outer:
        assert database.writing
        with database.write() as inner:
            assert inner is outer
            inner.add(Power(id="a" * 32, holder="a", leaf="1" * 32))
        with database.read() as reading:
            assert reading is outer
            assert reading.get(Power, "a" * 32) is not None
        raise RuntimeError


def test_an_inner_block_joins_the_outer_transaction(database: Database) -> None:
    with pytest.raises(RuntimeError):
        nest(database)
    assert not database.writing
    assert find(database, "a" * 32) is None


def test_calls_wait_for_the_outermost_commit(database: Database) -> None:
    called: list[str] = []
    with database.write() as outer:
        with database.write() as inner:
            after_commit(inner, lambda: called.append("inner"))
        assert called == []
        after_commit(outer, lambda: called.append(f"writing={database.writing}"))
    assert called == ["inner", "writing=False"]


def fail_after(database: Database, called: list[str]) -> None:
    """Asks for a call after the commit, and fails before it."""
    with database.write() as session:
        after_commit(session, lambda: called.append("x"))
        raise RuntimeError


def test_calls_of_a_failed_transaction_are_forgotten(database: Database) -> None:
    called: list[str] = []
    with pytest.raises(RuntimeError):
        fail_after(database, called)
    with database.write():
        pass
    assert called == []


def test_hooks_reach_every_session(database: Database) -> None:
    database.hooks["mail"] = "x"
    with database.write() as session:
        assert session.info["mail"] == "x"
    with database.read() as session:
        assert session.info["mail"] == "x"


def test_what_a_reader_changes_is_thrown_away(database: Database) -> None:
    key = keep(database)
    with database.read() as session:
        row = session.get_one(Power, key)
        row.level = 9
    # The value read stays usable after the block.
    assert row.holder == "a"
    found = find(database, key)
    assert found is not None
    assert found.level == 1


def test_two_writers_take_turns(database: Database) -> None:
    key = keep(database, level=0)
    rounds, failures = 20, []

    def add() -> None:
        try:
            for _ in range(rounds):
                with database.write() as session:
                    row = locked(session, Power, key)
                    assert row is not None
                    row.level, row.leaf = row.level + 1, new_id()
        except Exception as error:  # noqa: BLE001 - shown by the assertion below.
            failures.append(error)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    found = find(database, key)
    assert found is not None
    assert found.level == 4 * rounds


def test_times_come_back_aware_and_in_utc(database: Database) -> None:
    shanghai = NOW.astimezone(timezone(timedelta(hours=8)))
    with database.write() as session:
        session.add(Power(id="a" * 32, holder="a", until=shanghai, leaf="1" * 32))
    found = find(database, "a" * 32)
    assert found is not None
    assert found.until == NOW
    assert found.until.tzinfo is UTC


def test_naive_times_are_refused(database: Database) -> None:
    with database.read() as session, pytest.raises(StatementError, match="naive"):
        session.scalars(select(Power).where(Power.until == datetime(2026, 1, 1))).all()  # noqa: DTZ001 - what is refused.


def test_ids_are_random_and_long() -> None:
    made = {new_id() for _ in range(1000)}
    assert len(made) == 1000
    assert {len(i) for i in made} == {32}


def test_sqlite_is_kept_durable_and_erases_what_it_deletes(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a.db'}", KEY)
    pragmas = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
    with database.engine.connect() as connection:
        found = [connection.exec_driver_sql(f"PRAGMA {p}").scalar() for p in pragmas]
    assert found == ["wal", 2, 1, 1]
    assert database.is_sqlite
    database.close()
