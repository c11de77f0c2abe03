"""Entries as they are read from the database: the stored row, the values that can still be opened, what was tampered with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from gateway.audit import leaf, tree
from gateway.audit.models import Checkpoint, Leaf, Personal

_BATCH = 500


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
class Row:
    """A stored entry with its opened values (field, salt, value) and the size of the first usable checkpoint that covers it."""

    arrival: int
    seq: int | None
    body: bytes
    leaf_hash: bytes | None
    opened: Sequence[tuple[str, bytes, str]]
    covered: int | None


def stored() -> Select[Any]:
    """The columns of `Row`, of every entry; the caller narrows and orders."""
    covers = (Checkpoint.size > Leaf.seq) & Checkpoint.usable_at.is_not(None)
    covered = select(func.min(Checkpoint.size)).where(covers).scalar_subquery().label("covered")
    return select(Leaf.arrival, Leaf.id, Leaf.seq, Leaf.body, Leaf.leaf_hash, covered)


def read(session: Session, query: Select[Any]) -> list[Row]:
    """The rows of a narrowed `stored()`, in its order, each with what can still be opened."""
    found = session.execute(query).all()
    opened: dict[str, list[tuple[str, bytes, str]]] = {}
    columns = select(Personal.leaf_id, Personal.field, Personal.salt, Personal.value)
    for start in range(0, len(found), _BATCH):
        ids = [row.id for row in found[start : start + _BATCH]]
        for row in session.execute(
            columns.where(Personal.leaf_id.in_(ids)).order_by(Personal.leaf_id, Personal.field)
        ):
            opened.setdefault(row.leaf_id, []).append((row.field, row.salt, row.value))
    return [Row(r.arrival, r.seq, r.body, r.leaf_hash, opened.get(r.id, ()), r.covered) for r in found]


def entry_of(row: Row) -> LogEntry:
    """The entry of a row, checked against its hash and its commitments. Raises MalformedEntry for a body that is no entry."""
    entry = leaf.parse(row.body)
    values = {n: v for n, salt, v in row.opened if leaf.commitment(salt, n, v) == entry.personal.get(n)}
    known = {name for name, _, _ in row.opened}
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
        erased=tuple(sorted(set(entry.personal) - known)),
        tampered=(*(["entry"] if changed else []), *sorted(known - set(values))),
        checkpoint=row.covered,
    )
