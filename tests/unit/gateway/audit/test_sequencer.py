"""Where a witness is required, nothing rests on a checkpoint before its cosignature; it is asked outside of transactions."""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select, update

from gateway.audit import note, proof, tree
from gateway.audit.errors import LogDamaged, WitnessUnavailable
from gateway.audit.models import Checkpoint, Lease
from gateway.audit.service import CheckpointView, Log
from gateway.audit.signer import Signer
from gateway.db import Database
from gateway.errors import Unavailable

ORIGIN = "files.example/log"
WITNESS = Ed25519PrivateKey.from_private_bytes(b"w" * 32)


class Witness:
    """Cosigns like a real one: it holds the last tree it has seen and wants to be shown that a new one begins with it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.size, self.root = 0, tree.EMPTY_ROOT
        self.out = False
        self.asked: list[int] = []
        self.before: Callable[[], object] = lambda: None

    def __call__(
        self, old: int, proof: Sequence[bytes], note_text: str, *, extend: Callable[[int], Sequence[bytes]]
    ) -> str:
        assert not self.database.writing, "the witness is asked inside a transaction"
        self.before()
        self.asked.append(old)
        if self.out:
            raise WitnessUnavailable("the witness does not answer")
        given = note.parse(note_text)
        head = note.parse_head(given.text)
        path = proof if old == self.size else extend(self.size)
        tree.verify_consistency(self.size, self.root, head.size, head.root, path)
        self.size, self.root = head.size, head.root
        line = note.sign(given.text, "witness.example/w", WITNESS)
        return note.Note(given.text, (*given.signatures, line)).encode()


@pytest.fixture
def witness(database: Database) -> Witness:
    return Witness(database)


@pytest.fixture
def witnessed(database: Database, signer: Signer, witness: Witness) -> Log:
    return Log(database, signer, origin=ORIGIN, cosign=witness)


def usable(database: Database) -> dict[int, bool]:
    with database.read() as session:
        return {row.size: row.usable_at is not None for row in session.scalars(select(Checkpoint))}


def cosigners(text: str) -> set[str]:
    return {line.name for line in note.parse(text).signatures}


def test_a_checkpoint_is_used_with_its_cosignature(database, witness, witnessed, write, now):
    one = write()
    view = witnessed.await_checkpoint(one, now=now)
    assert cosigners(view.note) == {ORIGIN, "witness.example/w"}
    assert cosigners(proof.parse_receipt(witnessed.receipt(one)).checkpoint) == cosigners(view.note)
    write()
    witnessed.sequence(now=now)
    assert witness.asked == [0, 1] and usable(database) == {1: True, 2: True}
    with database.read() as session:
        assert session.scalar(select(Lease.holder)) is None


def test_without_a_cosignature_nothing_rests_on_the_checkpoint(database, witness, witnessed, write, now):
    one = write()
    witness.out = True
    with pytest.raises(Unavailable) as refused:
        witnessed.await_checkpoint(one, now=now)
    assert refused.value.code == "LOG"
    with pytest.raises(WitnessUnavailable):
        witnessed.sequence(now=now)
    assert usable(database) == {1: False} and witnessed.latest() is None
    for call in (lambda: witnessed.receipt(one), lambda: witnessed.consistency(0)):
        with pytest.raises(Unavailable):
            call()
    assert not witnessed.health(now=now + timedelta(seconds=61)).ok
    witness.out = False
    assert witnessed.await_checkpoint(one, now=now).size == 1
    assert witnessed.health(now=now + timedelta(seconds=61)).ok


def test_what_is_told_covers_what_the_witness_had_missed(database, signer, witness, write, now):
    told: list[CheckpointView] = []
    log = Log(database, signer, origin=ORIGIN, cosign=witness, publish=told.append)
    write()
    log.sequence(now=now)
    witness.out = True
    for _ in range(2):
        write()
        with pytest.raises(WitnessUnavailable):
            log.sequence(now=now)
    witness.out = False
    assert log.sequence(now=now) == 0
    log.heartbeat(now=now + timedelta(minutes=1))
    assert [(view.old, view.size) for view in told] == [(0, 1), (1, 3), (3, 3)]
    assert usable(database) == {1: True, 2: False, 3: True}
    assert told[-1].at == now + timedelta(minutes=1) == log.latest().at
    assert log.latest().note == told[1].note


def test_a_witness_that_knows_a_newer_tree_is_shown_the_way(witness, witnessed, write, now, database):
    """The answer of a cosigning was lost: the portal's old size lies behind the witness's."""
    write()
    witnessed.sequence(now=now)
    write()
    witness.out = True
    with pytest.raises(WitnessUnavailable):
        witnessed.sequence(now=now)
    witness.out = False
    with database.read() as session:
        second = session.get(Checkpoint, 2)
    witness.size, witness.root = 2, second.root
    write()
    assert witnessed.sequence(now=now) == 1
    assert witnessed.latest().size == 3


@pytest.mark.parametrize("change", ["text", "nothing added", "own line gone"])
def test_an_answer_that_is_not_the_checkpoint_cosigned_is_refused(database, signer, write, now, change):
    def lie(old: int, proof: Sequence[bytes], given: str, *, extend: object) -> str:
        parsed = note.parse(given)
        line = note.sign(parsed.text, "witness.example/w", WITNESS)
        lies = {
            "text": note.Note(parsed.text.replace("\n1\n", "\n2\n"), (*parsed.signatures, line)),
            "nothing added": parsed,
            "own line gone": note.Note(parsed.text, (line,)),
        }
        return lies[change].encode()

    write()
    with pytest.raises(WitnessUnavailable):
        Log(database, signer, origin=ORIGIN, cosign=lie).sequence(now=now)
    assert usable(database) == {1: False}


def test_entries_are_written_while_the_witness_is_asked(witness, witnessed, write, now):
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        inside.set()
        assert go_on.wait(30)

    witness.before = hold
    write()
    thread = threading.Thread(target=witnessed.sequence, kwargs={"now": now})
    thread.start()
    assert inside.wait(30)
    write()
    go_on.set()
    thread.join()
    witness.before = lambda: None
    assert witnessed.latest().size == 1 and witnessed.sequence(now=now) == 1


def test_the_lease_is_held_while_the_witness_is_asked(database, signer, witness, witnessed, write, now):
    other = Log(database, signer, origin=ORIGIN, cosign=witness)
    seen: list[int] = []
    write()
    witness.before = lambda: seen.append(other.sequence(now=now)) if not seen else None
    assert witnessed.sequence(now=now) == 1
    assert seen == [0] and len(witness.asked) == 1


def test_a_late_cosignature_does_not_overtake_a_newer_checkpoint(
    database, signer, witness, witnessed, write, now
):
    """The holder was so slow that another took over; its own smaller checkpoint stays unused."""
    write()
    second = Witness(database)
    other = Log(database, signer, origin=ORIGIN, cosign=second)

    def overtaken() -> None:
        write()
        assert other.sequence(now=now + timedelta(minutes=1)) == 1

    witness.before = overtaken
    assert witnessed.sequence(now=now) == 0
    assert usable(database) == {1: False, 2: True}


def test_a_witness_no_longer_required_is_not_waited_for(database, signer, witness, witnessed, write, now):
    one = write()
    witness.out = True
    with pytest.raises(WitnessUnavailable):
        witnessed.sequence(now=now)
    plain = Log(database, signer, origin=ORIGIN)
    assert plain.await_checkpoint(one, now=now).size == 1


def test_what_waits_for_the_witness_cannot_be_changed(database, witness, witnessed, write, now):
    write()
    witness.out = True
    with pytest.raises(WitnessUnavailable):
        witnessed.sequence(now=now)
    with database.write() as session:
        session.execute(update(Checkpoint).values(root=b"\0" * 32))
    with pytest.raises(LogDamaged):
        witnessed.sequence(now=now)
