"""The log of one installation: numbers waiting entries, signs checkpoints, hands out receipts."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, bindparam, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from gateway.audit import note, proof, tiles, tree
from gateway.audit.errors import AuditError, LogDamaged
from gateway.audit.models import Checkpoint, Leaf, Lease
from gateway.audit.signer import Signer
from gateway.db import Database, new_id
from gateway.errors import Unavailable

LEASE = "sequencer"
LEASE_TIME = timedelta(seconds=10)
BATCH = 5_000
UNNUMBERED_LIMIT_S = 60.0
_POLL_S = 0.02


@dataclass(frozen=True)
class CheckpointView:
    """A signed tree head: number of entries, root (32 bytes), the signed note, when it was made or confirmed."""

    size: int
    root: bytes
    note: str
    at: datetime


@dataclass(frozen=True)
class Health:
    """Whether the log can be written; seconds that the oldest entry waits for its number; age of the last checkpoint."""

    writable: bool
    oldest_unnumbered_s: float
    checkpoint_age_s: float | None
    ok: bool


class Log:
    """Any process may hold one; the lease in the database lets one at a time number entries.

    `publish` is told of every new checkpoint after its commit, in the thread that made it, and must not raise. `lease_time` is
    how long a holder may take before another replaces it.
    """

    def __init__(
        self,
        database: Database,
        signer: Signer,
        *,
        origin: str,
        publish: Callable[[CheckpointView], None] | None = None,
        lease_time: timedelta = LEASE_TIME,
    ) -> None:
        if signer.name != origin:
            raise ValueError("the key's name is not the log's origin")
        self._database = database
        self._signer = signer
        self._origin = origin
        self._publish = publish
        self._lease_time = lease_time
        self._holder = new_id()
        self._turn = threading.Condition()
        self._busy = False
        self._highest: note.TreeHead | None = None

    @property
    def vkey(self) -> str:
        """The checkpoint key in the text form that verifiers take."""
        return self._signer.vkey

    def sequence(self, *, now: datetime) -> int:
        """Numbers waiting entries in commit order and signs one checkpoint, all in one transaction; returns how many.

        0 also when another holder's lease runs. Raises LogDamaged, signing nothing, when the stored log contradicts the last
        checkpoint.
        """
        self._outside()
        with self._database.write() as session:
            if not self._take(session, now):
                return 0
            made, count = self._number(session, now)
            self._release(session)
        if made is not None:
            self._announce(made)
        return count

    def heartbeat(self, *, now: datetime) -> CheckpointView | None:
        """A checkpoint even when nothing happened: numbers what waits, else confirms the last one (of size 0 at first).

        It is published in either case. None while another holder's lease runs.
        """
        self._outside()
        with self._database.write() as session:
            if not self._take(session, now):
                return None
            made = self._number(session, now)[0] or self._sign(session, self._last(session), now)
            self._release(session)
        self._announce(made)
        return made

    def await_checkpoint(self, leaf_id: str, *, now: datetime, deadline_s: float = 10.0) -> CheckpointView:
        """Waits until a signed checkpoint covers the entry, sequencing itself whenever nobody else does.

        Raises Unavailable when there is none within `deadline_s` seconds, or the database or the log fails.
        """
        self._outside()
        end = time.monotonic() + deadline_s
        try:
            while True:
                view = self._covering(leaf_id)
                if view is not None:
                    return view
                if time.monotonic() >= end:
                    raise Unavailable("LOG")
                self._advance(now, end)
        except (SQLAlchemyError, AuditError) as error:
            raise Unavailable("LOG") from error

    def receipt(self, leaf_id: str) -> bytes:
        """The receipt (.tlog-proof) of an entry under the first checkpoint that covers it; raises Unavailable while it waits."""
        with self._database.read() as session:
            leaf = session.get(Leaf, leaf_id)
            head = covering(session, leaf.seq) if leaf is not None and leaf.seq is not None else None
            if leaf is None or leaf.seq is None or head is None:
                raise Unavailable("LOG")
            path = tree.inclusion(tiles.Tiles(session).node, leaf.seq, head.size)
            return proof.Receipt(leaf.seq, path, head.note, leaf.body).encode()

    def consistency(self, old_size: int) -> bytes:
        """The last checkpoint with the proof that the tree of `old_size` is its beginning (docs/formats.md, Checkpoint).

        Raises Unavailable when there is no checkpoint yet, ValueError when it is smaller than `old_size`.
        """
        with self._database.read() as session:
            head = _latest(session)
            if head is None:
                raise Unavailable("LOG")
            path = tree.consistency(tiles.Tiles(session).node, old_size, head.size)
            return proof.Extension(old_size, path, head.note).encode()

    def latest(self) -> CheckpointView | None:
        """The last checkpoint; None before the first."""
        with self._database.read() as session:
            row = _latest(session)
            return _view(row) if row is not None else None

    def health(self, *, now: datetime) -> Health:
        """Whether entries can be written and get their numbers in time (policy.md §4, LOG)."""
        writable = self._writable()
        try:
            with self._database.read() as session:
                oldest = session.scalar(select(func.min(Leaf.at)).where(Leaf.seq.is_(None)))
                last = session.scalar(select(func.max(Checkpoint.at)))
        except SQLAlchemyError:
            return Health(writable=False, oldest_unnumbered_s=0.0, checkpoint_age_s=None, ok=False)
        waiting = max(0.0, (now - oldest).total_seconds()) if oldest is not None else 0.0
        age = (now - last).total_seconds() if last is not None else None
        return Health(writable, waiting, age, ok=writable and waiting <= UNNUMBERED_LIMIT_S)

    def _writable(self) -> bool:
        if self._database.writing:
            return True
        try:
            with self._database.write() as session:
                if self._database.is_sqlite:
                    return True
                return str(session.scalar(text("SHOW transaction_read_only"))) == "off"
        except SQLAlchemyError:
            return False

    def _outside(self) -> None:
        # Inside a transaction the caller's own entry is not committed, and numbering would hold everybody's lock.
        if self._database.writing:
            raise RuntimeError("the log is numbered outside of transactions")

    def _advance(self, now: datetime, end: float) -> None:
        with self._turn:
            if self._busy:
                self._turn.wait(max(0.0, min(_POLL_S, end - time.monotonic())))
                return
            self._busy = True
        numbered = 0
        try:
            numbered = self.sequence(now=now)
        finally:
            with self._turn:
                self._busy = False
                self._turn.notify_all()
        if not numbered:
            with self._turn:
                self._turn.wait(max(0.0, min(_POLL_S, end - time.monotonic())))

    def _covering(self, leaf_id: str) -> CheckpointView | None:
        with self._database.read() as session:
            leaf = session.get(Leaf, leaf_id)
            if leaf is None:
                raise Unavailable("LOG")
            row = covering(session, leaf.seq) if leaf.seq is not None else None
            return _view(row) if row is not None else None

    def _take(self, session: Session, now: datetime) -> bool:
        # The row lock is held to the end of the transaction, so two processes never number at once whatever their clocks say.
        lease = self._lease(session)
        if lease is None:
            return False
        if lease.holder not in (None, self._holder) and lease.until is not None and lease.until > now:
            return False
        lease.holder, lease.until = self._holder, now + self._lease_time
        if not self._database.is_sqlite:
            # The server itself ends the transaction of a holder that stalls, and with it the row lock.
            limit = int(self._lease_time.total_seconds() * 1000)
            session.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = {limit}"))
        return True

    def _lease(self, session: Session) -> Lease | None:
        query = select(Lease).where(Lease.name == LEASE).with_for_update(skip_locked=True)
        found = session.scalar(query.execution_options(populate_existing=True))
        if found is None:
            values = {"name": LEASE, "holder": None, "until": None}
            dialect: Any = sqlite if self._database.is_sqlite else postgresql
            session.execute(dialect.insert(Lease).values(values).on_conflict_do_nothing())
            found = session.scalar(query)
        return found

    def _release(self, session: Session) -> None:
        lease = session.get(Lease, LEASE)
        if lease is not None:
            lease.holder, lease.until = None, None

    def _number(self, session: Session, now: datetime) -> tuple[CheckpointView | None, int]:
        query = select(Leaf.arrival, Leaf.body).where(Leaf.seq.is_(None)).order_by(Leaf.arrival).limit(BATCH)
        waiting = session.execute(query).all()
        if not waiting:
            return None, 0
        last = self._last(session)
        hashes = [tree.leaf_hash(row.body) for row in waiting]
        _fill(session, last.size, [row.arrival for row in waiting], hashes)
        tiles.append(session, last.size, hashes)
        session.flush()
        size = last.size + len(hashes)
        head = note.TreeHead(self._origin, size, tree.root(tiles.Tiles(session).node, size))
        return self._sign(session, head, now), len(hashes)

    def _last(self, session: Session) -> note.TreeHead:
        """The tree so far, checked: what is to be extended must be what was signed, or nothing more is signed."""
        row = _latest(session)
        if row is None:
            head = note.TreeHead(self._origin, 0, tree.EMPTY_ROOT)
        else:
            head = note.open_checkpoint(row.note, [self._signer.key])
        if row is not None and (row.size, row.root) != (head.size, head.root):
            raise LogDamaged("a checkpoint's row differs from what was signed")
        highest = session.scalar(select(func.max(Leaf.seq)))
        if (highest is None and head.size) or (highest is not None and highest + 1 != head.size):
            raise LogDamaged("entries and the last checkpoint do not fit")
        node = tiles.Tiles(session).node
        if tree.root(node, head.size) != head.root:
            raise LogDamaged("the stored tree is not the signed one")
        # What this process has seen signed must still be the beginning, whatever the database now says.
        seen = self._highest
        if seen is not None and (head.size < seen.size or tree.root(node, seen.size) != seen.root):
            raise LogDamaged("a signed checkpoint is gone")
        return head

    def _sign(self, session: Session, head: note.TreeHead, now: datetime) -> CheckpointView:
        view = CheckpointView(head.size, head.root, self._signer.sign(head.text()), now)
        row = session.get(Checkpoint, head.size)
        if row is None:
            session.add(Checkpoint(size=view.size, root=view.root, note=view.note, at=now))
        else:
            row.at = now
        return view

    def _announce(self, made: CheckpointView) -> None:
        with self._turn:
            if self._highest is None or made.size > self._highest.size:
                self._highest = note.TreeHead(self._origin, made.size, made.root)
        if self._publish is not None:
            self._publish(made)


def _fill(session: Session, size: int, arrivals: Sequence[int], hashes: Sequence[bytes]) -> None:
    table: Table = Leaf.__table__  # type: ignore[assignment]
    statement = (
        update(table)
        .where(table.c.arrival == bindparam("b_arrival"))
        .values(seq=bindparam("b_seq"), leaf_hash=bindparam("b_hash"))
    )
    rows = [
        {"b_arrival": arrival, "b_seq": size + i, "b_hash": digest}
        for i, (arrival, digest) in enumerate(zip(arrivals, hashes, strict=True))
    ]
    session.connection().execute(statement, rows)


def _latest(session: Session) -> Checkpoint | None:
    query = select(Checkpoint).order_by(Checkpoint.size.desc()).limit(1)
    return session.scalar(query.execution_options(populate_existing=True))


def covering(session: Session, seq: int) -> Checkpoint | None:
    """The first checkpoint whose tree holds the entry with this number."""
    query = select(Checkpoint).where(Checkpoint.size > seq).order_by(Checkpoint.size).limit(1)
    return session.scalar(query)


def _view(row: Checkpoint) -> CheckpointView:
    return CheckpointView(row.size, row.root, row.note, row.at)
