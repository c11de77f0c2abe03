"""The log after a restore: compared with the newest checkpoint outside, its lost end fetched back, or continued under a new name.

What a backup had not seen yet is usually in the audit store: the entries are numbered as they were, and their root must be the
one that was signed. Where they cannot be had, the old log is never signed again; a new one begins with an entry that names the
last outside checkpoint and the lost range, and holds the old entries that are left after it.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Table, delete, func, insert, select, update
from sqlalchemy.orm import Session

from gateway.audit import anchors, leaf, note, tiles, tree
from gateway.audit.errors import AuditError, LogDamaged
from gateway.audit.models import Checkpoint, Hour, Indexed, Leaf, Term, Tile
from gateway.audit.service import columns, record
from gateway.db import Database
from gateway.principal import SYSTEM
from storage.errors import NotFound
from storage.store import ObjectStore

CONTINUED = "log.continued"
WIDTH = 256
_ROWS = 500
_LEAVES: Table = Leaf.__table__  # type: ignore[assignment]


@dataclass(frozen=True)
class Outside:
    """The newest checkpoint in the audit store, verified with the log's key."""

    size: int
    root: bytes
    note: str


@dataclass(frozen=True)
class Compared:
    """How the restored log stands to the outside: `restored` entries were in the backup, `outside` is the newest checkpoint.

    ALONE: there is no checkpoint outside. EQUAL: nothing is lost. FETCHED: lost entries were fetched back. CONTINUED: they
    could not be had.
    """

    outcome: Literal["ALONE", "EQUAL", "FETCHED", "CONTINUED"]
    restored: int
    outside: int

    @property
    def lost(self) -> int:
        """How many entries the backup did not hold."""
        return max(0, self.outside - self.restored)


def outside(bucket: ObjectStore, key: note.Key) -> Outside | None:
    """The newest checkpoint outside; None without any. Raises LogDamaged when it is not this log's, StorageError."""
    found = anchors.latest(bucket)
    if found is None:
        return None
    try:
        head = note.open_checkpoint(found.note, [key])
    except AuditError as error:
        raise LogDamaged("the checkpoint in the audit store is of another log") from error
    return Outside(head.size, head.root, found.note)


def compare(session: Session, newest: Outside | None) -> Compared:
    """Compares the stored log with the outside; raises LogDamaged when it contradicts it.

    FETCHED means here that the lost entries are still to be fetched.
    """
    size = _size(session)
    if newest is None:
        return Compared("ALONE", size, 0)
    if newest.size > size:
        return Compared("FETCHED", size, newest.size)
    if tree.root(tiles.Tiles(session).node, newest.size) != newest.root:
        raise LogDamaged("the log in the backup is not the one whose checkpoint stands outside")
    return Compared("EQUAL", size, newest.size)


def _size(session: Session) -> int:
    highest = session.scalar(select(func.max(Leaf.seq)))
    return 0 if highest is None else highest + 1


def fetch(database: Database, bucket: ObjectStore, newest: Outside, *, now: datetime) -> bool:
    """Appends the lost entries in one transaction; False, having changed nothing, when they cannot be had whole."""
    try:
        with database.write() as session:
            size = _size(session)
            bodies = list(anchors.entries(bucket, size, newest.size))
            _append(session, size, bodies)
            _require_root(session, newest)
            session.add(
                Checkpoint(size=newest.size, root=newest.root, note=newest.note, at=now, usable_at=now)
            )
    except (NotFound, AuditError):
        return False
    return True


def _append(session: Session, size: int, bodies: Sequence[bytes]) -> None:
    ids = [leaf.parse(body).id for body in bodies]
    waiting: set[str] = set()
    for start in range(0, len(ids), _ROWS):
        held = select(Leaf.id).where(Leaf.id.in_(ids[start : start + _ROWS]), Leaf.seq.is_(None))
        waiting.update(session.scalars(held))
    for offset, (leaf_id, body) in enumerate(zip(ids, bodies, strict=True)):
        numbered: dict[str, Any] = {"seq": size + offset, "leaf_hash": tree.leaf_hash(body)}
        if leaf_id in waiting:
            # It was in the backup already and got its number after.
            session.execute(update(_LEAVES).where(_LEAVES.c.id == leaf_id).values(**numbered))
        else:
            values = {"body": body, "actor": None, **columns(leaf.parse(body)), **numbered}
            session.execute(insert(_LEAVES).values(**values))
    _rebuild_tiles(session)


def _rebuild_tiles(session: Session) -> None:
    """Writes every tile anew from the entries' hashes."""
    session.execute(delete(Tile))
    level, row = 0, list(session.scalars(select(Leaf.leaf_hash).where(Leaf.seq >= 0).order_by(Leaf.seq)))
    while row:
        hashes = [one or b"" for one in row]
        parts = [hashes[start : start + WIDTH] for start in range(0, len(hashes), WIDTH)]
        session.execute(
            insert(Tile), [{"level": level, "index": i, "hashes": b"".join(p)} for i, p in enumerate(parts)]
        )
        row = [tree.complete_root(part) for part in parts if len(part) == WIDTH]
        level += 1


def _require_root(session: Session, newest: Outside) -> None:
    total = tree.Accumulator()
    for body in session.scalars(select(Leaf.body).where(Leaf.seq >= 0).order_by(Leaf.seq)):
        total.add(tree.leaf_hash(body))
    if total.size != newest.size or total.root != newest.root:
        raise LogDamaged("the entries outside do not lead to the checkpoint outside")


def begin_anew(database: Database, newest: Outside, *, before: note.Key, origin: str, now: datetime) -> None:
    """Makes every entry wait for a number again, behind one that names the frozen log, its last checkpoint, and what is lost."""
    with database.write() as session:
        if session.scalar(select(Leaf.id).where(Leaf.event == CONTINUED, Leaf.object_id == origin)):
            return  # A crash came between this and the new key.
        size = _size(session)
        # The index of terms goes by number, so it is made anew as well.
        for model in (Tile, Checkpoint, Term, Hour, Indexed):
            session.execute(delete(model))
        first = session.scalar(select(func.min(Leaf.arrival))) or 0
        session.execute(update(_LEAVES).values(seq=None, leaf_hash=None))
        leaf_id = record(
            session, CONTINUED, actor=SYSTEM, obj=("log", origin), now=now,
            frozen=before.text, size=newest.size, root=base64.b64encode(newest.root).decode(),
            kept=size, lost=[size, newest.size],
        )  # fmt: skip
        session.execute(update(_LEAVES).where(_LEAVES.c.id == leaf_id).values(arrival=first - 1))
