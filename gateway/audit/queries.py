"""Reading the log: keyset pages with each entry's proof state, and exports that can be verified offline."""

import base64
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, true
from sqlalchemy.orm import Session

from gateway.audit import leaf, tiles, tree
from gateway.audit.export import EXPORT_FORMAT, EXPORT_VERSION
from gateway.audit.models import Checkpoint, Leaf, Personal
from gateway.audit.service import REFUSED, REFUSED_STRANGERS

MAX_PAGE = 200
_BATCH = 500
_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"
_CONTROL = "\t\r\n\0"


@dataclass(frozen=True)
class LogFilter:
    """What is looked for; None means any. `object` is (kind, id) or (kind, None); `actor` a label such as `staff:…`.

    `event` is a whole name, or a beginning when it ends in a point (`share.`). `text` is looked for in entries and in personal
    values. `since` is included, `until` is not.
    """

    event: str | None = None
    object: tuple[str, str | None] | None = None
    share: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    refusals: bool = False


@dataclass(frozen=True)
class LogEntry:
    """One entry as it is shown. `personal` holds the values whose salts still exist; `erased` names those that are gone.

    `checkpoint` is the size of the first checkpoint that covers it, None while it waits. `tampered` names what in the database is
    not what was recorded: personal fields (their values are withheld) or `entry`; a rebuild of the log tells more.
    """

    id: str
    seq: int | None
    at: datetime
    event: str
    object: tuple[str, str]
    source: str | None
    target: str | None
    actor: str
    data: Mapping[str, leaf.JSON]
    personal: Mapping[str, str]
    erased: tuple[str, ...]
    tampered: tuple[str, ...]
    checkpoint: int | None


@dataclass(frozen=True)
class Page:
    """Entries, newest first; `before` is the cursor of the next page, None on the last."""

    entries: tuple[LogEntry, ...]
    before: int | None = None


@dataclass(frozen=True)
class _Row:
    arrival: int
    seq: int | None
    body: bytes
    leaf_hash: bytes | None
    opened: Sequence[tuple[str, bytes, str]]
    covered: int | None


def page(session: Session, filters: LogFilter, before: int | None = None, limit: int = 50) -> Page:
    """At most `limit` entries older than the cursor `before` (of a Page), newest first."""
    limit = max(1, min(limit, MAX_PAGE))
    query = _matching(session, filters).order_by(Leaf.arrival.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(Leaf.arrival < before)
    rows = _read(session, query)
    shown = tuple(_entry(row) for row in rows[:limit])
    return Page(shown, rows[limit - 1].arrival if len(rows) > limit else None)


def find(session: Session, leaf_id: str) -> LogEntry | None:
    """One entry by its id."""
    rows = _read(session, _matching(session, LogFilter()).where(Leaf.id == leaf_id))
    return _entry(rows[0]) if rows else None


def _matching(session: Session, filters: LogFilter) -> Select[Any]:
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
    if filters.text:
        wanted.append(_holds(session, filters.text))
    if filters.refusals:
        wanted.append(Leaf.event.in_([REFUSED, REFUSED_STRANGERS]))
    covered = (
        select(func.min(Checkpoint.size)).where(Checkpoint.size > Leaf.seq).scalar_subquery().label("covered")
    )
    return select(Leaf.arrival, Leaf.id, Leaf.seq, Leaf.body, Leaf.leaf_hash, covered).where(
        and_(true(), *wanted)
    )


def _holds(session: Session, text: str) -> ColumnElement[bool]:
    # Inside an entry the text stands as JSON spells it.
    spelled = json.dumps(leaf.storable(text), ensure_ascii=False)[1:-1]
    named = exists().where(
        Personal.leaf_id == Leaf.id, Personal.value.icontains(leaf.storable(text), autoescape=True)
    )
    if session.get_bind().dialect.name == "sqlite":
        return or_(func.instr(Leaf.body, spelled.encode()) > 0, named)
    return or_(func.strpos(func.convert_from(Leaf.body, "UTF8"), spelled) > 0, named)


def _read(session: Session, query: Select[Any]) -> list[_Row]:
    found = session.execute(query).all()
    opened: dict[str, list[tuple[str, bytes, str]]] = {}
    columns = select(Personal.leaf_id, Personal.field, Personal.salt, Personal.value)
    for start in range(0, len(found), _BATCH):
        ids = [row.id for row in found[start : start + _BATCH]]
        for row in session.execute(columns.where(Personal.leaf_id.in_(ids)).order_by(Personal.field)):
            opened.setdefault(row.leaf_id, []).append((row.field, row.salt, row.value))
    return [_Row(r.arrival, r.seq, r.body, r.leaf_hash, opened.get(r.id, ()), r.covered) for r in found]


def _entry(row: _Row) -> LogEntry:
    entry = leaf.parse(row.body)
    values = {n: v for n, salt, v in row.opened if leaf.commitment(salt, n, v) == entry.personal.get(n)}
    stored = {name for name, _, _ in row.opened}
    changed = row.seq is not None and row.leaf_hash != tree.leaf_hash(row.body)
    return LogEntry(
        id=entry.id,
        seq=row.seq,
        at=entry.at,
        event=entry.event,
        object=entry.object,
        source=entry.source,
        target=entry.target,
        actor=entry.actor,
        data=entry.data,
        personal=values,
        erased=tuple(sorted(set(entry.personal) - stored)),
        tampered=(*(["entry"] if changed else []), *sorted(stored - set(values))),
        checkpoint=row.covered,
    )


def export_jsonl(session: Session, filters: LogFilter) -> Iterator[bytes]:
    """The export file (docs/formats.md, Receipt) line by line: a header with the last checkpoint, then entries in log order.

    Without filters it holds the whole log and is verified by rebuilding the root; otherwise each entry brings its own proof.
    Entries that still wait for their number come last, without one.
    """
    complete = filters == LogFilter()
    head = session.scalar(select(Checkpoint).order_by(Checkpoint.size.desc()).limit(1))
    size = head.size if head is not None else 0
    yield _line(
        {
            "format": EXPORT_FORMAT,
            "v": EXPORT_VERSION,
            "checkpoint": head.note if head is not None else None,
            "complete": complete,
        }
    )
    reader = tiles.Tiles(session)
    for read in _in_order(session, filters, size):
        line = _exported(read)
        if not complete and read.seq is not None:
            path = tree.inclusion(reader.node, read.seq, size)
            line["proof"] = [base64.b64encode(h).decode() for h in path]
        yield _line(line)


def _line(value: Mapping[str, Any]) -> bytes:
    return leaf.canonical(value) + b"\n"


def _exported(read: _Row) -> dict[str, Any]:
    opened = {name: {"salt": salt.hex(), "value": value} for name, salt, value in read.opened}
    return {"entry": leaf.parse_canonical(read.body), "personal": opened, "seq": read.seq}


def _in_order(session: Session, filters: LogFilter, size: int) -> Iterator[_Row]:
    matching = _matching(session, filters)
    numbered = matching.where(Leaf.seq < size).order_by(Leaf.seq)
    after = -1
    while rows := _read(session, numbered.where(Leaf.seq > after).limit(_BATCH)):
        yield from rows
        after = rows[-1].seq or 0
    # What got its number after the header was written counts as waiting here: the header's checkpoint does not hold it.
    waiting = matching.where(or_(Leaf.seq.is_(None), Leaf.seq >= size)).order_by(Leaf.arrival)
    for read in _read(session, waiting):
        yield replace(read, seq=None, covered=None)


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
)


def export_csv(session: Session, filters: LogFilter) -> Iterator[bytes]:
    """The same entries as a table for spreadsheets, UTF-8 with a mark; every cell is safe against formulas."""
    yield "\ufeff".encode() + _csv_row(CSV_HEAD)
    head = session.scalar(select(func.max(Checkpoint.size))) or 0
    for read in _in_order(session, filters, head):
        yield _csv_row(_cells(_entry(read)))


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


def safe_cell(text: str) -> str:
    """The text for a spreadsheet cell: one that could be read as a formula begins with an apostrophe; NUL never stays."""
    risky = text[:1] in set(_CONTROL) or text.lstrip()[:1] in set(_FORMULA)
    return ("'" if risky and text else "") + text.replace("\0", "\ufffd")
