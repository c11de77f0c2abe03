"""The whole check of the stored log: every entry against its columns, its hash, the tiles and every checkpoint."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.audit import leaf, note, tree
from gateway.audit.errors import AuditError, LogDamaged
from gateway.audit.models import Checkpoint, Leaf, Personal, Tile
from gateway.audit.service import columns
from gateway.audit.tiles import WIDTH

_CHUNK = 500


def audit_rebuild(session: Session, keys: Sequence[note.Key] = ()) -> bytes:
    """The root computed from the entries alone; raises LogDamaged naming the first thing that does not fit.

    With `keys` the signature of every checkpoint is checked too. What waits for its number is checked against its columns.
    """
    total = tree.Accumulator()
    tiles = _TileCheck(session)
    checkpoints = {c.size: c for c in session.scalars(_fresh(select(Checkpoint)))}
    _check_checkpoint(checkpoints.pop(0, None), total.root, keys)
    ended = True
    for row in _numbered(session):
        _check_number(row, total.size)
        total.add(row.leaf_hash or b"")
        tiles.add(0, row.leaf_hash or b"")
        ended = total.size in checkpoints
        _check_checkpoint(checkpoints.pop(total.size, None), total.root, keys)
    tiles.finish()
    if checkpoints:
        raise LogDamaged("a checkpoint covers entries that are gone")
    if not ended:
        raise LogDamaged("numbered entries lack their checkpoint")
    _check_waiting(session)
    return total.root


def _fresh(query: Any) -> Any:
    return query.execution_options(populate_existing=True)


def _numbered(session: Session) -> Iterator[Leaf]:
    after = -1
    while True:
        query = select(Leaf).where(Leaf.seq > after).order_by(Leaf.seq).limit(_CHUNK)
        rows = session.scalars(_fresh(query)).all()
        if not rows:
            return
        _check_rows(session, rows)
        yield from rows
        after = rows[-1].seq or 0
        for row in rows:
            session.expunge(row)


def _check_waiting(session: Session) -> None:
    rows = session.scalars(_fresh(select(Leaf).where(Leaf.seq.is_(None)))).all()
    if any(row.leaf_hash is not None for row in rows):
        raise LogDamaged("an entry has lost its number")
    _check_rows(session, rows)


def _check_number(row: Leaf, expected: int) -> None:
    if row.seq != expected:
        raise LogDamaged(f"entry {expected} is missing")
    if row.leaf_hash != tree.leaf_hash(row.body):
        raise LogDamaged(f"entry {expected} differs from its hash")


def _check_rows(session: Session, rows: Sequence[Leaf]) -> None:
    opened: dict[str, list[Personal]] = {}
    for start in range(0, len(rows), _CHUNK):
        ids = [row.id for row in rows[start : start + _CHUNK]]
        for value in session.scalars(_fresh(select(Personal).where(Personal.leaf_id.in_(ids)))):
            opened.setdefault(value.leaf_id, []).append(value)
    for row in rows:
        _check_row(row, opened.get(row.id, []))


def _check_row(row: Leaf, opened: Sequence[Personal]) -> None:
    try:
        entry = leaf.parse(row.body)
    except AuditError as error:
        raise LogDamaged(f"entry {row.seq}: {error}") from error
    for name, value in columns(entry).items():
        if getattr(row, name) != value:
            raise LogDamaged(f"entry {row.seq}: the column {name} differs from the entry")
    for value in opened:
        if leaf.commitment(value.salt, value.field, value.value) != entry.personal.get(value.field):
            raise LogDamaged(f"entry {row.seq}: {value.field} is not what was committed to")
    labels = [value.value[:200] for value in opened if value.field == "actor.label"]
    if row.actor != (labels[0] if labels else None):
        raise LogDamaged(f"entry {row.seq}: the column actor differs from the entry")


def _check_checkpoint(row: Checkpoint | None, root: bytes, keys: Sequence[note.Key]) -> None:
    if row is None:
        return
    try:
        head = note.open_checkpoint(row.note, keys) if keys else note.parse_head(note.parse(row.note).text)
    except AuditError as error:
        raise LogDamaged(f"checkpoint {row.size}: {error}") from error
    if (head.size, head.root, row.root) != (row.size, root, root):
        raise LogDamaged(f"checkpoint {row.size} has another root than the entries")


class _TileCheck:
    """Compares every stored tile with the hashes of the entries, level by level."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows: list[list[bytes]] = []
        self._done: list[int] = []

    def add(self, level: int, value: bytes) -> None:
        """One more hash of a level; a full tile is compared and its root goes up."""
        if level == len(self._rows):
            self._rows.append([])
            self._done.append(0)
        row = self._rows[level]
        row.append(value)
        if len(row) == WIDTH:
            self._compare(level)
            self._done[level] += 1
            up = tree.complete_root(row)
            row.clear()
            self.add(level + 1, up)

    def finish(self) -> None:
        """Compares the partial tiles at the right edge, and that there are no more tiles than the tree needs."""
        for level, row in enumerate(self._rows):
            if row:
                self._compare(level)
        wanted = {
            (level, done + bool(row))
            for level, (done, row) in enumerate(zip(self._done, self._rows, strict=True))
        }
        stored: dict[int, int] = {}
        for level in self._session.scalars(select(Tile.level)):
            stored[level] = stored.get(level, 0) + 1
        if set(stored.items()) != {(level, count) for level, count in wanted if count}:
            raise LogDamaged("there are more tiles than entries")

    def _compare(self, level: int) -> None:
        row = self._session.get(Tile, (level, self._done[level]), populate_existing=True)
        if row is None or row.hashes != b"".join(self._rows[level]):
            raise LogDamaged(f"tile {level}/{self._done[level]} differs from the entries")
        self._session.expunge(row)
