"""Every fault of the line to a real MinIO, under each operation of the sealed layer: it ends in time, fails closed,
leaves nothing half-written, and a retry succeeds."""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from storage.errors import Conflict, NotFound, StorageError, Unavailable
from storage.keyring import KekFolder, SqliteKeyring
from storage.s3 import S3Store, make_client
from storage.sealed import SealedStore
from tests.services.faults import FAULTS, Fault, Line, broken_line

pytestmark = pytest.mark.services
MIB = 1 << 20
CONNECT_S, READ_S = 1.5, 1.5
HASTY_S, PATIENT_S = 0.5, 20.0
# A request, or two where a failed upload is given up as well, each with one more time-out; the rest is a busy machine.
ENDS_S = 2 * (HASTY_S + CONNECT_S + READ_S) + 4


def content(size: int) -> bytes:
    return hashlib.shake_128(b"%d" % size).digest(size)


SMALL, LARGE = content(700_001), content(9 * MIB)


@dataclass
class Case:
    """One line with its fault, the store behind it, the same with a short deadline, and the same without the line."""

    line: Line
    through: SealedStore
    hasty: SealedStore
    direct: SealedStore
    fault: Fault

    def whole_or_nothing(self, name: str, data: bytes) -> None:
        """What can be read under the name is the whole object."""
        try:
            assert b"".join(self.direct.open(name, 1)) == data
        except NotFound:
            pass

    def stubborn(self, act: Callable[[], object]) -> None:
        """Every request meets the fault: the operation ends in time, by success or by saying that it could not."""
        begun = time.monotonic()
        try:
            act()
        except Unavailable:
            pass
        assert time.monotonic() - begun < ENDS_S
        self.line.heal()


def put(case: Case, data: bytes, requests: int) -> None:
    case.line.spoil(case.fault, count=1)
    case.through.put("once", 1, [data])
    assert case.line.met == 1
    assert b"".join(case.direct.open("once", 1)) == data
    for after in range(requests):
        name = f"always-{after}"
        case.line.spoil(case.fault, after=after)
        case.stubborn(lambda name=name: case.hasty.put(name, 1, [data]))
        case.whole_or_nothing(name, data)
        try:
            case.through.put(name, 1, [data])
        except Conflict:  # Done by the try whose answer never came.
            pass
        assert b"".join(case.through.open(name, 1)) == data


def put_one(case: Case) -> None:
    put(case, SMALL, 1)


def put_parts(case: Case) -> None:
    """The first request opens the upload, the next two are parts, the fourth joins them."""
    for after in (1, 3):
        case.line.spoil(case.fault, after=after, count=1)
        case.through.put(f"after-{after}", 1, [LARGE])
        assert case.line.met == 1
        assert case.direct.size(f"after-{after}", 1) == len(LARGE)
    case.line.spoil(case.fault, after=3)
    case.stubborn(lambda: case.hasty.put("always", 1, [LARGE]))
    case.whole_or_nothing("always", LARGE)


def get(case: Case) -> None:
    case.direct.put("k", 1, [SMALL * 2])
    for after in range(3):
        case.line.spoil(case.fault, after=after, count=1)
        assert b"".join(case.through.open("k", 1)) == SMALL * 2
        assert case.line.met == 1
    got: list[bytes] = []
    case.line.spoil(case.fault)
    case.stubborn(lambda: got.extend(case.hasty.open("k", 1)))
    # Whatever came before it failed is the object's beginning.
    assert (SMALL * 2).startswith(b"".join(got))
    assert b"".join(case.through.open("k", 1, 5, 9)) == SMALL[5:14]


def look(case: Case) -> None:
    case.direct.put("k", 1, [b"x"])
    case.direct.put("k", 2, [b"yy"])

    def size(store: SealedStore) -> int:
        return store.size("k", 2)

    def count(store: SealedStore) -> int:
        return len(list(store._store.list("k")))

    for ask in (size, count):
        case.line.spoil(case.fault, count=1)
        assert ask(case.through) == 2
        assert case.line.met == 1
        seen: list[int] = []
        case.line.spoil(case.fault)
        case.stubborn(lambda ask=ask, seen=seen: seen.append(ask(case.hasty)))
        assert seen in ([], [2])
        assert ask(case.through) == 2


def delete(case: Case) -> None:
    for after in (0, 1):
        case.direct.put(f"k{after}", 1, [SMALL])
        case.line.spoil(case.fault, after=after, count=1)
        case.through.delete(f"k{after}", 1)
        assert case.line.met == 1
    case.direct.put("k", 1, [SMALL])
    case.line.spoil(case.fault)
    case.stubborn(lambda: case.hasty.delete("k", 1))
    case.whole_or_nothing("k", SMALL)
    case.through.delete("k", 1)
    assert list(case.direct._store.list("k")) == []


OPERATIONS = {"put": put_one, "put in parts": put_parts, "get": get, "stat and list": look, "delete": delete}


@pytest.fixture
def keyring(tmp_path: Path) -> Iterator[SqliteKeyring]:
    keks = KekFolder(tmp_path / "keks")
    keks.create(1)
    ring = SqliteKeyring(tmp_path / "keyring.db", keks)
    yield ring
    ring.close()


def impatient(endpoint: str, *keys: str):
    return make_client(endpoint, *keys, connect_s=CONNECT_S, read_s=READ_S)


@contextmanager
def made(minio_bucket, keyring, fault: Fault) -> Iterator[Case]:
    server, bucket = minio_bucket
    prefix = f"faults-{secrets.token_hex(6)}/"
    owner = _Apart(keyring, prefix.replace("/", "-"))
    keys = server.access_key, server.secret_key, "us-east-1"
    with broken_line(server.endpoint) as line:
        through, hasty = (
            SealedStore(S3Store(impatient(line.url, *keys), bucket, prefix, deadline_s), owner)
            for deadline_s in (PATIENT_S, HASTY_S)
        )
        direct = SealedStore(S3Store(make_client(server.endpoint, *keys), bucket, prefix), owner)
        yield Case(line, through, hasty, direct, fault)


class _Apart:
    """One keyring for all cases, each with names of its own."""

    def __init__(self, ring: SqliteKeyring, prefix: str) -> None:
        self._ring, self._prefix = ring, prefix

    def create(self, name: str) -> bytes:
        return self._ring.create(self._prefix + name)

    def key(self, name: str) -> bytes:
        return self._ring.key(self._prefix + name)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_fault_under_an_operation(minio_bucket, keyring, operation):
    """Faults side by side, for nearly all of their time is waiting."""

    def tried(name: str) -> str:
        with made(minio_bucket, keyring, FAULTS[name]) as case:
            try:
                OPERATIONS[operation](case)
            except (AssertionError, StorageError) as error:
                return f"{name}: {type(error).__name__} {error}"
        return ""

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(tried, FAULTS))
    assert [line for line in told if line] == []


def test_there_are_faults_enough():
    assert len(FAULTS) >= 20
    assert len(set(FAULTS.values())) == len(FAULTS)
