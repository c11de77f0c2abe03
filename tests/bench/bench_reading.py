"""How the cost of a page of the log grows with the number of its entries: each kind of search at 10^4, 10^5 and 10^6."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gateway.audit.search import Search, search
from gateway.db import Base, Database
from tests.bench.synthetic import fill, moment, term

SMALL, MIDDLE, LARGE = 10_000, 100_000, 1_000_000
REPEATS = 15
LIMIT = 3.0


@contextmanager
def filled(size: int, url: str | None = None) -> Iterator[Database]:
    """A log with so many entries and their terms, on SQLite or at a URL."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(url or f"sqlite:///{folder}/log.db", b"m" * 32)
        tables = [t for n, t in Base.metadata.tables.items() if n.startswith("audit_")]
        Base.metadata.create_all(database.engine, tables=tables)
        fill(database, size)
        yield database
        database.close()


def searches(size: int) -> Mapping[str, tuple[Search, int | None]]:
    """What readers look for, and from which number on."""
    person, event = term("person", 4), term("event", "refused")
    return {
        "newest": (Search(), None),
        "in the middle of all": (Search(), size // 2),
        "a person": (Search((person,)), None),
        "a person, far back": (Search((person,)), size // 10),
        "a person and an event": (Search((person, event)), size // 2),
        "a client of few entries": (Search((term("client", "rare"), event, term("kind", "copy"))), None),
        "one entry": (Search((term("needle"),)), None),
        "nothing that fits": (Search((person, term("event", "log.read"))), size // 2),
        "an hour far back": (Search((person,), since=moment(size // 3), until=moment(size // 3 + 120)), None),
    }


def costs(database: Database, size: int) -> dict[str, float]:
    """The median seconds that one page of each search takes, its entries read and checked."""
    found = {}
    for name, (wanted, before) in searches(size).items():
        taken = []
        for _ in range(REPEATS):
            with database.read() as session:
                start = time.perf_counter()
                search(session, wanted, before)
                taken.append(time.perf_counter() - start)
        found[name] = statistics.median(taken)
    return found


def rows() -> list[dict[str, Any]]:
    """Rows of the bench: a page at 10^5 and 10^6 entries against the same page at 10^4."""
    measured = {}
    for size in (SMALL, MIDDLE, LARGE):
        with filled(size) as database:
            measured[size] = costs(database, size)
    return [
        _row(
            f"log page, {name}: {size // SMALL} times the entries",
            measured[size][name] / measured[SMALL][name],
        )
        for name in measured[SMALL]
        for size in (MIDDLE, LARGE)
    ]


def _row(name: str, ratio: float) -> dict[str, Any]:
    return {"name": name, "ratio": round(ratio, 3), "goal": f"<= {LIMIT:g}", "met": ratio <= LIMIT}
