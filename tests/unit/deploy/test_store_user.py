"""The portal's user in MinIO may do what the portal does, on its buckets only. Against a real server."""

import importlib.util
import io
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from minio import Minio
from minio.error import S3Error
from minio.objectlockconfig import DAYS, ObjectLockConfig
from minio.versioningconfig import SUSPENDED, VersioningConfig

from storage import admin, s3
from tests.services.minio import running_minio

ROOT = Path(__file__).parents[3]
BUCKETS = admin.Buckets(
    "sealgate-objects",
    "sealgate-bundles",
    "sealgate-evidence",
    "sealgate-audit",
    bundle_days=35,
    lock_years=10,
)
USER, PASSWORD = "portal-access-key", "portal-secret-key-0123456789"

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def store_user() -> ModuleType:
    spec = importlib.util.spec_from_file_location("store_user", ROOT / "deploy" / "store_user.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def address(store_user: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose portal user was made twice, as a restart would make it, and a bucket of somebody else."""
    folder = tmp_path_factory.mktemp("minio")
    with running_minio(folder) as server, pytest.MonkeyPatch.context() as patch:
        address = server.endpoint.removeprefix("http://")
        for name, value in {
            "s3_root_user": server.access_key,
            "s3_root_password": server.secret_key,
            "s3_access_key": USER,
            "s3_secret_key": PASSWORD,
        }.items():
            (folder / name).write_text(value + "\n", "ascii")
        patch.setenv("SECRETS", str(folder))
        patch.setenv("S3_ENDPOINT", address)
        patch.setenv("S3_BUCKETS", " ".join(BUCKETS.all))
        store_user.main()
        store_user.main()
        Minio(address, server.access_key, server.secret_key, secure=False).make_bucket("of-another")
        yield address


@pytest.fixture
def portal(address: str) -> Minio:
    """A client with the portal's own credentials."""
    return Minio(address, USER, PASSWORD, secure=False)


def test_may_do_what_the_portal_does(portal: Minio, address: str) -> None:
    admin.create_buckets(portal, BUCKETS)
    admin.create_buckets(portal, BUCKETS)
    assert admin.verify(portal, BUCKETS) == []
    for bucket in (BUCKETS.objects, BUCKETS.bundles):
        store = s3.connect(f"http://{address}", USER, PASSWORD, "us-east-1", bucket)
        key = secrets.token_hex(16)
        store.put(key, [b"sealed"])
        assert b"".join(store.open(key)) == b"sealed"
        upload = store.begin(key[::-1])
        store.abort(key[::-1], upload)
        assert [stat.key for stat in store.list()] == [key]
        store.delete(key)
        assert list(store.list()) == []


def test_cannot_change_how_its_buckets_keep(portal: Minio) -> None:
    with pytest.raises(S3Error, match="AccessDenied"):
        portal.set_bucket_versioning(BUCKETS.objects, VersioningConfig(SUSPENDED))
    with pytest.raises(S3Error, match="AccessDenied"):
        portal.delete_bucket_lifecycle(BUCKETS.bundles)
    with pytest.raises(S3Error, match="AccessDenied"):
        portal.set_object_lock_config(BUCKETS.audit, ObjectLockConfig("COMPLIANCE", 1, DAYS))
    with pytest.raises(S3Error, match="AccessDenied"):
        portal.remove_bucket(BUCKETS.bundles)


def test_cannot_delete_what_is_locked(portal: Minio) -> None:
    admin.create_buckets(portal, BUCKETS)
    made = portal.put_object(BUCKETS.audit, "checkpoint", io.BytesIO(b"signed"), 6)
    with pytest.raises(S3Error, match="WORM|AccessDenied|locked"):
        portal.remove_object(BUCKETS.audit, "checkpoint", version_id=made.version_id)
    with pytest.raises(S3Error, match="AccessDenied"):
        portal.disable_object_legal_hold(BUCKETS.audit, "checkpoint", version_id=made.version_id)


def test_reaches_no_other_bucket(portal: Minio) -> None:
    with pytest.raises(S3Error, match="AccessDenied"):
        portal.put_object("of-another", "a", io.BytesIO(b"x"), 1)
    with pytest.raises(S3Error, match="AccessDenied"):
        list(portal.list_objects("of-another"))
    with pytest.raises(S3Error, match="AccessDenied"):
        portal.make_bucket("a-new-one")


def test_cannot_change_who_may_do_what(portal: Minio) -> None:
    with pytest.raises(S3Error, match="AccessDenied"):
        portal.set_bucket_policy("of-another", "{}")
