"""An object of any size goes in and out through a few pieces of memory: the peak of a process that does nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.s3 import make_client
from tests.services.minio import running_minio

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
GROWTH = 100 * MIB

PROGRAM = """
import json, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from storage.kek import KekFolder
from storage.keyring import SqliteKeyring
from storage.local import LocalStore
from storage.s3 import connect
from storage.sealed import SealedStore
folder, size = Path(sys.argv[2]), int(sys.argv[3])
keks = KekFolder(folder / "kek"); keks.create(1)
where = json.loads(sys.argv[4])
raw = connect(*where) if where else LocalStore(folder / "objects")
store = SealedStore(raw, SqliteKeyring(folder / "keyring.db", keks))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
chunk = bytes(range(256)) * 4096
store.put("small", 1, [chunk]); sum(map(len, store.open("small", 1)))
before = peak()
store.put("large", 1, (chunk for _ in range(size >> 20)))
after_put = peak()
got = sum(map(len, store.open("large", 1)))
print(json.dumps({"got": got, "put": after_put - before, "get": peak() - before, "base": before}))
"""


def measured(folder: Path, size: int, where: list[str]) -> dict[str, int]:
    command = [sys.executable, "-c", PROGRAM, str(ROOT), str(folder), str(size), json.dumps(where)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, int] = json.loads(done.stdout)
    print({name: f"{value / MIB:.1f} MiB" for name, value in found.items()})
    return found


@pytest.fixture(params=["local", pytest.param("minio", marks=pytest.mark.services)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """The arguments of `connect`, none for the folder."""
    if request.param == "local":
        yield []
        return
    with running_minio(tmp_path / "minio") as server:
        keys = server.access_key, server.secret_key, "us-east-1"
        make_client(server.endpoint, *keys).create_bucket(Bucket="memory")
        yield [server.endpoint, *keys, "memory"]


def grows_little(folder: Path, size: int, where: list[str]) -> None:
    found = measured(folder, size, where)
    assert found["got"] == size
    assert max(found["put"], found["get"]) < GROWTH


@pytest.mark.soak
def test_two_gibibytes(tmp_path: Path, where: list[str]) -> None:
    grows_little(tmp_path, 2048 * MIB, where)


def test_a_quarter_of_a_gibibyte(tmp_path: Path) -> None:
    grows_little(tmp_path, 256 * MIB, [])
