"""In which order entries of concurrent transactions are numbered on PostgreSQL: what is promised, over many interleavings."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select, text

from gateway.audit.models import Leaf
from gateway.audit.rebuild import audit_rebuild
from gateway.audit.service import Log, record
from gateway.audit.signer import Signer
from gateway.db import Base, Database
from gateway.principal import SYSTEM
from tests.services.postgres import running_postgres

pytestmark = pytest.mark.services

ORIGIN = "files.example/log"
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"p" * 32))
CONNECTIONS = 5


@pytest.fixture(scope="module")
def databases() -> Iterator[list[Database]]:
    """One database, seen by several processes' worth of connections."""
    with running_postgres() as server:
        url = server.database()
        made = [Database(url, b"m" * 32) for _ in range(CONNECTIONS + 1)]
        tables = [table for name, table in Base.metadata.tables.items() if name.startswith("audit_")]
        Base.metadata.create_all(made[0].engine, tables=tables)
        yield made
        for database in made:
            database.close()


@dataclass
class Life:
    """At which step of the schedule a transaction began, inserted its entry and committed."""

    leaf: str
    began: int
    inserted: int = 0
    committed: int = 0


class Schedule:
    """Transactions that begin, insert and commit one step at a time, in an order drawn by lot, while the log is numbered."""

    def __init__(self, databases: list[Database], chance: random.Random) -> None:
        self.databases, self.chance = databases, chance
        self.log = Log(databases[-1], SIGNER, origin=ORIGIN)
        self.open: dict[int, tuple[ExitStack, object, Life]] = {}
        self.lives: list[Life] = []
        self.clock = 0

    def step(self) -> None:
        self.clock += 1
        which = self.chance.randrange(CONNECTIONS + 1)
        if which == CONNECTIONS:
            self.log.sequence(now=NOW)
        elif which not in self.open:
            self.begin(which)
        elif not self.open[which][2].inserted:
            self.insert(which)
        else:
            self.commit(which)

    def begin(self, which: int) -> None:
        stack = ExitStack()
        session = stack.enter_context(self.databases[which].write())
        # The first statement is what begins it on the server.
        session.execute(text("SELECT pg_current_xact_id()"))
        self.open[which] = (stack, session, Life("", self.clock))

    def insert(self, which: int) -> None:
        _, session, life = self.open[which]
        life.leaf = record(session, "a.b", actor=SYSTEM, obj=("x", str(which)), now=NOW)
        life.inserted = self.clock

    def commit(self, which: int) -> None:
        stack, _, life = self.open.pop(which)
        stack.close()
        life.committed = self.clock
        self.lives.append(life)

    def finish(self) -> None:
        for which in list(self.open):
            self.clock += 1
            if not self.open[which][2].inserted:
                self.insert(which)
            self.commit(which)
        self.log.sequence(now=NOW)


def seqs(database: Database) -> dict[str, int]:
    with database.read() as session:
        return dict(session.execute(select(Leaf.id, Leaf.seq)).all())


@pytest.mark.parametrize("seed", range(8))
def test_whoever_began_after_a_commit_is_numbered_after_it(databases: list[Database], seed: int):
    schedule = Schedule(databases, random.Random(seed))
    for _ in range(120):
        schedule.step()
    schedule.finish()
    numbers = seqs(databases[-1])
    overlapping = 0
    for a in schedule.lives:
        for b in schedule.lives:
            # What is promised is even more than for transactions that began later: an insert after the commit suffices.
            if a.committed < b.inserted:
                assert numbers[a.leaf] < numbers[b.leaf]
            overlapping += a.inserted < b.inserted < b.committed < a.committed
    assert overlapping > 5, "the schedules have to overlap"
    with databases[-1].read() as session:
        audit_rebuild(session, [SIGNER.key])


def test_who_commits_first_is_numbered_first_when_a_turn_falls_between(databases: list[Database]):
    log = Log(databases[-1], SIGNER, origin=ORIGIN)
    with databases[0].write() as slow:
        first = record(slow, "a.b", actor=SYSTEM, obj=("x", "1"), now=NOW)
        with databases[1].write() as quick:
            second = record(quick, "a.b", actor=SYSTEM, obj=("x", "2"), now=NOW)
        log.sequence(now=NOW)
        assert seqs(databases[-1]).get(first) is None
    log.sequence(now=NOW)
    numbers = seqs(databases[-1])
    assert numbers[second] < numbers[first]


def test_numbers_of_arrival_are_drawn_one_by_one(databases: list[Database]):
    """A sequence that hands blocks to connections would let a later transaction draw a smaller number."""
    with databases[0].read() as session:
        found = session.execute(
            text("SELECT cache_size, increment_by, cycle FROM pg_sequences WHERE sequencename = :name"),
            {"name": "audit_leaf_arrival_seq"},
        ).one()
    assert tuple(found) == (1, 1, False)


def test_writers_wait_for_nobody(databases: list[Database]):
    """While one transaction holds its entry open and another numbers, a third writes and commits."""
    with databases[0].write() as held:
        record(held, "a.b", actor=SYSTEM, obj=("x", "1"), now=NOW)
        with databases[-1].write() as numbering:
            numbering.execute(text("SELECT * FROM audit_lease FOR UPDATE"))
            with databases[1].write() as free:
                free.execute(text("SET LOCAL lock_timeout = '1s'"))
                record(free, "a.b", actor=SYSTEM, obj=("x", "2"), now=NOW)
