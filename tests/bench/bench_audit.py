"""How the cost of the log grows with the number of its entries."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from gateway.audit.models import Leaf
from gateway.audit.queries import LogFilter, page
from gateway.audit.service import Log, record
from gateway.audit.signer import Signer
from gateway.db import Base, Database
from gateway.principal import Actor

ORIGIN = "bench.example/log"
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
ACTOR = Actor(kind="contact", id="c1", name="合作单位联系人", ip="192.0.2.7", agent="Browser/1.0")
SMALL, LARGE = 500, 20_000
REPEATS = 40


@contextmanager
def filled(size: int) -> Iterator[tuple[Database, Log]]:
    """A log with so many numbered entries."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/log.db", b"m" * 32)
        Base.metadata.create_all(database.engine)
        log = Log(database, Signer.generate(Path(folder) / "log.key", ORIGIN), origin=ORIGIN)
        with database.write() as session:
            for i in range(size):
                record(session, "copy.collect", actor=ACTOR, obj=("copy", str(i)), now=NOW)
        while log.sequence(now=NOW):
            pass
        yield database, log
        database.close()


def typical(call: Callable[[], object]) -> float:
    """The median of the seconds that a call takes."""
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def costs(database: Database, log: Log) -> dict[str, float]:
    """Seconds for one receipt, one page, and one entry with its own checkpoint."""
    with database.read() as session:
        middle = session.scalar(select(Leaf.id).order_by(Leaf.seq).offset(SMALL // 2).limit(1))

    def one_page() -> None:
        with database.read() as session:
            page(session, LogFilter(event="copy.collect"), limit=20)

    def one_entry() -> None:
        with database.write() as session:
            one = record(session, "copy.collect", actor=ACTOR, obj=("copy", "x"), now=NOW)
        log.await_checkpoint(one, now=NOW)

    return {
        "a receipt": typical(lambda: log.receipt(middle)),
        "a page": typical(one_page),
        "an entry with its checkpoint": typical(one_entry),
    }


def row(name: str, ratio: float, limit: float) -> dict[str, Any]:
    """One row whose goal is an upper limit."""
    return {"name": name, "ratio": round(ratio, 3), "goal": f"<= {limit:g}", "met": ratio <= limit}


def rows() -> list[dict[str, Any]]:
    """Rows of the bench: each cost at 20,000 entries against the same at 500."""
    with filled(SMALL) as few:
        small = costs(*few)
    with filled(LARGE) as many:
        large = costs(*many)
    times = LARGE // SMALL
    return [
        row(f"log: {name}, {times} times the entries", large[name] / cost, 3) for name, cost in small.items()
    ]
