"""The log on a real PostgreSQL: transactions in flight, several numberers at once, every filter and the rebuild."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from gateway.audit import leaf, note, proof, tree, verify
from gateway.audit.models import Leaf, Lease
from gateway.audit.queries import LogFilter, export_csv, export_jsonl, page
from gateway.audit.rebuild import audit_rebuild
from gateway.audit.service import Log, count_stranger, erase, flush_strangers, record, record_refusal
from gateway.audit.signer import Signer
from gateway.db import Base, Database
from gateway.principal import Actor
from tests.services.postgres import Postgres, running_postgres

pytestmark = pytest.mark.services

ORIGIN = "files.example/log"
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
ACTOR = Actor(kind="staff", id="arc1", name="档案管理员", ip="192.0.2.7", agent="Browser/1.0")
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"p" * 32))


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


@pytest.fixture
def database(server: Postgres) -> Iterator[Database]:
    url = server.database()
    made = Database(url, b"m" * 32)
    Base.metadata.create_all(
        made.engine, tables=[t for n, t in Base.metadata.tables.items() if n.startswith("audit_")]
    )
    yield made
    made.close()
    server.drop(url)


@pytest.fixture
def log(database: Database) -> Log:
    return Log(database, SIGNER, origin=ORIGIN)


def write(database: Database, event: str = "share.submit", **given: object) -> str:
    with database.write() as session:
        return record(session, event, **{"actor": ACTOR, "obj": ("share", "s1"), "now": NOW, **given})


def checked(database: Database, log: Log) -> bytes:
    with database.read() as session:
        return audit_rebuild(session, [note.parse_key(log.vkey)])


def seq(database: Database, leaf_id: str) -> int | None:
    with database.read() as session:
        return session.scalar(select(Leaf.seq).where(Leaf.id == leaf_id))


def test_what_is_in_flight_is_numbered_after_its_commit(database: Database, log: Log):
    inside, go_on = threading.Event(), threading.Event()
    held: list[str] = []

    def slow() -> None:
        with database.write() as session:
            held.append(record(session, "a.slow", actor=ACTOR, obj=("x", "1"), now=NOW))
            inside.set()
            assert go_on.wait(30)

    thread = threading.Thread(target=slow)
    thread.start()
    assert inside.wait(30)
    quick = write(database, "a.quick")
    assert log.await_checkpoint(quick, now=NOW).size == 1
    go_on.set()
    thread.join()
    assert log.await_checkpoint(held[0], now=NOW).size == 2
    assert (seq(database, quick), seq(database, held[0])) == (0, 1)
    checked(database, log)


def test_a_numberer_at_work_is_not_waited_for(database: Database, log: Log):
    write(database)
    with database.write() as session:
        session.add(Lease(name="sequencer", holder=None, until=None))
    with database.engine.connect() as other:
        other.execute(select(Lease).with_for_update())
        assert log.sequence(now=NOW) == 0
        other.rollback()
    assert log.sequence(now=NOW) == 1


def test_a_dead_holder_is_replaced_after_its_time(database: Database, log: Log):
    write(database)
    with database.write() as session:
        session.add(Lease(name="sequencer", holder="f" * 32, until=NOW + timedelta(seconds=5)))
    assert log.sequence(now=NOW) == 0
    assert log.sequence(now=NOW + timedelta(seconds=6)) == 1


class Stalling(Signer):
    """A signer that hangs in the middle of numbering, as a stopped machine does."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        super().__init__(ORIGIN, private)
        self.reached, self.go_on = threading.Event(), threading.Event()

    def sign(self, text: str) -> str:
        self.reached.set()
        assert self.go_on.wait(60)
        return super().sign(text)


def test_a_holder_that_hangs_in_its_transaction_is_replaced(database: Database, log: Log):
    log.heartbeat(now=NOW)
    one = write(database)
    hung = Stalling(Ed25519PrivateKey.from_private_bytes(b"p" * 32))
    late: list[object] = []

    def stall() -> None:
        try:
            late.append(Log(database, hung, origin=ORIGIN, lease_time=timedelta(seconds=1)).sequence(now=NOW))
        except SQLAlchemyError as fault:
            late.append(fault)

    thread = threading.Thread(target=stall)
    thread.start()
    assert hung.reached.wait(30)
    assert log.await_checkpoint(one, now=NOW, deadline_s=30).size == 1
    hung.go_on.set()
    thread.join()
    assert isinstance(late[0], SQLAlchemyError)
    checked(database, log)


def test_writers_and_numberers_at_once_leave_no_gap_and_no_fork(database: Database, log: Log):
    logs = [Log(database, SIGNER, origin=ORIGIN) for _ in range(4)]
    views: list[tuple[str, int, bytes]] = []
    faults: list[BaseException] = []
    start = threading.Barrier(8)

    def work(worker: int) -> None:
        try:
            start.wait()
            for i in range(40):
                one = write(database, "a.b", obj=("w", str(worker)), i=i)
                if i % 4 == worker % 4:
                    view = logs[worker % 4].await_checkpoint(one, now=NOW)
                    views.append((one, view.size, view.root))
        except BaseException as fault:  # noqa: BLE001
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    log.sequence(now=NOW)
    root = checked(database, log)
    with database.read() as session:
        rows = session.execute(select(Leaf.seq, Leaf.body).order_by(Leaf.seq)).all()
    assert [row.seq for row in rows] == list(range(320))
    seen: dict[str, int] = {}
    for entry in (leaf.parse(row.body) for row in rows):
        assert entry.data["i"] == seen.get(entry.object[1], -1) + 1
        seen[entry.object[1]] = entry.data["i"]
    for one, size, then in views:
        tree.verify_consistency(size, then, 320, root, proof.parse_extension(log.consistency(size)).proof)
        verify.verify_receipt(log.receipt(one), [SIGNER.key])


def test_first_numberers_at_once(database: Database):
    """Nobody has made the lease's row yet, and four try."""
    write(database)
    logs = [Log(database, SIGNER, origin=ORIGIN) for _ in range(4)]
    start = threading.Barrier(4)
    numbered: list[int] = []

    def work(one: Log) -> None:
        start.wait()
        numbered.append(one.sequence(now=NOW))

    threads = [threading.Thread(target=work, args=(one,)) for one in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(numbered) == 4 and sum(numbered) == 1
    checked(database, logs[0])


def test_filters_exports_and_erasure(database: Database, log: Log):
    contact = Actor(kind="contact", id="c1", name="合作单位联系人", ip="198.51.100.9")
    submit = write(database, reason='quote " back\\slash 100%_ a\0b')
    collect = write(
        database, "copy.collect", obj=("copy", "F0012"), actor=contact, share="s1", note='say "x\\y" a\0z'
    )
    refused = record_refusal(database, "WITHHELD", actor=contact, obj=("share", "s1"), now=NOW)
    for _ in range(3):
        count_stranger(database, "NOT_FOUND", now=NOW)
    (strangers,) = flush_strangers(database, now=NOW + timedelta(minutes=1))
    log.sequence(now=NOW)

    def shown(**given: object) -> list[str]:
        with database.read() as session:
            return [e.id for e in page(session, LogFilter(**given)).entries]

    assert shown() == [strangers, refused, collect, submit]
    assert shown(share="s1", event="copy.") == [collect] and shown(refusals=True) == [strangers, refused]
    assert shown(actor="contact:c1", since=NOW, until=NOW + timedelta(seconds=1)) == [refused, collect]
    before = checked(database, log)
    with database.write() as session:
        erase(session, "contact:c1")
    assert checked(database, log) == before
    with database.read() as session:
        whole = list(export_jsonl(session, LogFilter()))
        part = list(export_jsonl(session, LogFilter(refusals=True)))
        table = b"".join(export_csv(session, LogFilter())).decode()
    for export in (whole, part):
        verify.verify_export(export, [SIGNER.key])
        assert "合作单位联系人" not in b"".join(export).decode()
    assert "合作单位联系人" not in table and "档案管理员" in table


def test_health(database: Database, log: Log):
    assert log.health(now=NOW).ok
    write(database)
    assert not log.health(now=NOW + timedelta(seconds=61)).ok
    assert log.heartbeat(now=NOW + timedelta(seconds=61)) is not None
    assert log.health(now=NOW + timedelta(seconds=62)).ok
    read_only = Database(database.engine.url.render_as_string(hide_password=False), b"m" * 32)
    with read_only.engine.connect() as connection:
        name = database.engine.url.database
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        connection.commit()
    read_only.engine.dispose()
    assert not Log(read_only, SIGNER, origin=ORIGIN).health(now=NOW).writable
    read_only.close()
