"""One turn of the sequencer: under the lease, number what waits, grow the tree, sign one checkpoint. One transaction.

Order: `arrival` is drawn from a sequence when an entry is inserted, and a turn takes, of all entries that its one snapshot sees
committed and unnumbered, those with the smallest `arrival`, in that order. Whoever inserts after another's commit draws the
greater `arrival`, and a snapshot that sees the later commit sees the earlier one; so an entry inserted after another's commit is
numbered after it, and the more so one whose transaction began after it. Two transactions that overlap may stand in either order,
unless a row lock put their inserts in one. What is in flight waits for a later turn, so nothing has to wait for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from gateway.audit import batch, note, tiles, tree
from gateway.audit.batch import BATCH, LEASE
from gateway.audit.errors import LogDamaged
from gateway.audit.models import Checkpoint, Lease
from gateway.audit.signer import Signer
from gateway.db import new_id

__all__ = ["BATCH", "LEASE_TIME", "CheckpointView", "Sequencer", "Turn"]

LEASE_TIME = timedelta(seconds=10)


@dataclass(frozen=True)
class CheckpointView:
    """A signed tree head: number of entries, root (32 bytes), the signed note, when it was made or confirmed.

    `old`, for whoever is told of a new checkpoint, is the size of the usable checkpoint before it: its own size on a heartbeat.
    """

    size: int
    root: bytes
    note: str
    at: datetime
    old: int | None = None


@dataclass(frozen=True)
class Turn:
    """What one turn did: ids of the entries numbered, the newest checkpoint, whether it needs no witness to be used."""

    numbered: Sequence[str]
    last: CheckpointView
    usable: bool


class Sequencer:
    """Numbers and signs inside transactions that the log opens; remembers what it has seen signed.

    `witnessed`: checkpoints are not usable when signed, but only once `confirm` has stored their cosigned note. The lease is the
    lock of one row, held to the end of the transaction; where a witness is asked after it, the lease's row names its holder too.
    """

    def __init__(
        self, signer: Signer, *, sqlite_engine: bool, lease_time: timedelta, witnessed: bool
    ) -> None:
        self._signer = signer
        self._sqlite = sqlite_engine
        self._lease_time = lease_time
        self._witnessed = witnessed
        self._holder = new_id()
        self._known = ""
        self._edge: dict[tuple[int, int], bytes] = {}
        self._seen: note.TreeHead | None = None

    def release(self, session: Session) -> None:
        """Gives the lease back after the witness was asked, unless somebody has taken it over."""
        mine = update(_LEASE).where(_LEASE.c.name == LEASE, _LEASE.c.holder == self._holder)
        session.execute(mine.values(holder=None, until=None))

    def turn(self, session: Session, now: datetime, *, beat: bool = False) -> Turn | None:
        """Numbers waiting entries and signs a checkpoint over them; with `beat` also when nothing waits.

        None when there was nothing to do, or another holder works or has time left. Raises LogDamaged or BadSignature, signing
        nothing, when the stored log contradicts its last checkpoint or what this process has seen signed.
        """
        # The row lock is held to the end of the transaction, so two processes never number at once whatever their clocks say.
        found = batch.read(session, self._lease_time) or self._first(session)
        if found is None or self._held(found, now):
            return None
        last, pending = found.last, found.last is not None and not found.last.usable
        if not found.waiting and not beat and not pending:
            return None
        if self._witnessed:
            mine = {"holder": self._holder, "until": now + self._lease_time}
            session.execute(update(_LEASE).where(_LEASE.c.name == LEASE).values(mine))
        edge = self._last(session, found)
        old = _usable_before(session, last)
        if last is not None and not found.waiting:
            if not self._witnessed:
                _settle(session, last.size, now)
            return Turn((), CheckpointView(last.size, last.root, last.note, now, old), not self._witnessed)
        return self._grow(session, found, edge, now, old)

    def confirm(self, session: Session, size: int, cosigned: str, now: datetime) -> bool:
        """Stores the cosigned note of a checkpoint and makes it usable; False when a larger one has become so meanwhile."""
        larger = select(Checkpoint.size).where(Checkpoint.size > size, Checkpoint.usable_at.is_not(None))
        if session.scalar(larger.limit(1)) is not None:
            return False
        # A receipt under this checkpoint stays as it was first handed out: a later cosignature only confirms the time.
        first = update(_CHECKPOINT).where(_CHECKPOINT.c.size == size, _CHECKPOINT.c.usable_at.is_(None))
        session.execute(first.values(note=cosigned))
        _settle(session, size, now)
        return True

    def saw(self, made: CheckpointView) -> None:
        """Remembers a checkpoint whose transaction has committed."""
        if self._seen is None or made.size > self._seen.size:
            self._seen = note.TreeHead(self._signer.name, made.size, made.root)

    def _first(self, session: Session) -> batch.Batch | None:
        dialect: Any = sqlite if self._sqlite else postgresql
        free = {"name": LEASE, "holder": None, "until": None}
        session.execute(dialect.insert(Lease).values(free).on_conflict_do_nothing())
        return batch.read(session, self._lease_time)

    def _held(self, found: batch.Batch, now: datetime) -> bool:
        ours = found.holder in (None, self._holder)
        return not ours and found.until is not None and found.until > now

    def _grow(self, session: Session, found: batch.Batch, edge: tiles.Edge, now: datetime, old: int) -> Turn:
        first, hashes = edge.size, [tree.leaf_hash(body) for _, _, body in found.waiting]
        edge.append(hashes)
        root = tree.root(edge.node, edge.size)
        signed = self._signer.sign(note.TreeHead(self._signer.name, edge.size, root).text())
        made = batch.Signed(edge.size, root, signed, not self._witnessed)
        arrivals = [arrival for arrival, _, _ in found.waiting]
        batch.write(session, batch.Growth(first, arrivals, hashes, edge.changed, made, now))
        # Should this transaction fail, the next turn finds another edge than this and compares anew.
        self._edge, self._known = edge.stored, signed
        view = CheckpointView(edge.size, root, signed, now, old)
        return Turn([leaf_id for _, leaf_id, _ in found.waiting], view, made.usable)

    def _last(self, session: Session, found: batch.Batch) -> tiles.Edge:
        """The tree so far, checked: what is to be extended must be what was signed, or nothing more is signed."""
        head = self._head(found.last)
        highest = found.highest
        if (highest is None and head.size) or (highest is not None and highest + 1 != head.size):
            raise LogDamaged("entries and the last checkpoint do not fit")
        edge = tiles.Edge(session, head.size, found.edge)
        seen = self._seen
        if seen is None or (head.size, head.root) != (seen.size, seen.root) or edge.stored != self._edge:
            self._compare(edge, head)
        return edge

    def _head(self, last: batch.Signed | None) -> note.TreeHead:
        if last is None:
            return note.TreeHead(self._signer.name, 0, tree.EMPTY_ROOT)
        if last.note == self._known:
            head = note.parse_head(note.parse(last.note).text)
        else:
            head = note.open_checkpoint(last.note, [self._signer.key])
        if (last.size, last.root) != (head.size, head.root):
            raise LogDamaged("a checkpoint's row differs from what was signed")
        self._known = last.note
        return head

    def _compare(self, edge: tiles.Edge, head: note.TreeHead) -> None:
        if tree.root(edge.node, head.size) != head.root:
            raise LogDamaged("the stored tree is not the signed one")
        # What this process has seen signed must still be the beginning, whatever the database now says.
        seen = self._seen
        if seen is not None and (head.size < seen.size or tree.root(edge.node, seen.size) != seen.root):
            raise LogDamaged("a signed checkpoint is gone")


_CHECKPOINT: Table = Checkpoint.__table__  # type: ignore[assignment]
_LEASE: Table = Lease.__table__  # type: ignore[assignment]


def _settle(session: Session, size: int, now: datetime) -> None:
    usable = func.coalesce(_CHECKPOINT.c.usable_at, bindparam("b_now", now, _CHECKPOINT.c.at.type))
    session.execute(update(_CHECKPOINT).where(_CHECKPOINT.c.size == size).values(at=now, usable_at=usable))


def _usable_before(session: Session, last: batch.Signed | None) -> int:
    if last is None or last.usable:
        return last.size if last is not None else 0
    return session.scalar(select(func.max(Checkpoint.size)).where(Checkpoint.usable_at.is_not(None))) or 0
