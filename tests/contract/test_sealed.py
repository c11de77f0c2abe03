"""The sealed layer on every store: what it keeps there is the same, and what it reads back."""

import hashlib
import tracemalloc

import pytest

from storage import seal
from storage.errors import Conflict, KeyGone, NotFound
from storage.keyring import KekFolder, SqliteKeyring
from storage.sealed import PART_SIZE, SealedStore


@pytest.fixture
def keyring(tmp_path):
    keks = KekFolder(tmp_path / "keks")
    keks.create(1)
    ring = SqliteKeyring(tmp_path / "keyring.db", keks)
    yield ring
    ring.close()


@pytest.fixture
def sealed(store, keyring) -> SealedStore:
    return SealedStore(store, keyring)


def content(size: int) -> bytes:
    return hashlib.shake_128(str(size).encode()).digest(size)


@pytest.mark.parametrize("size", [0, 1, seal.CHUNK, seal.CHUNK + 1, 12 * seal.CHUNK + 5])
def test_put_open_range_size(sealed, size):
    stat = sealed.put("objects/1", 1, [content(size)])
    assert stat.sha256 == hashlib.sha256(content(size)).hexdigest()
    assert sealed.size("objects/1", 1) == stat.size == size
    assert b"".join(sealed.open("objects/1", 1)) == content(size)
    assert b"".join(sealed.open("objects/1", 1, size // 2, 9)) == content(size)[size // 2 :][:9]
    with pytest.raises(Conflict):
        sealed.put("objects/1", 1, [b"again"])


@pytest.mark.parametrize("size", [0, PART_SIZE, 2 * PART_SIZE + 77])
def test_upload_in_parts(sealed, size):
    upload = sealed.begin("objects/1", 1)
    pieces = [content(size)[at : at + PART_SIZE] for at in range(0, size, PART_SIZE)] or [b""]
    parts = [
        sealed.put_part("objects/1", 1, upload, number, piece, last=number == len(pieces))
        for number, piece in enumerate(pieces, start=1)
    ]
    stat = sealed.complete("objects/1", 1, upload, parts)
    assert stat == sealed.complete("objects/1", 1, upload, parts)
    assert stat.size == size
    assert b"".join(sealed.open("objects/1", 1)) == content(size)


def test_destroy(sealed, store):
    sealed.put("objects/1", 1, [b"one"])
    sealed.put("objects/1", 2, [b"two"])
    sealed.put("objects/12", 1, [b"other"])
    sealed.destroy("objects/1")
    assert [stat.key for stat in store.list()] == ["objects/12.v1"]
    for version in (1, 2):
        with pytest.raises((KeyGone, NotFound)):
            sealed.open("objects/1", version)


@pytest.mark.parametrize(
    "store",
    [
        "local",
        pytest.param("minio", marks=pytest.mark.services),
        pytest.param("seaweed", marks=pytest.mark.services),
    ],
    indirect=True,
)
def test_memory_does_not_grow_with_the_object(sealed):
    chunk = content(seal.CHUNK)
    tracemalloc.start()
    try:
        sealed.put("objects/1", 1, (chunk for _ in range(128)))
        size = sum(len(piece) for piece in sealed.open("objects/1", 1))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == 128 * seal.CHUNK
    # An S3 upload holds the part that is sent and the one that is gathered, each once more while it is made.
    assert peak < 48 * seal.CHUNK
