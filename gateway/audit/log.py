"""The log of one installation: has waiting entries numbered and signed, waits for checkpoints, hands out receipts."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from gateway.audit import note, proof, tiles, tree
from gateway.audit.cosign import Cosign
from gateway.audit.errors import AuditError, WitnessUnavailable
from gateway.audit.models import Checkpoint, Leaf
from gateway.audit.sequencer import LEASE_TIME, CheckpointView, Sequencer, Turn
from gateway.audit.signer import Signer
from gateway.db import Database
from gateway.errors import Unavailable

UNNUMBERED_LIMIT_S = 60.0
_POLL_S = 0.01
_LOOK_S = 0.1
_REMEMBERED = 20_000


@dataclass(frozen=True)
class Health:
    """Whether the log can be written; seconds that the oldest entry waits for a usable checkpoint; age of the last one."""

    writable: bool
    oldest_unnumbered_s: float
    checkpoint_age_s: float | None
    ok: bool


class Log:
    """Any process may hold one; the lease in the database lets one at a time number entries.

    `publish` is told of every new usable checkpoint after its commit, in the thread that made it, and must not raise; the view's
    `old` and `size` say which entries are new since the usable checkpoint before it. `cosign` makes a witness's line a condition:
    a checkpoint is stored first (`usable_at` None in its row), the witness is asked outside of every transaction, and only the
    note that comes back makes it usable; until then nothing here shows it, no receipt is made under it, no wait ends with it, and
    a wait ends with Unavailable("LOG") when the witness cannot be had. Unless `cosign_required`, a note that comes back without a
    cosignature is taken as well. `lease_time` is how long a holder may take, the witness
    included, before another replaces it.
    """

    def __init__(
        self,
        database: Database,
        signer: Signer,
        *,
        origin: str,
        publish: Callable[[CheckpointView], None] | None = None,
        cosign: Cosign | None = None,
        cosign_required: bool = True,
        lease_time: timedelta = LEASE_TIME,
    ) -> None:
        if signer.name != origin:
            raise ValueError("the key's name is not the log's origin")
        self._database = database
        self._signer = signer
        self._publish = publish
        self._cosign = cosign
        self._cosign_required = cosign_required
        self._sequencer = Sequencer(
            signer, sqlite_engine=database.is_sqlite, lease_time=lease_time, witnessed=cosign is not None
        )
        self._turn = threading.Condition()
        self._busy = False
        self._covered: dict[str, CheckpointView] = {}

    @property
    def vkey(self) -> str:
        """The checkpoint key in the text form that verifiers take."""
        return self._signer.vkey

    def sequence(self, *, now: datetime) -> int:
        """Numbers waiting entries and signs one checkpoint, all in one transaction; returns how many.

        0 also when another holder's lease runs. A checkpoint that still lacks its cosignature is brought to the witness again.
        Raises LogDamaged, signing nothing, when the stored log contradicts the last checkpoint; WitnessUnavailable when the
        entries have their numbers but the checkpoint over them may not be used yet.
        """
        done = self._work(now, beat=False)
        return len(done.numbered) if done is not None else 0

    def heartbeat(self, *, now: datetime) -> CheckpointView | None:
        """A checkpoint even when nothing happened: numbers what waits, else confirms the last one (of size 0 at first).

        It is published in either case, and cosigned anew where a witness is required. None while another holder's lease runs, or
        when a larger checkpoint was confirmed meanwhile. Raises what `sequence` raises.
        """
        done = self._work(now, beat=True)
        return done.last if done is not None else None

    def await_checkpoint(self, leaf_id: str, *, now: datetime, deadline_s: float = 10.0) -> CheckpointView:
        """Waits until a usable checkpoint covers the entry, sequencing itself whenever nobody else does.

        Raises Unavailable when there is none within `deadline_s` seconds, or the database, the log or the witness fails.
        """
        self._outside()
        start = time.monotonic()
        try:
            while True:
                waited = time.monotonic() - start
                view = self._covered.get(leaf_id) or self._advance(
                    leaf_id, now + timedelta(seconds=waited), deadline_s - waited
                )
                if view is not None:
                    return view
                if waited >= deadline_s:
                    raise Unavailable("LOG")
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
                oldest, last = _waiting_since(session), _latest(session)
        except SQLAlchemyError:
            return Health(writable=False, oldest_unnumbered_s=0.0, checkpoint_age_s=None, ok=False)
        waiting = max(0.0, (now - oldest).total_seconds()) if oldest is not None else 0.0
        age = (now - last.at).total_seconds() if last is not None else None
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

    def _work(self, now: datetime, *, beat: bool) -> Turn | None:
        self._outside()
        with self._database.write() as session:
            done = self._sequencer.turn(session, now, beat=beat)
        if done is None:
            return None
        self._sequencer.saw(done.last)
        if not done.usable:
            done = self._have_cosigned(done, now)
        if done is not None:
            self._remember(done.numbered, replace(done.last, old=None))
        if done is not None and self._publish is not None:
            self._publish(done.last)
        return done

    def _remember(self, leaves: Iterable[str], view: CheckpointView) -> None:
        # So that those who wait in this process, and every further piece of a download, need not ask the database.
        with self._turn:
            for leaf_id in leaves:
                self._covered[leaf_id] = view
            while len(self._covered) > _REMEMBERED:
                self._covered.pop(next(iter(self._covered)))

    def _have_cosigned(self, done: Turn, now: datetime) -> Turn | None:
        made, confirmed = done.last, False
        try:
            cosigned = self._ask(made)
            with self._database.write() as session:
                confirmed = self._sequencer.confirm(session, made.size, cosigned, now)
        finally:
            with self._database.write() as session:
                self._sequencer.release(session)
        return replace(done, last=replace(made, note=cosigned), usable=True) if confirmed else None

    def _ask(self, made: CheckpointView) -> str:
        def extend(size: int) -> list[bytes]:
            with self._database.read() as session:
                return tree.consistency(tiles.Tiles(session).node, size, made.size)

        if self._cosign is None:
            return made.note
        old, key = made.old or 0, self._signer.key
        stored = note.parse(made.note)
        # On a heartbeat the stored note bears cosignatures already; the witness is shown the log's own line.
        own = (line for line in stored.signatures if (line.name, line.key_id) == (key.name, key.key_id))
        mine = note.Note(stored.text, tuple(own))
        cosigned = self._cosign(old, extend(old), mine.encode(), extend=extend)
        theirs = note.parse(cosigned)
        # The witness adds lines; it never changes what is signed nor takes the log's own line away.
        lines, more = set(mine.signatures), set(theirs.signatures)
        if theirs.text != mine.text or not lines <= more or (self._cosign_required and lines == more):
            raise WitnessUnavailable("what came back is not the checkpoint with a cosignature")
        return cosigned

    def _advance(self, leaf_id: str, now: datetime, left_s: float) -> CheckpointView | None:
        with self._turn:
            mine = not self._busy
            self._busy = True
            # Who waits here is most often numbered by the one at work, or soon by one of those who wait.
            told = not mine and self._turn.wait(max(0.0, min(_LOOK_S, left_s)))
        if mine:
            self._take_turn(now)
        view = None if told else self._covered.get(leaf_id) or self._covering(leaf_id)
        if mine and view is None:
            with self._turn:
                self._turn.wait(max(0.0, min(_POLL_S, left_s)))
        return view

    def _take_turn(self, now: datetime) -> None:
        try:
            self.sequence(now=now)
        finally:
            with self._turn:
                self._busy = False
                self._turn.notify_all()

    def _covering(self, leaf_id: str) -> CheckpointView | None:
        with self._database.read() as session:
            leaf = session.execute(select(Leaf.seq).where(Leaf.id == leaf_id)).first()
            if leaf is None:
                raise Unavailable("LOG")
            row = covering(session, leaf.seq) if leaf.seq is not None else None
            view = _view(row) if row is not None else None
        if view is not None:
            self._remember([leaf_id], view)
        return view


def _waiting_since(session: Session) -> datetime | None:
    last = _latest(session)
    beyond = Leaf.seq >= (last.size if last is not None else 0)
    return session.scalar(select(func.min(Leaf.at)).where(or_(Leaf.seq.is_(None), beyond)))


def _latest(session: Session) -> Checkpoint | None:
    usable = select(Checkpoint).where(Checkpoint.usable_at.is_not(None))
    query = usable.order_by(Checkpoint.size.desc()).limit(1)
    return session.scalar(query.execution_options(populate_existing=True))


def covering(session: Session, seq: int) -> Checkpoint | None:
    """The first usable checkpoint whose tree holds the entry with this number."""
    usable = select(Checkpoint).where(Checkpoint.usable_at.is_not(None), Checkpoint.size > seq)
    return session.scalar(usable.order_by(Checkpoint.size).limit(1))


def _view(row: Checkpoint) -> CheckpointView:
    return CheckpointView(row.size, row.root, row.note, row.at)
