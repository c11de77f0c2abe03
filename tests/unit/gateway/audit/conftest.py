"""A log over a fresh SQLite file, and people who act in it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit.service import Log, record
from gateway.audit.signer import Signer
from gateway.db import Base, Database
from gateway.principal import Actor

ORIGIN = "files.example/log"
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
ARCHIVIST = Actor(kind="staff", id="arc1", name="档案管理员", ip="192.0.2.7", agent="Browser/1.0")

Write = Callable[..., str]


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def actor() -> Actor:
    return ARCHIVIST


@pytest.fixture
def signer() -> Signer:
    return Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'log.db'}", b"m" * 32)
    Base.metadata.create_all(made.engine)
    yield made
    made.close()


@pytest.fixture
def log(database: Database, signer: Signer) -> Log:
    return Log(database, signer, origin=ORIGIN)


@pytest.fixture
def write(database: Database) -> Write:
    """Records one entry in a transaction of its own and returns its id."""

    def one(event: str = "share.submit", **given: object) -> str:
        call = {"actor": ARCHIVIST, "obj": ("share", "s1"), "now": NOW, **given}
        with database.write() as session:
            return record(session, event, **call)

    return one
