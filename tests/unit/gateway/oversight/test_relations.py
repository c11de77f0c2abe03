"""What an entry concerns: everything above it, and what lies in it only where the entry is its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.bootstrap import everything
from gateway.db import Database
from gateway.oversight.indexing import Vocabulary
from gateway.oversight.relations import related
from storage.fields import SearchKey

ROWS = {
    "organisation": {"id": "o"},
    "contact": {"id": "p", "organisation_id": "o"},
    "client": {"id": "k"},
    "case_file": {"id": "c", "client_id": "k"},
    "share": {"id": "s", "client_id": "k"},
}
ITEMS = [{"id": "i", "case_id": "c", "number": "1"}, {"id": "j", "case_id": "c", "number": "2"}]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'rows.db'}", b"m" * 32)
    everything().create_all(made.engine)
    with made.engine.begin() as connection:
        connection.execute(text("PRAGMA foreign_keys=OFF"))
        for table, row in ROWS.items():
            _put(connection, table, row)
        for item in ITEMS:
            _put(connection, "item", item)
            _put(connection, "share_item", {"id": f"s{item['id']}", "share_id": "s", "item_id": item["id"]})
        _put(connection, "share_contact", {"id": "sp", "share_id": "s", "contact_id": "p"})
        _put(connection, "bundle", {"id": "b", "share_id": "s", "contact_id": "p"})
        _put(
            connection,
            "copy",
            {"id": "y", "bundle_id": "b", "share_id": "s", "contact_id": "p", "item_id": "i"},
        )
    yield made
    made.close()


def _put(connection: object, table: str, row: dict[str, str]) -> None:
    columns = everything().tables[table].columns
    values = {c.name: row.get(c.name, _any(c.type)) for c in columns if c.name in row or not c.nullable}
    names = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join(f":{name}" for name in values)
    connection.execute(text(f'INSERT INTO "{table}" ({names}) VALUES ({marks})'), values)  # type: ignore[attr-defined]


def _any(kind: object) -> object:
    name = type(kind).__name__
    return {
        "Integer": 1,
        "BigInteger": 1,
        "Boolean": False,
        "UTCDateTime": "2026-11-23 00:00:00.000000",
        "JSON": "[]",
    }.get(name, "x")


CASES = {
    ("bundle", "b"): {"share s", "contact p", "copy y", "item i", "case c", "client k", "organisation o"},
    ("copy", "y"): {"bundle b", "share s", "contact p", "item i", "case c", "client k", "organisation o"},
    ("share", "s"): {"client k", "item i", "item j", "contact p", "case c", "organisation o"},
    ("item", "j"): {"case c", "client k"},
    ("case", "c"): {"client k"},
    ("contact", "p"): {"organisation o"},
    ("client", "k"): set(),
    ("bundle", "nowhere"): set(),
    ("log", "page"): set(),
}


@pytest.mark.parametrize(("own", "others"), CASES.items())
def test_what_an_entry_concerns(database: Database, own: tuple[str, str], others: set[str]) -> None:
    with database.read() as session:
        found = related(session, [own])[own]
    assert {" ".join(pair) for pair in found - {own}} == others
    assert own in found


def test_many_at_once_are_told_apart(database: Database) -> None:
    with database.read() as session:
        found = related(session, CASES)
    assert {own: {" ".join(p) for p in reached - {own}} for own, reached in found.items()} == CASES


def test_terms_depend_on_the_key_and_never_run_into_one_another() -> None:
    one, other = Vocabulary(SearchKey(b"a" * 32)), Vocabulary(SearchKey(b"b" * 32))
    made = [
        one.event("x"), one.process("x"), one.kind("x"), one.about(("x", "y")), one.about(("xy", "")), one.person("x"),
        one.value("x"), one.fetched("x"), one.fetched("x", "y"), one.code("x"), one.refusals(), other.person("x"),
    ]  # fmt: skip
    assert len(set(made)) == len(made)
    assert {len(term) for term in made} == {16}
    assert one.value("Ａbc ") == one.value("abc")
