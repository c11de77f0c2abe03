"""Anchors in a real MinIO bucket with object lock: overwriting and deleting change nothing of what is read back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import anchors, layout, note, tree
from gateway.audit.errors import LogDamaged
from gateway.audit.service import Log, record
from gateway.audit.signer import Signer
from gateway.db import Base, Database
from gateway.principal import SYSTEM
from storage.s3 import S3Store, make_client
from tests.services.minio import running_minio

pytestmark = pytest.mark.services

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
SIGNER = Signer("files.example/log", Ed25519PrivateKey.from_private_bytes(b"l" * 32))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with running_minio(tmp_path_factory.mktemp("minio")) as server:
        made = make_client(server.endpoint, server.access_key, server.secret_key, "us-east-1")
        yield made
        made.close()


@pytest.fixture
def name(client: Any) -> str:
    """A fresh bucket whose objects are locked for a day."""
    made = f"audit-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=made, ObjectLockEnabledForBucket=True)
    rule = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}}
    client.put_object_lock_configuration(Bucket=made, ObjectLockConfiguration=rule)
    return made


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'log.db'}", b"m" * 32)
    Base.metadata.create_all(made.engine)
    yield made
    made.close()


def grow(database: Database, bucket: S3Store, count: int) -> None:
    with database.write() as session:
        for _ in range(count):
            record(session, "share.submit", actor=SYSTEM, obj=("share", "s"), now=NOW)
    anchors.beat(Log(database, SIGNER, origin=SIGNER.name), database, bucket, now=NOW)


def root_of(bucket: S3Store, size: int) -> bytes:
    return tree.root_of([tree.leaf_hash(entry) for entry in anchors.entries(bucket, 0, size)])


def test_the_first_version_is_what_counts(client: Any, name: str, database: Database) -> None:
    bucket = S3Store(client, name, locked=True)
    grow(database, bucket, 300)
    grow(database, bucket, 5)
    newest = anchors.latest(bucket)
    assert newest is not None and newest.size == 305
    head = note.open_checkpoint(newest.note, [SIGNER.key])
    assert root_of(bucket, 305) == head.root
    for key in (layout.checkpoint_path(305), layout.entries_path(0), layout.entries_path(1, 49)):
        client.put_object(Bucket=name, Key=key, Body=b"another history\n")
        client.delete_object(Bucket=name, Key=key)
    assert anchors.latest(bucket) == newest
    assert root_of(bucket, 305) == head.root
    # The log goes on anchoring as if nothing had happened.
    grow(database, bucket, 3)
    assert anchors.missing(bucket, 305) is not None
    assert root_of(bucket, 305) == head.root


def test_what_was_planted_before_is_noticed(client: Any, name: str, database: Database) -> None:
    bucket = S3Store(client, name, locked=True)
    client.put_object(Bucket=name, Key=layout.entries_path(0, 2), Body=b"planted")
    with database.write() as session:
        for _ in range(2):
            record(session, "share.submit", actor=SYSTEM, obj=("share", "s"), now=NOW)
    made = Log(database, SIGNER, origin=SIGNER.name).heartbeat(now=NOW)
    assert made is not None
    with pytest.raises(LogDamaged):
        anchors.anchor(database, bucket, made, now=NOW)
    assert not anchors.keep(database, bucket, made, now=NOW)
