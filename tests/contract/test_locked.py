"""Buckets with object lock on real servers: the first version of a key is the object, whatever was written over it."""

import secrets
from datetime import UTC, datetime, timedelta

import pytest

from storage.errors import Conflict, NotFound, Unavailable
from storage.s3 import S3Store, make_client

pytestmark = pytest.mark.services
MIB = 1 << 20


@pytest.fixture(params=["minio", "seaweed"])
def raw(request):
    server = request.getfixturevalue(f"{request.param}_server")
    return make_client(server.endpoint, server.access_key, server.secret_key, "us-east-1")


@pytest.fixture
def bucket(raw) -> str:
    """A bucket in which every new version is locked for a day."""
    name = f"locked-{secrets.token_hex(6)}"
    raw.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    raw.put_object_lock_configuration(
        Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    return name


@pytest.fixture
def store(raw, bucket) -> S3Store:
    return S3Store(raw, bucket, "evidence/", locked=True)


def read(store: S3Store, *range_: int) -> bytes:
    return b"".join(store.open("k.v1", *range_))


def overwritten(raw, bucket: str) -> None:
    raw.put_object(Bucket=bucket, Key="evidence/k.v1", Body=b"forged and longer")


def hidden(raw, bucket: str) -> None:
    raw.delete_object(Bucket=bucket, Key="evidence/k.v1")


def both(raw, bucket: str) -> None:
    overwritten(raw, bucket)
    hidden(raw, bucket)
    overwritten(raw, bucket)


@pytest.mark.parametrize("attack", [overwritten, hidden, both])
def test_the_first_version_is_read_listed_and_never_replaced(store, raw, bucket, attack):
    store.put("k.v1", [b"signed"])
    store.put("k.v10", [b"neighbour"])
    attack(raw, bucket)
    assert read(store) == b"signed"
    assert read(store, 2, 3) == b"gne"
    assert store.stat("k.v1").size == 6
    assert [(found.key, found.size) for found in store.list()] == [("k.v1", 6), ("k.v10", 9)]
    with pytest.raises(Conflict):
        store.put("k.v1", [b"again"])
    with pytest.raises(Conflict):
        store.put("k.v1", [bytes(9 * MIB)])
    assert read(store) == b"signed"


def test_a_large_object_is_read_by_its_first_version_too(store, raw, bucket):
    data = secrets.token_bytes(9 * MIB)
    store.put("k.v1", [data])
    both(raw, bucket)
    assert read(store) == data
    assert read(store, 8 * MIB) == data[8 * MIB :]


def test_nobody_deletes_it(store, raw, bucket):
    store.put("k.v1", [b"signed"])
    with pytest.raises(Unavailable):
        store.delete("k.v1")
    assert read(store) == b"signed"


def test_what_is_only_a_marker_is_not_there(store, raw, bucket):
    hidden(raw, bucket)
    with pytest.raises(NotFound):
        store.stat("k.v1")
    assert list(store.list()) == []


def test_the_first_of_more_versions_than_one_page_holds(store, raw, bucket):
    store.put("k.v1", [b"signed"])
    for number in range(1005):
        raw.put_object(
            Bucket=bucket,
            Key="evidence/k.v1",
            Body=b"%d" % number,
            ObjectLockMode="GOVERNANCE",
            ObjectLockRetainUntilDate=datetime.now(UTC) + timedelta(days=1),
        )
    assert read(store) == b"signed"
    assert [found.size for found in store.list()] == [6]
