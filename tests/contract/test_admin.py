"""The buckets on real servers: made once, and missing things named."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from minio.commonconfig import ENABLED, GOVERNANCE, Filter
from minio.error import S3Error
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule
from minio.objectlockconfig import DAYS, ObjectLockConfig
from minio.versioningconfig import SUSPENDED, VersioningConfig

from storage import admin
from storage.admin import Buckets
from storage.errors import Unavailable
from storage.s3 import connect

pytestmark = pytest.mark.services


@pytest.fixture
def buckets() -> Buckets:
    tag = secrets.token_hex(5)
    return Buckets(
        f"objects-{tag}", f"bundles-{tag}", f"evidence-{tag}", f"audit-{tag}", bundle_days=30, lock_years=1
    )


@pytest.fixture(params=["minio", "seaweed"])
def server(request):
    return request.getfixturevalue(f"{request.param}_server")


@pytest.fixture
def client(server):
    return admin.connect(
        urlsplit(server.endpoint).netloc, server.access_key, server.secret_key, "us-east-1", secure=False
    )


def test_every_bucket_is_named_while_there_is_none(client, buckets):
    assert admin.verify(client, buckets) == [f"{bucket}: bucket" for bucket in buckets.all]


def test_made_twice_and_whole(client, buckets):
    admin.create_buckets(client, buckets)
    admin.create_buckets(client, buckets)
    assert admin.verify(client, buckets) == []


def rule(days: int, *, prefix: str = "", status: str = ENABLED) -> LifecycleConfig:
    return LifecycleConfig(
        [Rule(status, rule_filter=Filter(prefix=prefix), rule_id="r", expiration=Expiration(days=days))]
    )


SPOILS: dict[str, tuple[Callable, str, str]] = {
    "versioning suspended": (
        lambda client, buckets: client.set_bucket_versioning(buckets.objects, VersioningConfig(SUSPENDED)),
        "objects",
        "versioning",
    ),
    "no lifecycle": (
        lambda client, buckets: client.delete_bucket_lifecycle(buckets.bundles),
        "bundles",
        "lifecycle",
    ),
    "lifecycle too long": (
        lambda client, buckets: client.set_bucket_lifecycle(buckets.bundles, rule(31)),
        "bundles",
        "lifecycle",
    ),
    "lifecycle of a part": (
        lambda client, buckets: client.set_bucket_lifecycle(buckets.bundles, rule(1, prefix="tmp/")),
        "bundles",
        "lifecycle",
    ),
    "lifecycle off": (
        lambda client, buckets: client.set_bucket_lifecycle(buckets.bundles, rule(1, status="Disabled")),
        "bundles",
        "lifecycle",
    ),
    "lock too short": (
        lambda client, buckets: client.set_object_lock_config(
            buckets.evidence, ObjectLockConfig("COMPLIANCE", 1, DAYS)
        ),
        "evidence",
        "object lock",
    ),
    "lock that can be lifted": (
        lambda client, buckets: client.set_object_lock_config(
            buckets.audit, ObjectLockConfig(GOVERNANCE, 3650, DAYS)
        ),
        "audit",
        "object lock",
    ),
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_what_is_missing_is_named(client, buckets, spoil):
    admin.create_buckets(client, buckets)
    act, bucket, what = SPOILS[spoil]
    act(client, buckets)
    assert admin.verify(client, buckets) == [f"{getattr(buckets, bucket)}: {what}"]


def test_a_bucket_without_lock_is_named(client, buckets):
    client.make_bucket(buckets.evidence)
    with pytest.raises(Unavailable):
        admin.create_buckets(client, buckets)
    missing = admin.verify(client, buckets)
    assert f"{buckets.evidence}: object lock" in missing
    assert f"{buckets.evidence}: versioning" in missing


def test_a_longer_lock_is_left_alone(client, buckets):
    admin.create_buckets(client, buckets)
    with_more = replace(buckets, lock_years=3)
    assert admin.verify(client, with_more) == [f"{bucket}: object lock" for bucket in buckets.locked]
    client.set_object_lock_config(buckets.audit, ObjectLockConfig("COMPLIANCE", 5, "Years"))
    admin.create_buckets(client, buckets)
    assert client.get_object_lock_config(buckets.audit).duration == 5


def test_evidence_cannot_be_deleted_by_version(client, server, buckets):
    admin.create_buckets(client, buckets)
    store = connect(server.endpoint, server.access_key, server.secret_key, "us-east-1", buckets.evidence)
    stat = store.put("signed", [b"agreement"])
    with pytest.raises(S3Error):
        client.remove_object(buckets.evidence, "signed", version_id=stat.version)
    with pytest.raises(Unavailable):
        store.delete("signed")
    assert b"".join(store.open("signed")) == b"agreement"


def test_a_server_that_refuses_is_unavailable(server, buckets):
    client = admin.connect(
        urlsplit(server.endpoint).netloc, "wrong", "credentials", "us-east-1", secure=False
    )
    with pytest.raises(Unavailable) as caught:
        admin.verify(client, buckets)
    assert buckets.objects not in str(caught.value)
    with pytest.raises(Unavailable):
        admin.create_buckets(client, buckets)
