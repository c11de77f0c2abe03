"""Logs of any length, written in bulk: entries with their terms, as the reading side finds them after years of use.

The tree above them is not made: what is measured here is the reading of entries, and it is not asked for proofs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, text

from gateway.audit.leaf import Entry
from gateway.audit.models import Checkpoint, Hour, Indexed, Leaf, Personal, Term
from gateway.audit.search import INDEX, hour_of
from gateway.db import Database

BEGAN = datetime(2020, 1, 1, tzinfo=UTC)
APART = timedelta(seconds=30)
BATCH = 20_000
EVENTS = ("copy.collect", "share.submit", "session.begin", "log.read", "refused")


def term(*parts: object) -> bytes:
    """A digest in place of the keyed one."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()[:16]


def fill(database: Database, size: int, *, start: int = 0) -> None:
    """Entries `start` to `size`, 30 s apart: five events, ten persons, a client every 1,000th, one needle in the middle."""
    for first in range(start, size, BATCH):
        numbers = range(first, min(first + BATCH, size))
        leaves = [_leaf(n) for n in numbers]
        terms = [{"term": t, "seq": n, "subject": None} for n in numbers for t in _terms(n, size)]
        with database.write() as session:
            session.execute(insert(Leaf), leaves)
            session.execute(insert(Personal), [_personal(n) for n in numbers])
            session.execute(insert(Term), terms)
            for hour, low, high in _hours(numbers):
                session.merge(Hour(hour=hour, first=low, last=high))
    with database.write() as session:
        session.add(Checkpoint(size=size, root=b"r" * 32, note="", at=BEGAN, usable_at=BEGAN))
        session.merge(Indexed(name=INDEX, size=size))
    with database.engine.connect() as connection:
        connection.execute(text("ANALYZE"))
        connection.commit()


def moment(number: int) -> datetime:
    """When the entry with this number was written."""
    return BEGAN + number * APART


def _leaf(n: int) -> dict[str, Any]:
    entry = Entry(
        id=f"{n:032x}", at=moment(n), event=EVENTS[n % 5], object=("copy", f"c{n % 997}"), actor="contact"
    )
    return {
        "arrival": n + 1,
        "id": entry.id,
        "seq": n,
        "body": entry.encode(),
        "event": entry.event,
        "object_kind": "copy",
        "object_id": f"c{n % 997}",
        "at": entry.at,
        "leaf_hash": b"h" * 32,
    }


def _personal(n: int) -> dict[str, Any]:
    return {
        "leaf_id": f"{n:032x}", "field": "actor.name", "subject": f"contact:{n % 10}", "salt": b"s" * 32, "value": "x",
    }  # fmt: skip


def _terms(n: int, size: int) -> Iterator[bytes]:
    yield term("event", EVENTS[n % 5])
    yield term("person", n % 10)
    yield term("kind", "copy")
    if n % 1000 == 0:
        yield term("client", "rare")
    if n == size // 2:
        yield term("needle")


def _hours(numbers: range) -> Iterator[tuple[datetime, int, int]]:
    per_hour = int(timedelta(hours=1) / APART)
    for low in range(numbers.start - numbers.start % per_hour, numbers.stop, per_hour):
        yield hour_of(moment(low)), low, low + per_hour - 1
