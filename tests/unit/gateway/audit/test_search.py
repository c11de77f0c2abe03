"""Searching by terms: exact, newest first, a bounded piece of work a page, and never a scan."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from gateway.audit import search as searching
from gateway.audit.models import Indexed, Term
from gateway.audit.queries import LogFilter, page
from gateway.audit.search import Found, Search, in_order, search
from gateway.audit.service import erase
from gateway.db import Base, Database
from tests.bench.synthetic import fill, moment, term

SIZE = 5_000
PERSON, EVENT, RARE, NEEDLE = (
    term("person", 4),
    term("event", "refused"),
    term("client", "rare"),
    term("needle"),
)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path_factory.mktemp('log') / 'log.db'}", b"m" * 32)
    Base.metadata.create_all(made.engine)
    fill(made, SIZE)
    yield made
    made.close()


def numbers(database: Database, wanted: Search, limit: int = 50) -> list[int]:
    """All that is found, page by page."""
    found: list[int] = []
    before = None
    with database.read() as session:
        while True:
            page = search(session, wanted, before, limit)
            found += [e.seq for e in page.entries if e.seq is not None]
            before = page.before
            if before is None:
                return found


CASES: list[tuple[Search, Callable[[int], bool]]] = [
    (Search(), lambda n: True),
    (Search((RARE,)), lambda n: n % 1000 == 0),
    (Search((NEEDLE,)), lambda n: n == SIZE // 2),
    (Search((PERSON, EVENT)), lambda n: n % 10 == 4 and n % 5 == 4),
    (Search((EVENT, PERSON, RARE)), lambda n: False),
    (Search((term("nobody"),)), lambda n: False),
    (Search((PERSON,), since=moment(100), until=moment(1001)), lambda n: n % 10 == 4 and 100 <= n < 1001),
    (Search(since=moment(4990)), lambda n: n >= 4990),
    (Search(until=moment(7)), lambda n: n < 7),
    (Search(until=moment(0)), lambda n: False),
    (Search(since=moment(SIZE + 500)), lambda n: False),
]


@pytest.mark.parametrize(("wanted", "fits"), CASES)
def test_what_fits_is_found_once_newest_first(
    long: Database, wanted: Search, fits: Callable[[int], bool]
) -> None:
    expected = [n for n in range(SIZE - 1, -1, -1) if fits(n)]
    assert numbers(long, wanted) == expected
    with long.read() as session:
        assert [r.seq for r in in_order(session, wanted, SIZE)] == expected[::-1]
        assert [r.seq for r in in_order(session, wanted, 1_000)] == [n for n in expected[::-1] if n < 1_000]


def test_a_page_stops_after_its_window_and_says_so(long: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "WINDOW", 100)
    wanted = Search((PERSON, EVENT, term("kind", "copy")))
    assert numbers(long, wanted) == [n for n in range(SIZE - 1, -1, -1) if n % 10 == 4]
    with long.read() as session:
        got = search(session, Search((PERSON, term("event", "log.read"))))
    # 100 entries of the person, none of the event: an honest stop, with the number to go on from.
    assert got == Found((), got.reached, got.reached)
    assert got.reached is not None and got.reached % 10 == 4 and got.reached > SIZE - 1_100


def test_times_that_step_back_are_found_all_the_same(database, write, log, now) -> None:
    from gateway.audit.models import Hour
    from gateway.audit.search import hour_of

    # The second entry's clock was two hours behind.
    for shift in (0, -2, 1):
        write(now=now + timedelta(hours=shift))
    log.sequence(now=now)
    with database.write() as session:
        for n, shift in enumerate((0, -2, 1)):
            session.add(Hour(hour=hour_of(now + timedelta(hours=shift)), first=n, last=n))
        session.add(Indexed(name="terms", size=3))
    early = Search(until=now)
    assert numbers(database, early) == [1]
    assert numbers(database, Search(since=now)) == [2, 0]


def test_terms_of_a_person_go_with_the_person(database, write, log, now) -> None:
    write(), write()
    log.sequence(now=now)
    with database.write() as session:
        session.add(Indexed(name="terms", size=2))
        session.add_all([Term(term=term("a"), seq=0, subject="staff:arc1"), Term(term=term("a"), seq=1)])
    assert numbers(database, Search((term("a"),))) == [1, 0]
    with database.write() as session:
        erase(session, "staff:arc1")
    assert numbers(database, Search((term("a"),))) == [1]


@pytest.mark.parametrize(("wanted", "fits"), CASES)
def test_every_statement_of_a_search_uses_an_index(long: Database, wanted: Search, fits: object) -> None:
    assert scans(long, lambda session: search(session, wanted, before=SIZE - 3)) == []


PAGES = [LogFilter(), LogFilter(object=("copy", "c5")), LogFilter(share="s"), LogFilter(event="refused")]


@pytest.mark.parametrize("wanted", PAGES)
def test_what_rooms_ask_of_their_objects_uses_an_index_too(long: Database, wanted: LogFilter) -> None:
    assert scans(long, lambda session: page(session, wanted, before=SIZE - 3)) == []


def scans(database: Database, read: Callable[[Session], object]) -> list[str]:
    """Plans of what a read asks in which a table of the log is scanned, or rows are sorted."""
    said: list[tuple[str, object]] = []

    def note(connection, cursor, statement, parameters, context, many) -> None:
        if statement.lstrip().startswith("SELECT"):
            said.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        with database.read() as session:
            read(session)
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
    assert said
    found = []
    with database.engine.connect() as connection:
        for statement, parameters in said:
            plan = [
                row[3] for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters)
            ]
            found += [
                line for line in plan if line.startswith("SCAN") and "audit_" in line and "INDEX" not in line
            ]
            found += [line for line in plan if "TEMP B-TREE" in line or line == "SCAN audit_term"]
    return found


def test_a_log_without_terms_finds_nothing(database, write) -> None:
    write()
    assert numbers(database, Search((term("a"),))) == []
    with database.read() as session:
        assert searching.indexed_size(session) == 0
        assert session.scalar(text("SELECT count(*) FROM audit_leaf")) == 1
