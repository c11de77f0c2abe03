"""The anchored checkpoint stamped by a real time-stamp authority, checked by OpenSSL too, and every way it can fail."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.audit import anchors, stamp
from gateway.audit.errors import NotStamped
from gateway.audit.models import Leaf
from gateway.audit.service import Log, record
from gateway.audit.signer import Signer
from gateway.config import load
from gateway.db import Base, Database
from gateway.errors import ConfigError
from gateway.principal import SYSTEM
from storage.memory import MemoryStore
from tests.services.certomancer import Services, running_services

ORIGIN = "files.example/log"


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with running_services(tmp_path_factory.mktemp("tsa")) as running:
        yield running


@pytest.fixture
def authority(services: Services) -> Callable[[str], stamp.Authority]:
    """The authority as it behaves in one way."""

    def behaving(how: str = "honest") -> stamp.Authority:
        services.behave = how
        return stamp.Authority(services.tsa, [services.root], clock=now)

    return behaving


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'log.db'}", b"m" * 32)
    Base.metadata.create_all(made.engine)
    yield made
    made.close()


@pytest.fixture
def bucket(database: Database) -> MemoryStore:
    """Anchors with one checkpoint."""
    made = MemoryStore()
    signer = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"l" * 32))
    with database.write() as session:
        record(session, "share.submit", actor=SYSTEM, obj=("share", "s"), now=now())
    anchors.beat(Log(database, signer, origin=ORIGIN), database, made, now=now())
    return made


def stamps(bucket: MemoryStore) -> list[str]:
    return [found.key for found in bucket.list("stamp/")]


def told(database: Database) -> list[str]:
    with database.read() as session:
        return [row.event for row in session.query(Leaf).order_by(Leaf.arrival) if "stamp" in row.event]


def test_a_stamp_stands_beside_what_it_stamps_and_openssl_agrees(
    database: Database,
    bucket: MemoryStore,
    authority: Callable[..., stamp.Authority],
    services: Services,
    tmp_path: Path,
) -> None:
    assert stamp.weekly(database, bucket, authority(), now=now())
    (key,) = stamps(bucket)
    assert key.endswith("/00000000000000000001.tsr")
    for name, content in (
        ("note", b"".join(bucket.open("checkpoint/00000000000000000001"))),
        ("tsr", b"".join(bucket.open(key))),
        ("root", services.root.public_bytes(Encoding.PEM)),
    ):
        (tmp_path / name).write_bytes(content)
    command = ["openssl", "ts", "-verify", "-data", "note", "-in", "tsr", "-CAfile", "root"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "Verification: OK" in done.stdout, done.stderr
    (tmp_path / "note").write_bytes(b"something else")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode != 0


def test_once_a_week(
    database: Database, bucket: MemoryStore, authority: Callable[..., stamp.Authority]
) -> None:
    real, start = authority(), now()
    assert stamp.weekly(database, bucket, real, now=start)
    assert not stamp.weekly(database, bucket, real, now=start + timedelta(days=6, hours=23 - start.hour))
    assert stamp.weekly(database, bucket, real, now=start + timedelta(days=7))
    assert told(database) == ["anchor.stamped"] * 2


def test_without_anchors_or_authority_nothing_happens(
    database: Database, authority: Callable[..., stamp.Authority], bucket: MemoryStore
) -> None:
    assert not stamp.weekly(database, MemoryStore(), authority(), now=now())
    assert not stamp.weekly(database, bucket, None, now=now())
    assert told(database) == []


@pytest.mark.parametrize(
    "how",
    [
        "garbage",
        "refusing",
        "huge",
        "another type",
        "wrong nonce",
        "wrong digest",
        "wrong time",
        "a stranger",
    ],
)
def test_a_stamp_that_does_not_stand_is_refused_and_told_once(
    database: Database, bucket: MemoryStore, authority: Callable[..., stamp.Authority], how: str
) -> None:
    with pytest.raises(NotStamped):
        authority(how).stamp(b"a checkpoint")
    for _ in range(2):
        assert not stamp.weekly(database, bucket, authority(how), now=now())
    assert (stamps(bucket), told(database)) == ([], ["anchor.stamp_failed"])
    assert stamp.weekly(database, bucket, authority(), now=now())
    assert told(database) == ["anchor.stamp_failed", "anchor.stamped"]


def test_an_authority_that_is_away_is_told(services: Services) -> None:
    gone = stamp.Authority("http://127.0.0.1:9/tsa", [services.root], clock=now)
    with pytest.raises(NotStamped, match="not to be reached"):
        gone.stamp(b"x")


def test_it_is_configured_with_its_roots(services: Services, tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_bytes(services.root.public_bytes(Encoding.PEM))
    given = {
        "SEALGATE_HOME": str(tmp_path),
        "SEALGATE_PUBLIC_ORIGIN": "http://localhost",
        "SEALGATE_COMPANY_NAME": "x",
        "SEALGATE_COMPANY_USCC": "0" * 18,
        "SEALGATE_FONDS": "SG01",
    }
    assert stamp.Authority.configured(load(given), now) is None
    services.behave = "honest"
    with pytest.raises(ConfigError, match="LOG_TSA_ROOTS_FILE"):
        load({**given, "SEALGATE_LOG_TSA_URL": services.tsa})
    whole = {**given, "SEALGATE_LOG_TSA_URL": services.tsa, "SEALGATE_LOG_TSA_ROOTS_FILE": str(roots)}
    made = stamp.Authority.configured(load(whole), now)
    assert made is not None and made.stamp(b"x")
    roots.write_text("nothing")
    with pytest.raises(ConfigError):
        stamp.Authority.configured(load(whole), now)
