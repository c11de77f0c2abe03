"""The portal's user in MinIO may do what the portal does, on its buckets only. Against a real server."""

import importlib.util
import io
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from minio import Minio
from minio.error import S3Error

from tests.services.minio import running_minio

ROOT = Path(__file__).parents[3]
BUCKETS = ["sealgate-objects", "sealgate-audit"]
USER, PASSWORD = "portal-access-key", "portal-secret-key-0123456789"

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def store_user() -> ModuleType:
    spec = importlib.util.spec_from_file_location("store_user", ROOT / "deploy" / "store_user.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def portal(store_user: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    """A client with the portal's own credentials, made twice as a restart would make them."""
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
        patch.setenv("S3_BUCKETS", " ".join(BUCKETS))
        store_user.main()
        store_user.main()
        Minio(address, server.access_key, server.secret_key, secure=False).make_bucket("of-another")
        yield Minio(address, USER, PASSWORD, secure=False)


def test_makes_and_uses_its_buckets(portal: Minio) -> None:
    for bucket in BUCKETS:
        portal.make_bucket(bucket, object_lock=True)
        portal.put_object(bucket, "a", io.BytesIO(b"sealed"), 6)
        answer = portal.get_object(bucket, "a")
        assert answer.read() == b"sealed"
        answer.close()
        answer.release_conn()
        assert [found.object_name for found in portal.list_objects(bucket)] == ["a"]
        portal.remove_object(bucket, "a")


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
