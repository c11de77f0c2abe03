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

from sqlalchemy import Table, bindparam, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from gateway.audit import note, tiles, tree
from gateway.audit.errors import LogDamaged
from gateway.audit.models import Checkpoint, Leaf, Lease
from gateway.audit.signer import Signer
from gateway.db import new_id

LEASE = "sequencer"
LEASE_TIME = timedelta(seconds=10)
BATCH = 5_000


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
    """What one turn did: entries numbered, the newest checkpoint, and whether anything may rest on it without a witness."""

    count: int
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

    def take(self, session: Session, now: datetime) -> bool:
        """Takes the lease for this transaction; False while another holder works or has time left."""
        # The row lock is held to the end of the transaction, so two processes never number at once whatever their clocks say.
        lease = self._lease(session)
        if lease is None:
            return False
        if lease.holder not in (None, self._holder) and lease.until is not None and lease.until > now:
            return False
        if self._witnessed:
            held = {"holder": self._holder, "until": now + self._lease_time}
            session.execute(update(_LEASE).where(_LEASE.c.name == LEASE).values(held))
        return True

    def release(self, session: Session) -> None:
        """Gives the lease back after the witness was asked, unless somebody has taken it over."""
        mine = update(_LEASE).where(_LEASE.c.name == LEASE, _LEASE.c.holder == self._holder)
        session.execute(mine.values(holder=None, until=None))

    def turn(self, session: Session, now: datetime, *, beat: bool = False) -> Turn | None:
        """Numbers waiting entries and signs a checkpoint over them; with `beat` also when nothing waits.

        None when there was nothing to do. Raises LogDamaged or BadSignature, signing nothing, when the stored log contradicts
        its last checkpoint or what this process has seen signed.
        """
        waiting = session.execute(_WAITING).all()
        row = session.execute(_LAST).first()
        pending = row is not None and row.usable_at is None
        if not waiting and not beat and not pending:
            return None
        edge, head = self._last(session, row)
        old = _usable_before(session, row)
        if row is not None and not waiting:
            if not self._witnessed:
                _settle(session, row.size, now)
            return Turn(0, CheckpointView(row.size, row.root, row.note, now, old), not self._witnessed)
        hashes = [tree.leaf_hash(leaf.body) for leaf in waiting]
        if waiting:
            self._fill(session, head.size, [leaf.arrival for leaf in waiting], hashes)
        return Turn(len(hashes), self._grow(session, edge, hashes, now, old), not self._witnessed)

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

    def _lease(self, session: Session) -> Any:
        # On PostgreSQL the server itself ends the transaction of a holder that stalls, and with it the row lock.
        limit = str(int(self._lease_time.total_seconds() * 1000))
        timeout = func.set_config("idle_in_transaction_session_timeout", limit, True)
        columns = [Lease.holder, Lease.until, *([] if self._sqlite else [timeout])]
        query = select(*columns).where(Lease.name == LEASE).with_for_update(of=Lease, skip_locked=True)
        found = session.execute(query).first()
        if found is None:
            dialect: Any = sqlite if self._sqlite else postgresql
            first = {"name": LEASE, "holder": None, "until": None}
            session.execute(dialect.insert(Lease).values(first).on_conflict_do_nothing())
            found = session.execute(query).first()
        return found

    def _last(self, session: Session, row: Any) -> tuple[tiles.Edge, note.TreeHead]:
        """The tree so far, checked: what is to be extended must be what was signed, or nothing more is signed."""
        head = self._head(row)
        highest = session.scalar(_HIGHEST)
        if (highest is None and head.size) or (highest is not None and highest + 1 != head.size):
            raise LogDamaged("entries and the last checkpoint do not fit")
        edge = tiles.Edge(session, head.size)
        seen = self._seen
        if seen is None or (head.size, head.root) != (seen.size, seen.root) or edge.stored != self._edge:
            self._compare(edge, head)
        return edge, head

    def _head(self, row: Any) -> note.TreeHead:
        if row is None:
            return note.TreeHead(self._signer.name, 0, tree.EMPTY_ROOT)
        if row.note == self._known:
            head = note.parse_head(note.parse(row.note).text)
        else:
            head = note.open_checkpoint(row.note, [self._signer.key])
        if (row.size, row.root) != (head.size, head.root):
            raise LogDamaged("a checkpoint's row differs from what was signed")
        self._known = row.note
        return head

    def _compare(self, edge: tiles.Edge, head: note.TreeHead) -> None:
        if tree.root(edge.node, head.size) != head.root:
            raise LogDamaged("the stored tree is not the signed one")
        # What this process has seen signed must still be the beginning, whatever the database now says.
        seen = self._seen
        if seen is not None and (head.size < seen.size or tree.root(edge.node, seen.size) != seen.root):
            raise LogDamaged("a signed checkpoint is gone")

    def _grow(
        self, session: Session, edge: tiles.Edge, hashes: Sequence[bytes], now: datetime, old: int
    ) -> CheckpointView:
        if hashes:
            edge.append(hashes)
            edge.store(self._sqlite)
        root = tree.root(edge.node, edge.size)
        signed = self._signer.sign(note.TreeHead(self._signer.name, edge.size, root).text())
        made = CheckpointView(edge.size, root, signed, now, old)
        values = {"size": made.size, "root": root, "note": signed, "at": now}
        session.execute(insert(_CHECKPOINT), {**values, "usable_at": None if self._witnessed else now})
        # Should this transaction fail, the next turn finds another edge than this and compares anew.
        self._edge = edge.stored
        return made

    def _fill(self, session: Session, size: int, arrivals: Sequence[int], hashes: Sequence[bytes]) -> None:
        if self._sqlite:
            rows = [
                {"b_arrival": arrival, "b_seq": size + i, "b_hash": digest}
                for i, (arrival, digest) in enumerate(zip(arrivals, hashes, strict=True))
            ]
            session.connection().execute(_FILL, rows)
            return
        numbers = list(range(size, size + len(hashes)))
        session.execute(_FILL_MANY, {"arrivals": list(arrivals), "numbers": numbers, "hashes": list(hashes)})


_LEAF: Table = Leaf.__table__  # type: ignore[assignment]
_CHECKPOINT: Table = Checkpoint.__table__  # type: ignore[assignment]
_LEASE: Table = Lease.__table__  # type: ignore[assignment]

# Built once: a turn is taken many times a second, and statements made anew cost more than the numbering.
_WAITING = select(Leaf.arrival, Leaf.body).where(Leaf.seq.is_(None)).order_by(Leaf.arrival).limit(BATCH)
_LAST = select(_CHECKPOINT).order_by(_CHECKPOINT.c.size.desc()).limit(1)
_HIGHEST = select(func.max(Leaf.seq))
_FILL = (
    update(_LEAF)
    .where(_LEAF.c.arrival == bindparam("b_arrival"))
    .values(seq=bindparam("b_seq"), leaf_hash=bindparam("b_hash"))
)
_FILL_MANY = text(
    "UPDATE audit_leaf SET seq = given.seq, leaf_hash = given.leaf_hash FROM unnest("
    "CAST(:arrivals AS bigint[]), CAST(:numbers AS bigint[]), CAST(:hashes AS bytea[])"
    ") AS given (arrival, seq, leaf_hash) WHERE audit_leaf.arrival = given.arrival"
)


def _settle(session: Session, size: int, now: datetime) -> None:
    usable = func.coalesce(_CHECKPOINT.c.usable_at, bindparam("b_now", now, _CHECKPOINT.c.at.type))
    session.execute(update(_CHECKPOINT).where(_CHECKPOINT.c.size == size).values(at=now, usable_at=usable))


def _usable_before(session: Session, row: Any) -> int:
    if row is None:
        return 0
    if row.usable_at is not None:
        return int(row.size)
    return session.scalar(select(func.max(Checkpoint.size)).where(Checkpoint.usable_at.is_not(None))) or 0
