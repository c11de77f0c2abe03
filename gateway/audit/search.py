"""Searching numbered entries by their terms: every look-up is one range of an index, however long the log is.

A page reads at most WINDOW candidates of the rarest term and says how far back it has looked; there is no scan, no OFFSET and
no sorting. Terms are keyed digests (gateway/oversight/indexing.py makes them), so the index holds no plain name.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, exists, func, literal, select
from sqlalchemy.orm import Session, aliased

from gateway.audit.models import Hour, Indexed, Leaf, Term
from gateway.audit.rows import LogEntry, Row, entry_of, read, stored

WINDOW = 2_000
CHUNK = 200
MAX_TERMS = 12
INDEX = "terms"


@dataclass(frozen=True)
class Search:
    """What an entry must have: every one of the terms, and a time from `since` on and before `until`."""

    terms: tuple[bytes, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Found:
    """Entries by number, newest first. `before` is the cursor of the next page, None when nothing older is left to look at.

    `reached` is the number down to which was looked, where the page ended for the work it took and not for its length.
    """

    entries: tuple[LogEntry, ...]
    before: int | None
    reached: int | None = None


def indexed_size(session: Session) -> int:
    """How many entries, counted from the first, can be found by their terms."""
    return session.scalar(select(Indexed.size).where(Indexed.name == INDEX)) or 0


def search(session: Session, wanted: Search, before: int | None = None, limit: int = 50) -> Found:
    """At most `limit` numbered entries below the cursor, newest first."""
    limit = max(1, min(limit, CHUNK - 1))
    low, high = _bounds(session, wanted)
    high = high if before is None else min(high, before)
    seqs, reached = _candidates(session, wanted, low, high, limit + 1)
    rows = _first(session, wanted, seqs, limit + 1)
    if len(rows) > limit:
        return Found(tuple(entry_of(r) for r in rows[:limit]), rows[limit - 1].seq)
    return Found(tuple(entry_of(r) for r in rows), reached, reached)


def in_order(session: Session, wanted: Search, size: int) -> Iterator[Row]:
    """All numbered entries below `size` that fit, in the log's order, read in batches."""
    low, high = _bounds(session, wanted)
    high = min(high, size)
    driver, others = _driver(session, wanted.terms)
    while low < high:
        bare = _range(driver, low, high, WINDOW, newest=False)
        seqs, top = _window(session, bare, others, WINDOW, low, high, newest=False)
        for start in range(0, len(seqs), CHUNK):
            yield from _read(session, wanted, seqs[start : start + CHUNK], newest=False)
        low = top


def _bounds(session: Session, wanted: Search) -> tuple[int, int]:
    """The numbers among which every entry of the asked time lies: from the hours' own first and last numbers."""
    if wanted.since is None and wanted.until is None:
        return 0, 2**62
    query = select(func.min(Hour.first), func.max(Hour.last))
    if wanted.since is not None:
        query = query.where(Hour.hour >= hour_of(wanted.since))
    if wanted.until is not None:
        query = query.where(Hour.hour < wanted.until)
    first, last = tuple[int | None, ...](session.execute(query).one())
    return (0, 0) if first is None or last is None else (first, last + 1)


def hour_of(at: datetime) -> datetime:
    """The beginning of the hour, UTC."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _driver(session: Session, terms: tuple[bytes, ...]) -> tuple[bytes | None, tuple[bytes, ...]]:
    """The rarest term and the others; counting stops at WINDOW, so that a frequent one costs no more."""
    if len(terms) < 2:
        return (terms[0] if terms else None), ()
    sizes = {t: _at_most(session, t) for t in dict.fromkeys(terms)}
    rarest = min(sizes, key=lambda t: sizes[t])
    return rarest, tuple(t for t in sizes if t != rarest)


def _at_most(session: Session, term: bytes) -> int:
    # In order, so that a planner cannot prefer to read the whole table until it has met enough of them.
    some = select(Term.seq).where(Term.term == term).order_by(Term.seq).limit(WINDOW).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def _candidates(
    session: Session, wanted: Search, low: int, high: int, many: int
) -> tuple[list[int], int | None]:
    driver, others = _driver(session, wanted.terms)
    # Where nothing else has to hold, every number is a hit, and no more of them are needed than are shown.
    window = WINDOW if others or wanted.since or wanted.until else many
    bare = _range(driver, low, high, window, newest=True)
    seqs, bottom = _window(session, bare, others, window, low, high, newest=True)
    return seqs, bottom if bottom > low else None


def _range(driver: bytes | None, low: int, high: int, window: int, *, newest: bool) -> Select[Any]:
    """The next numbers from one end of the range, a window of them; without a term, those of all entries."""
    column: Any = Leaf.seq if driver is None else Term.seq
    query = select(column.label("seq")).where(column >= low, column < high)
    if driver is not None:
        query = query.where(Term.term == driver)
    return query.order_by(column.desc() if newest else column).limit(window)


def _having(numbers: Select[Any], others: tuple[bytes, ...]) -> Select[Any]:
    window = numbers.subquery()
    query = select(window.c.seq)
    for term in others:
        also = aliased(Term)
        query = query.where(exists().where(also.term == literal(term), also.seq == window.c.seq))
    return query


def _window(
    session: Session,
    bare: Select[Any],
    others: tuple[bytes, ...],
    window: int,
    low: int,
    high: int,
    *,
    newest: bool,
) -> tuple[list[int], int]:
    """The window's numbers that have every term, and where the next window begins (`low` or `high` when it was the last)."""
    seqs = sorted(session.scalars(_having(bare, others)), reverse=newest)
    numbers = bare.subquery()
    counted = select(func.count(), func.min(numbers.c.seq), func.max(numbers.c.seq))
    count, first, last = session.execute(counted).one()
    if count < window:
        return seqs, low if newest else high
    return seqs, first if newest else last + 1


def _first(session: Session, wanted: Search, seqs: list[int], many: int) -> list[Row]:
    rows: list[Row] = []
    # Without a time, every candidate is a hit, so no more of them are read than are shown.
    step = CHUNK if wanted.since or wanted.until else many
    for start in range(0, len(seqs), step):
        rows += _read(session, wanted, seqs[start : start + step], newest=True)
        if len(rows) >= many:
            break
    return rows[:many]


def _read(session: Session, wanted: Search, seqs: list[int], *, newest: bool) -> list[Row]:
    query = stored().where(Leaf.seq.in_(seqs))
    if wanted.since is not None:
        query = query.where(Leaf.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(Leaf.at < wanted.until)
    return sorted(read(session, query), key=lambda row: row.seq or 0, reverse=newest)
