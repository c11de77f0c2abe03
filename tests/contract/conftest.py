"""Real stores for the contract tests, each started once per worker and ended with it."""

import importlib.util
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from storage.local import LocalStore
from storage.memory import MemoryStore
from storage.s3 import S3Store, make_client
from storage.store import ObjectStore

SERVICES = Path(__file__).parents[1] / "services"


def load(name: str) -> ModuleType:
    """The module of one service file, which is no part of a package."""
    spec = importlib.util.spec_from_file_location(f"sealgate_service_{name}", SERVICES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def minio_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with load("minio").running_minio(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(scope="session")
def seaweed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with load("seaweed").running_seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator:
    with load("postgres").running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server) -> Iterator[str]:
    url = postgres_server.database()
    yield url
    postgres_server.drop(url)


def bucket_on(server) -> str:
    """A fresh versioned bucket."""
    bucket = f"contract-{secrets.token_hex(6)}"
    client = client_of(server)
    client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client.close()
    return bucket


def client_of(server):
    return make_client(server.endpoint, server.access_key, server.secret_key, "us-east-1")


@pytest.fixture(scope="session")
def minio_bucket(minio_server) -> tuple:
    return minio_server, bucket_on(minio_server)


@pytest.fixture(scope="session")
def seaweed_bucket(seaweed_server) -> tuple:
    return seaweed_server, bucket_on(seaweed_server)


@pytest.fixture(
    params=[
        "memory",
        "local",
        pytest.param("minio", marks=pytest.mark.services),
        pytest.param("seaweed", marks=pytest.mark.services),
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty store of each kind."""
    if request.param == "memory":
        return MemoryStore()
    if request.param == "local":
        return LocalStore(tmp_path / "objects")
    # One bucket for all tests, for a bucket costs SeaweedFS whole volumes; each test has a folder in it.
    server, bucket = request.getfixturevalue(f"{request.param}_bucket")
    return S3Store(client_of(server), bucket, prefix=f"test-{secrets.token_hex(6)}/")
