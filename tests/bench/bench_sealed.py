"""What the sealed layer costs above its floor: the digest, the cipher and the durable write, done bare on the same bytes."""

import hashlib
import os
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.kek import KekFolder
from storage.keyring import SqliteKeyring
from storage.local import LocalStore
from storage.seal import CHUNK
from storage.sealed import SealedStore

CHUNKS = 64
RUNS = 7
# Beside cipher and disk there are copies between buffers; more than half again would be a fault of ours.
GOAL = 1.5


def bare_put(path: Path, chunks: list[bytes]) -> None:
    """The floor of putting: SHA-256, AES-256-GCM, write and fsync."""
    cipher, digest = AESGCM(AESGCM.generate_key(256)), hashlib.sha256()
    with path.open("wb") as file:
        for chunk in chunks:
            digest.update(chunk)
            file.write(cipher.encrypt(secrets.token_bytes(12), chunk, b""))
        file.flush()
        os.fsync(file.fileno())


def timed(action: Callable[[], Any]) -> float:
    """Seconds the action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def rows() -> list[dict[str, Any]]:
    """One row: sealing 64 MiB into the local store against the bare floor; runs alternate, medians are compared."""
    chunks = [secrets.token_bytes(CHUNK) for _ in range(CHUNKS)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keks = KekFolder(folder / "kek")
        keks.create(1)
        keyring = SqliteKeyring(folder / "keyring.db", keks)
        store = SealedStore(LocalStore(folder / "store"), keyring)
        ours, floor = [], []
        for _ in range(RUNS):
            object_id = secrets.token_hex(16)
            floor.append(timed(lambda: bare_put(folder / "bare", chunks)))
            (folder / "bare").unlink()
            ours.append(timed(lambda: store.put(object_id, 1, chunks)))  # noqa: B023 - called at once.
            store.delete(object_id, 1)
        keyring.close()
    ratio = statistics.median(ours) / statistics.median(floor)
    return [
        {
            "name": "storage: sealed put / bare digest, cipher, fsync (at most)",
            "ratio": round(ratio, 3),
            "goal": GOAL,
            "met": ratio <= GOAL,
        }
    ]
