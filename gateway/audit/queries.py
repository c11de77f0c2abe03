"""Reading the log: keyset pages with each entry's proof state, and exports that can be verified offline."""

import base64
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select, true
from sqlalchemy.orm import Session

from gateway.audit import leaf, tiles, tree
from gateway.audit.export import EXPORT_FORMAT, EXPORT_VERSION
from gateway.audit.models import Checkpoint, Leaf
from gateway.audit.rows import LogEntry, Row, entry_of, read, stored
from gateway.audit.search import Search, in_order
from gateway.audit.service import REFUSED, REFUSED_STRANGERS
from gateway.registers.table import safe_cell

MAX_PAGE = 200
_BATCH = 500
_PROOFS_A_READER = 2_000


@dataclass(frozen=True)
class LogFilter:
    """What is looked for; None means any. `object` is (kind, id) or (kind, None); `actor` a label such as `staff:…`.

    `event` is a whole name, or a beginning when it ends in a point (`share.`). `since` is included, `until` is not. This is for
    what rooms ask about their own objects; the pages of the log search by terms (gateway/audit/search.py).
    """

    event: str | None = None
    object: tuple[str, str | None] | None = None
    share: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    refusals: bool = False


@dataclass(frozen=True)
class Page:
    """Entries, newest first; `before` is the cursor of the next page, None on the last."""

    entries: tuple[LogEntry, ...]
    before: int | None = None


def page(session: Session, filters: LogFilter, before: int | None = None, limit: int = 50) -> Page:
    """At most `limit` entries older than the cursor `before` (of a Page), newest first."""
    limit = max(1, min(limit, MAX_PAGE))
    query = _matching(filters).order_by(Leaf.arrival.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(Leaf.arrival < before)
    rows = read(session, query)
    shown = tuple(entry_of(row) for row in rows[:limit])
    return Page(shown, rows[limit - 1].arrival if len(rows) > limit else None)


def find(session: Session, leaf_id: str) -> LogEntry | None:
    """One entry by its id."""
    rows = read(session, _matching(LogFilter()).where(Leaf.id == leaf_id))
    return entry_of(rows[0]) if rows else None


def _matching(filters: LogFilter) -> Select[Any]:
    wanted: list[ColumnElement[bool]] = []
    if filters.event:
        whole = not filters.event.endswith(".")
        wanted.append(
            Leaf.event == filters.event if whole else Leaf.event.startswith(filters.event, autoescape=True)
        )
    if filters.object is not None:
        wanted.append(Leaf.object_kind == filters.object[0])
        if filters.object[1] is not None:
            wanted.append(Leaf.object_id == filters.object[1])
    if filters.share:
        wanted.append(Leaf.share == filters.share)
    if filters.actor:
        wanted.append(Leaf.actor == filters.actor)
    if filters.since is not None:
        wanted.append(Leaf.at >= filters.since)
    if filters.until is not None:
        wanted.append(Leaf.at < filters.until)
    if filters.refusals:
        wanted.append(Leaf.event.in_([REFUSED, REFUSED_STRANGERS]))
    return stored().where(and_(true(), *wanted))


def export_jsonl(session: Session, filters: LogFilter | Search, size: int | None = None) -> Iterator[bytes]:
    """The export file (docs/formats.md, Receipt) line by line: a header with the last checkpoint, then entries in log order.

    Without filters it holds the whole log and is verified by rebuilding the root; otherwise each entry brings its own proof.
    Entries that still wait for their number come last, without one; a search holds numbered entries only. `size` names the
    checkpoint to prove them by, where several files shall speak of one.
    """
    complete = filters == LogFilter()
    head = last_usable(session, size)
    size = head.size if head is not None else 0
    yield _line(
        {
            "format": EXPORT_FORMAT,
            "v": EXPORT_VERSION,
            "checkpoint": head.note if head is not None else None,
            "complete": complete,
        }
    )
    prover = _Prover(session, size)
    for row in _in_order(session, filters, size):
        line = _exported(row)
        if not complete and row.seq is not None:
            line["proof"] = [base64.b64encode(h).decode() for h in prover.path(row.seq)]
        yield _line(line)


def last_usable(session: Session, size: int | None = None) -> Checkpoint | None:
    """The last checkpoint on which something may rest, or the one of this size."""
    query = select(Checkpoint).where(Checkpoint.usable_at.is_not(None))
    if size is not None:
        query = query.where(Checkpoint.size == size)
    return session.scalar(query.order_by(Checkpoint.size.desc()).limit(1))


class _Prover:
    """Inclusion proofs of one checkpoint; the tiles read so far are let go now and then, so that memory stays small."""

    def __init__(self, session: Session, size: int) -> None:
        self._session, self._size, self._made = session, size, 0
        self._node = tiles.Tiles(session).node

    def path(self, seq: int) -> list[bytes]:
        self._made += 1
        if self._made % _PROOFS_A_READER == 0:
            self._node = tiles.Tiles(self._session).node
        return tree.inclusion(self._node, seq, self._size)


def _line(value: Mapping[str, Any]) -> bytes:
    return leaf.canonical(value) + b"\n"


def _exported(row: Row) -> dict[str, Any]:
    opened = {name: {"salt": salt.hex(), "value": value} for name, salt, value in row.opened}
    return {"entry": leaf.parse_canonical(row.body), "personal": opened, "seq": row.seq}


def _in_order(session: Session, filters: LogFilter | Search, size: int) -> Iterator[Row]:
    # A search finds numbered entries only: its terms are made when the number is there.
    if isinstance(filters, Search):
        yield from in_order(session, filters, size)
        return
    matching = _matching(filters)
    numbered = matching.where(Leaf.seq < size).order_by(Leaf.seq)
    after = -1
    while rows := read(session, numbered.where(Leaf.seq > after).limit(_BATCH)):
        yield from rows
        after = rows[-1].seq or 0
    # What got its number after the header was written counts as waiting here: the header's checkpoint does not hold it.
    waiting = matching.where(or_(Leaf.seq.is_(None), Leaf.seq >= size)).order_by(Leaf.arrival)
    for row in read(session, waiting):
        yield replace(row, seq=None, covered=None)


CSV_HEAD = (
    "seq",
    "id",
    "at",
    "event",
    "object_kind",
    "object_id",
    "from",
    "to",
    "actor_kind",
    "actor",
    "name",
    "ip",
    "agent",
    "acting_for",
    "reason",
    "personal",
    "data",
    "checkpoint",
    "leaf_hash",
)


def export_csv(session: Session, filters: LogFilter | Search, size: int | None = None) -> Iterator[bytes]:
    """The same entries as a table for spreadsheets, UTF-8 with a mark; every cell is safe against formulas."""
    yield "\ufeff".encode() + _csv_row(CSV_HEAD)
    head = last_usable(session, size)
    for row in _in_order(session, filters, head.size if head is not None else 0):
        yield _csv_row([*_cells(entry_of(row)), tree.leaf_hash(row.body).hex()])


def _cells(entry: LogEntry) -> list[str]:
    known = dict(entry.personal)
    own = [known.pop(f"actor.{name}", "") for name in ("label", "name", "ip", "agent")]
    own += [known.pop(name, "") for name in ("acting_for", "reason")]
    return [
        "" if entry.seq is None else str(entry.seq),
        entry.id,
        leaf.stamp(entry.at),
        entry.event,
        *entry.object,
        entry.source or "",
        entry.target or "",
        entry.actor,
        *own,
        leaf.canonical(known).decode() if known else "",
        leaf.canonical(entry.data).decode() if entry.data else "",
        "" if entry.checkpoint is None else str(entry.checkpoint),
    ]


def _csv_row(cells: Sequence[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow([safe_cell(c) for c in cells])
    return out.getvalue().encode("utf-8")
