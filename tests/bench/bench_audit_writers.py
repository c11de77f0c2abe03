"""What an entry costs a transaction, and how long its checkpoint is waited for, against bare inserts on the same database.

Bare is the least that a recorded transaction of this portal can be: the same pool, the same durable COMMIT, one INSERT of a
body of the same length into a table with one key. Every run has the same number of writers, each a thread with transactions back
to back; runs alternate, so that a machine that is busy for a while is busy for both.
"""

import secrets
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Column, LargeBinary, MetaData, String, Table, insert

from gateway.audit.service import Log, record
from gateway.audit.signer import Signer
from gateway.db import Base, Database, new_id
from gateway.principal import Actor
from tests.services.postgres import running_postgres

ORIGIN = "bench.example/log"
ACTOR = Actor(kind="contact", id="c1", name="合作单位联系人", ip="192.0.2.7", agent="Browser/1.0")
WRITERS = (1, 8, 32)
ROUNDS = 3
COMMITS = 320
BODY_BYTES = 700
SEQUENCED_EVERY_S = 0.05
BARE = Table(
    "bench_bare", MetaData(), Column("id", String(32), primary_key=True), Column("body", LargeBinary)
)
_INSERT = insert(BARE)


@contextmanager
def databases() -> Iterator[dict[str, Database]]:
    """SQLite in a file and PostgreSQL, both with the log's tables and the bare one."""
    with tempfile.TemporaryDirectory() as folder, running_postgres() as server:
        made = {"SQLite": Database(f"sqlite:///{folder}/log.db", b"m" * 32)}
        made["PostgreSQL"] = Database(server.database(), b"m" * 32)
        for database in made.values():
            tables = [t for name, t in Base.metadata.tables.items() if name.startswith("audit_")]
            Base.metadata.create_all(database.engine, tables=tables)
            BARE.metadata.create_all(database.engine)
        yield made
        for database in made.values():
            database.close()


class Run:
    """Writers that start together; each does `one` again and again and notes how long what it returns took."""

    def __init__(self, writers: int, commits: int, one: Callable[[], float]) -> None:
        self._one, self._each = one, max(1, commits // writers)
        self._start = threading.Barrier(writers + 1)
        self.latencies: list[float] = []
        self._threads = [threading.Thread(target=self._write) for _ in range(writers)]
        self.count = self._each * writers

    def _write(self) -> None:
        self._start.wait()
        for _ in range(self._each):
            self.latencies.append(self._one())

    def seconds(self, last: Callable[[], object] = lambda: None) -> float:
        """Runs all writers to their end, then `last`, and returns the time of both."""
        for thread in self._threads:
            thread.start()
        self._start.wait()
        begun = time.perf_counter()
        for thread in self._threads:
            thread.join()
        last()
        return time.perf_counter() - begun


def bare(database: Database) -> float:
    """One INSERT and COMMIT; returns its seconds."""
    begun = time.perf_counter()
    with database.write() as session:
        session.execute(_INSERT, {"id": new_id(), "body": secrets.token_bytes(BODY_BYTES)})
    return time.perf_counter() - begun


def entry(database: Database) -> str:
    """One transaction with an entry."""
    with database.write() as session:
        return record(
            session,
            "bundle.collect",
            actor=ACTOR,
            obj=("bundle", new_id()),
            now=datetime.now(UTC),
            share="SG01-KH.2026.SJ-0001",
            sha256="0" * 64,
            manifest="1" * 64,
            copies=["SG01-KH·2026·SJ-0001-003_F0001"],
        )


@contextmanager
def sequenced(log: Log) -> Iterator[None]:
    """The engine's sequencer beside the writers."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(SEQUENCED_EVERY_S):
            log.sequence(now=datetime.now(UTC))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def finish(log: Log) -> None:
    """Returns when the last entry is in a checkpoint."""
    while log.sequence(now=datetime.now(UTC)):
        pass


def measured(database: Database, writers: int) -> tuple[float, float]:
    """(transactions with an entry a second) / (bare ones), and (median wait for the checkpoint) / (median bare latency)."""
    log = Log(database, Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"b" * 32)), origin=ORIGIN)

    def free() -> float:
        entry(database)
        return 0.0

    def waiting() -> float:
        leaf = entry(database)
        committed = time.perf_counter()
        log.await_checkpoint(leaf, now=datetime.now(UTC))
        return time.perf_counter() - committed

    rates, waits = [], []
    for _ in range(ROUNDS):
        plain = Run(writers, COMMITS, lambda: bare(database))
        plain_s = plain.seconds()
        with sequenced(log):
            ours = Run(writers, COMMITS, free)
            ours_s = ours.seconds(lambda: finish(log))
        patient = Run(writers, COMMITS // 2, waiting)
        patient.seconds()
        rates.append((ours.count / ours_s) / (plain.count / plain_s))
        waits.append(statistics.median(patient.latencies) / statistics.median(plain.latencies))
    return statistics.median(rates), statistics.median(waits)


def rows() -> list[dict[str, Any]]:
    """Rows of the bench: for each database and number of writers the rate and the wait."""
    found: list[dict[str, Any]] = []
    with databases() as made:
        for name, database in made.items():
            for writers in WRITERS:
                rate, wait = measured(database, writers)
                what = f"log: {name}, {writers} writers"
                found += [
                    {"name": f"{what}, rate", "ratio": round(rate, 3), "goal": ">= 0.6", "met": rate >= 0.6},
                    {"name": f"{what}, wait", "ratio": round(wait, 3), "goal": "<= 2", "met": wait <= 2},
                ]
    return found
