"""Numbering, checkpoints, receipts: in order, without gap or fork, and never over a damaged tree."""

import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from gateway.audit import leaf, note, proof, tree
from gateway.audit.errors import LogDamaged
from gateway.audit.models import Checkpoint, Leaf, Lease
from gateway.audit.rebuild import audit_rebuild
from gateway.audit.sequencer import BATCH
from gateway.audit.service import CheckpointView, Log, record
from gateway.audit.signer import Signer
from gateway.db import Database
from gateway.errors import Unavailable

ORIGIN = "files.example/log"
ROOT = Path(__file__).parents[4]


def numbers(database: Database) -> list[int | None]:
    with database.read() as session:
        return list(session.scalars(select(Leaf.seq).order_by(Leaf.arrival)))


def verified(log: Log, leaf_id: str) -> tuple[leaf.Entry, note.TreeHead]:
    receipt = proof.parse_receipt(log.receipt(leaf_id))
    head = note.open_checkpoint(receipt.checkpoint, [note.parse_key(log.vkey)])
    tree.verify_inclusion(tree.leaf_hash(receipt.entry), receipt.index, head.size, receipt.proof, head.root)
    return leaf.parse(receipt.entry), head


def test_entries_are_numbered_in_the_order_of_their_commits(database, write, log, now):
    first = [write(n=i) for i in range(5)]
    assert numbers(database) == [None] * 5
    assert log.sequence(now=now) == 5
    write(n=5)
    assert log.sequence(now=now) == 1
    assert log.sequence(now=now) == 0
    assert numbers(database) == [0, 1, 2, 3, 4, 5]
    assert [verified(log, one)[0].data["n"] for one in first] == [0, 1, 2, 3, 4]


def test_a_tree_of_several_tile_levels_is_the_naive_one(database, log, actor, now):
    made: list[str] = []
    for batch in (1, 255, 1, 300, 2, 700):
        with database.write() as session:
            made += [record(session, "a.b", actor=actor, obj=("x", str(i)), now=now) for i in range(batch)]
        assert log.sequence(now=now) == batch
    with database.read() as session:
        bodies = session.scalars(select(Leaf.body).order_by(Leaf.seq)).all()
        assert audit_rebuild(session, [note.parse_key(log.vkey)]) == tree.root_of(
            [tree.leaf_hash(b) for b in bodies]
        )
        roots = {c.size: c.root for c in session.scalars(select(Checkpoint))}
    assert sorted(roots) == [1, 256, 257, 557, 559, 1259]
    for old, root in roots.items():
        extension = proof.parse_extension(log.consistency(old))
        tree.verify_consistency(old, root, 1259, roots[1259], extension.proof)
    for one in made[:3] + made[254:258] + made[-2:]:
        assert verified(log, one)[0].id == one


def test_a_receipt_is_the_same_for_ever(write, log, now):
    one = write()
    log.sequence(now=now)
    before = log.receipt(one)
    write()
    log.sequence(now=now)
    assert log.receipt(one) == before and verified(log, one)[1].size == 1


def test_no_receipt_before_the_checkpoint(write, log):
    for absent in (write(), "0" * 32):
        with pytest.raises(Unavailable):
            log.receipt(absent)


def test_awaiting_numbers_by_itself(write, log, now):
    one = write()
    assert log.await_checkpoint(one, now=now).size == 1
    assert log.await_checkpoint(one, now=now).size == 1
    assert log.latest().size == 1


def test_awaiting_gives_up_at_its_deadline(database, write, log, now):
    one = write()
    with database.write() as session:
        session.add(Lease(name="sequencer", holder="f" * 32, until=now + timedelta(seconds=30)))
    with pytest.raises(Unavailable):
        log.await_checkpoint(one, now=now, deadline_s=0.1)
    assert numbers(database) == [None]
    with pytest.raises(Unavailable):
        log.await_checkpoint("0" * 32, now=now, deadline_s=0.1)


def test_a_dead_holder_is_replaced_after_its_time(database, write, log, now):
    write()
    with database.write() as session:
        session.add(Lease(name="sequencer", holder="f" * 32, until=now + timedelta(seconds=5)))
    assert log.sequence(now=now) == 0
    assert log.heartbeat(now=now) is None
    assert log.sequence(now=now + timedelta(seconds=5)) == 1


def test_a_fault_of_the_database_is_unavailability(database, write, log, now):
    one = write()
    with database.write() as session:
        session.execute(text("DROP TABLE audit_lease"))
    with pytest.raises(Unavailable):
        log.await_checkpoint(one, now=now, deadline_s=0.1)


def test_it_refuses_to_run_inside_a_transaction(database, write, log, now):
    one = write()
    with database.write():
        for call in (
            lambda: log.sequence(now=now),
            lambda: log.heartbeat(now=now),
            lambda: log.await_checkpoint(one, now=now),
        ):
            with pytest.raises(RuntimeError):
                call()


def test_a_key_of_another_name_is_refused(database, signer):
    with pytest.raises(ValueError, match="origin"):
        Log(database, signer, origin="other.example/log")


def test_a_heartbeat_without_events_confirms_the_last_checkpoint(database, signer, write, now):
    told: list[CheckpointView] = []
    log = Log(database, signer, origin=ORIGIN, publish=told.append)
    empty = log.heartbeat(now=now)
    assert empty.size == 0 and note.open_checkpoint(empty.note, [signer.key]).root == tree.EMPTY_ROOT
    write()
    assert log.heartbeat(now=now).size == 1
    later = log.heartbeat(now=now + timedelta(minutes=1))
    assert (later.size, later.at) == (1, now + timedelta(minutes=1))
    assert [view.size for view in told] == [0, 1, 1]
    assert log.health(now=now + timedelta(minutes=1)).checkpoint_age_s == 0


def test_health_tells_what_waits_too_long(write, log, now):
    assert log.health(now=now).checkpoint_age_s is None
    assert log.health(now=now).ok
    write()
    assert log.health(now=now + timedelta(seconds=60)).ok
    late = log.health(now=now + timedelta(seconds=61))
    assert not late.ok and late.writable and late.oldest_unnumbered_s == 61
    log.sequence(now=now)
    assert log.health(now=now + timedelta(seconds=61)).ok


def test_health_sees_a_log_that_cannot_be_written(database, log, now):
    with database.write() as session:
        assert log.health(now=now).writable
        session.execute(text("DROP TABLE audit_personal"))
        session.execute(text("DROP TABLE audit_leaf"))
    assert not log.health(now=now).ok


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE audit_tile SET hashes = zeroblob(length(hashes))",
        "UPDATE audit_tile SET hashes = substr(hashes, 1, 32)",
        "UPDATE audit_tile SET hashes = CAST(hashes || zeroblob(32) AS BLOB)",
        "DELETE FROM audit_tile",
        "UPDATE audit_checkpoint SET root = zeroblob(32)",
        "UPDATE audit_checkpoint SET note = replace(note, '3', '4')",
        "DELETE FROM audit_checkpoint",
        "DELETE FROM audit_personal; DELETE FROM audit_leaf WHERE seq = 2",
        "DELETE FROM audit_personal; DELETE FROM audit_leaf; DELETE FROM audit_tile; DELETE FROM audit_checkpoint",
    ],
)
def test_nothing_is_signed_over_a_damaged_log(database, write, log, now, damage):
    for _ in range(3):
        write()
    log.sequence(now=now)
    with database.write() as session:
        for statement in damage.split(";"):
            session.execute(text(statement))
    signed = log.latest()
    one = write()
    with pytest.raises((LogDamaged, note.BadSignature)):
        log.sequence(now=now)
    with pytest.raises(Unavailable):
        log.await_checkpoint(one, now=now, deadline_s=0.1)
    assert log.latest() == signed


def test_a_process_that_has_seen_nothing_signs_nothing_over_damaged_tiles(database, signer, write, log, now):
    for _ in range(3):
        write()
    log.sequence(now=now)
    with database.write() as session:
        session.execute(text("UPDATE audit_tile SET hashes = zeroblob(length(hashes))"))
    write()
    with pytest.raises(LogDamaged, match="stored tree"):
        Log(database, signer, origin=ORIGIN).sequence(now=now)


def test_a_foreign_key_does_not_go_on_with_the_log(database, write, log, now, tmp_path):
    write()
    log.sequence(now=now)
    write()
    other = Log(database, Signer.generate(tmp_path / "other", ORIGIN), origin=ORIGIN)
    with pytest.raises(note.BadSignature):
        other.sequence(now=now)


def test_a_crowd_is_numbered_in_batches(database, log, actor, now):
    with database.write() as session:
        last = [record(session, "a.b", actor=actor, obj=("x", "1"), now=now) for _ in range(BATCH + 1)][-1]
    assert log.sequence(now=now) == BATCH
    assert log.await_checkpoint(last, now=now).size == BATCH + 1


def test_writers_and_sequencers_at_once_leave_no_gap_and_no_fork(database, signer, actor, now):
    """Eight threads record and await, with two Logs over the same database as two processes would have."""
    logs = [Log(database, signer, origin=ORIGIN) for _ in range(2)]
    views: list[tuple[str, CheckpointView]] = []
    faults: list[BaseException] = []
    start = threading.Barrier(8)

    def work(worker: int) -> None:
        try:
            start.wait()
            for i in range(25):
                with database.write() as session:
                    one = record(session, "a.b", actor=actor, obj=("w", str(worker)), now=now, i=i)
                if i % 5 == worker % 5:
                    views.append((one, logs[worker % 2].await_checkpoint(one, now=now)))
        except BaseException as fault:  # noqa: BLE001
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    logs[0].sequence(now=now)
    assert sorted(numbers(database)) == list(range(200))
    _each_writer_in_order(database)
    key = note.parse_key(logs[0].vkey)
    with database.read() as session:
        root = audit_rebuild(session, [key])
    assert logs[1].latest().root == root
    for one, view in views:
        assert verified(logs[0], one)[1].size <= view.size
        extension = proof.parse_extension(logs[0].consistency(view.size))
        tree.verify_consistency(view.size, view.root, 200, root, extension.proof)


def _each_writer_in_order(database: Database) -> None:
    with database.read() as session:
        bodies = session.scalars(select(Leaf.body).order_by(Leaf.seq)).all()
    seen: dict[str, int] = {}
    for entry in map(leaf.parse, bodies):
        assert entry.data["i"] == seen.get(entry.object[1], -1) + 1
        seen[entry.object[1]] = entry.data["i"]


WORKER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from gateway.audit.service import Log, record
from gateway.audit.signer import Signer
from gateway.db import Database
from gateway.principal import SYSTEM

url, key, worker = sys.argv[1:]
database = Database(url, b"m" * 32)
log = Log(database, Signer.load(Path(key), "files.example/log"), origin="files.example/log")
for i in range(20):
    now = datetime.now(UTC)
    with database.write() as session:
        one = record(session, "a.b", actor=SYSTEM, obj=("w", worker), now=now, i=i)
    print(log.await_checkpoint(one, now=now).note, end="|")
"""


def test_processes_at_once_leave_no_gap_and_no_fork(database, tmp_path, now):
    signer = Signer.generate(tmp_path / "log.key", ORIGIN)
    command = [sys.executable, "-c", WORKER, str(database.engine.url), str(tmp_path / "log.key")]
    workers = [
        subprocess.Popen([*command, str(n)], cwd=ROOT, stdout=subprocess.PIPE, text=True) for n in range(4)
    ]
    notes = [n for worker in workers for n in worker.communicate(timeout=120)[0].split("|")[:-1]]
    assert [worker.returncode for worker in workers] == [0] * 4 and len(notes) == 80
    assert sorted(numbers(database)) == list(range(80))
    _each_writer_in_order(database)
    log = Log(database, signer, origin=ORIGIN)
    with database.read() as session:
        root = audit_rebuild(session, [signer.key])
    for head in (note.open_checkpoint(n, [signer.key]) for n in notes):
        extension = proof.parse_extension(log.consistency(head.size))
        tree.verify_consistency(head.size, head.root, 80, root, extension.proof)


def test_the_database_itself_refuses_a_second_entry_with_a_number(database, write, log, now):
    write()
    log.sequence(now=now)
    write()
    with pytest.raises(Exception, match="UNIQUE"), database.write() as session:
        session.execute(update(Leaf).where(Leaf.seq.is_(None)).values(seq=0))


def test_consistency_needs_a_checkpoint_and_an_older_size(write, log, now: datetime):
    with pytest.raises(Unavailable):
        log.consistency(0)
    write()
    log.sequence(now=now)
    with pytest.raises(ValueError, match="order"):
        log.consistency(2)
