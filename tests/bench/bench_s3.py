"""Putting and getting through the sealed layer against bare boto3 on the same MinIO, turn and turn about; and the peak of memory.

Both sides speak unencrypted HTTP to the loopback, so that nothing but the client differs. A put makes the object's key as well
(a durable row), and a get asks for the size and the header first: with 1 MiB that is what is measured, with more it vanishes.
SEALGATE_BENCH_LARGE=1 adds 1 GiB.
"""

import io
import os
import resource
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from storage.kek import KekFolder
from storage.keyring import SqliteKeyring
from storage.s3 import S3Store, make_client
from storage.sealed import SealedStore
from tests.services.minio import running_minio

MIB = 1 << 20
# Size in MiB, rounds, and the goals for put and get: bare seconds / sealed seconds.
SIZES = [(1, 15, 0.2, 0.2), (100, 3, 0.5, 0.5)]
# boto3 sends ten parts at once, the sealed layer one after the other: over 1 GiB that is most of the difference.
LARGE = (1024, 1, 0.3, 0.4)
GROWTH = 100


def seconds(act: Callable[[], Any]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def spend(pieces: Iterator[bytes]) -> None:
    """Takes every piece and keeps none."""
    for _ in pieces:
        pass


def peak() -> int:
    """The most memory that this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Repeated(io.RawIOBase):
    """A file of `size` MiB made of one chunk, so that the bare side holds no more than the other."""

    def __init__(self, chunk: bytes, size: int) -> None:
        self._chunk, self._left = memoryview(chunk), size * MIB

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), self._left, MIB - self._left % MIB)
        at = (MIB - self._left % MIB) % MIB
        buffer[:count] = self._chunk[at : at + count]
        self._left -= count
        return count


def rows() -> Iterator[dict[str, Any]]:
    """Two rows for each size, and one of memory over all of them."""
    sizes = [*SIZES, LARGE] if os.environ.get("SEALGATE_BENCH_LARGE") else SIZES
    with tempfile.TemporaryDirectory() as name, running_minio(Path(name)) as server:
        client = make_client(server.endpoint, server.access_key, server.secret_key, "us-east-1")
        client.create_bucket(Bucket="bench")
        keks = KekFolder(Path(name) / "kek")
        keks.create(1)
        keyring = SqliteKeyring(Path(name) / "keyring.db", keks)
        sealed = SealedStore(S3Store(client, "bench", "sealed/"), keyring)
        measured = {size: (ratios(client, sealed, size, rounds), goals) for size, rounds, *goals in sizes}
        for size, ((put, get, _), goals) in measured.items():
            yield row(f"storage: bare boto3 put / sealed put, {size} MiB", put, goals[0])
            yield row(f"storage: bare boto3 get / sealed get, {size} MiB", get, goals[1])
        growth = max(found[2] for found, _ in measured.values()) / MIB
        title = (
            f"storage: growth of peak memory over sealed put and get up to {max(measured)} MiB, MiB (at most)"
        )
        yield {"name": title, "ratio": round(growth, 1), "goal": GROWTH, "met": growth <= GROWTH}
        keyring.close()


def ratios(client: Any, sealed: SealedStore, size: int, rounds: int) -> tuple[float, float, int]:
    """Medians of bare / sealed for put and get, and by how much the sealed side raised the peak."""
    chunk, puts, gets, growth = secrets.token_bytes(MIB), [], [], 0
    for _ in range(rounds):
        key, before = secrets.token_hex(8), peak()
        ours = seconds(lambda: sealed.put(key, 1, (chunk for _ in range(size))))  # noqa: B023 - called at once.
        ours_get = seconds(lambda: spend(sealed.open(key, 1)))  # noqa: B023
        growth = max(growth, peak() - before)
        file = io.BufferedReader(Repeated(chunk, size), MIB)
        puts.append(seconds(lambda: client.upload_fileobj(file, "bench", key)) / ours)  # noqa: B023
        gets.append(seconds(lambda: spend(bare(client, key))) / ours_get)  # noqa: B023
        sealed.destroy(key)
        client.delete_object(Bucket="bench", Key=key)
    return statistics.median(puts), statistics.median(gets), growth


def bare(client: Any, key: str) -> Iterator[bytes]:
    """The object by one plain request, in pieces of 1 MiB."""
    body = client.get_object(Bucket="bench", Key=key)["Body"]
    try:
        while piece := body.read(MIB):
            yield piece
    finally:
        body.close()


def row(name: str, ratio: float, goal: float) -> dict[str, Any]:
    """One row of the table."""
    return {"name": name, "ratio": round(ratio, 3), "goal": goal, "met": ratio >= goal}
