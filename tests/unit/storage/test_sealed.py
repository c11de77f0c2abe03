"""The sealed store over stores that a test can look into, break and make fail."""

import hashlib
import itertools
import threading
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import seal
from storage.errors import Conflict, Corrupt, InvalidKey, KeyGone, NotFound, Unavailable
from storage.local import LocalStore
from storage.memory import MemoryStore
from storage.sealed import PART_SIZE, SealedStore

MIB = 1 << 20
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
names = (f"objects/{number}" for number in itertools.count())
border = st.builds(
    lambda chunks, off: max(0, chunks * MIB + off),
    st.integers(0, 3),
    st.sampled_from([-29, -28, -1, 0, 1, 28, 29]),
)


def content(size: int) -> bytes:
    return hashlib.shake_128(str(size).encode()).digest(size)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def sealed(store, keyring) -> SealedStore:
    return SealedStore(store, keyring)


@SHARED
@given(size=border, data=st.data())
def test_round_trip_at_chunk_borders_with_any_chunking(sealed, size, data):
    plain, name = content(size), next(names)
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=8)))
    chunks = [plain[a:b] for a, b in zip([0, *cuts], [*cuts, size], strict=True)]
    stat = sealed.put(name, 1, chunks)
    assert (stat.size, stat.sha256) == (size, hashlib.sha256(plain).hexdigest())
    assert stat.stored == size + seal.HEADER_SIZE + seal.OVERHEAD * max(1, -(-size // MIB))
    assert sealed.size(name, 1) == size
    pieces = list(sealed.open(name, 1))
    assert b"".join(pieces) == plain
    assert all(0 < len(piece) <= MIB for piece in pieces)


@SHARED
@given(size=border, start=border, length=st.none() | border)
def test_any_range(sealed, size, start, length):
    name = next(names)
    sealed.put(name, 1, [content(size)])
    end = None if length is None else start + length
    assert b"".join(sealed.open(name, 1, start, length)) == content(size)[start:end]


def test_a_range_reads_only_its_chunks(keyring):
    asked = []

    class Watched(MemoryStore):
        def open(self, key, start=0, length=None):
            asked.append((start, length))
            return super().open(key, start, length)

    sealed = SealedStore(Watched(), keyring)
    sealed.put("o", 1, [content(5 * MIB)])
    assert b"".join(sealed.open("o", 1, 3 * MIB - 1, 2)) == content(5 * MIB)[3 * MIB - 1 : 3 * MIB + 1]
    assert asked == [
        (0, seal.HEADER_SIZE),
        (seal.HEADER_SIZE + 2 * seal.SEALED_CHUNK, 2 * seal.SEALED_CHUNK),
    ]


def test_nothing_of_the_plaintext_is_in_the_store(sealed, store):
    sealed.put("o", 1, [b"CANARY-" * 1000])
    assert b"CANARY-" not in b"".join(store.open("o.v1"))


def test_versions_are_kept_apart_and_never_overwritten(sealed):
    sealed.put("o", 1, [b"one"])
    sealed.put("o", 2, [b"two"])
    with pytest.raises(Conflict):
        sealed.put("o", 2, [b"other"])
    assert b"".join(sealed.open("o", 1)) == b"one"
    sealed.delete("o", 1)
    with pytest.raises(NotFound):
        sealed.open("o", 1)
    assert b"".join(sealed.open("o", 2)) == b"two"


def test_first_versions_written_together_share_one_key(sealed, keyring):
    gate = threading.Barrier(6)

    def write(version: int) -> None:
        gate.wait()
        sealed.put("o", version, [b"%d" % version])

    threads = [threading.Thread(target=write, args=(version,)) for version in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [b"".join(sealed.open("o", version)) for version in range(1, 7)] == [
        b"1",
        b"2",
        b"3",
        b"4",
        b"5",
        b"6",
    ]
    assert list(keyring.names()) == ["o"]


def replaced(store: MemoryStore, key: str, data: bytes) -> None:
    store.delete(key)
    store.put(key, [data])


@pytest.mark.parametrize(
    ("source", "target"), [(("o", 1), ("o", 2)), (("p", 1), ("o", 1)), (("o", 2), ("p", 1))]
)
def test_swapped_objects_and_versions_are_refused(sealed, store, source, target):
    for name, version in (("o", 1), ("o", 2), ("p", 1)):
        sealed.put(name, version, [f"{name}{version}".encode() * 2000])
    replaced(store, f"{target[0]}.v{target[1]}", b"".join(store.open(f"{source[0]}.v{source[1]}")))
    with pytest.raises(Corrupt):
        next(sealed.open(*target))


def until_refused(reading) -> bytes:
    """What a reader got before the object was refused, as it must be."""
    got = bytearray()
    try:
        for piece in reading:
            got += piece
    except Corrupt:
        return bytes(got)
    pytest.fail("the object was not refused")


@pytest.mark.parametrize("chunks", [1, 2])
@pytest.mark.parametrize("start", [0, MIB, 2 * MIB, 2 * MIB + 700, 9 * MIB])
def test_an_object_cut_at_a_chunk_border_is_refused_from_its_new_end(sealed, store, chunks, start):
    sealed.put("o", 1, [content(2 * MIB + 700)])
    kept = b"".join(store.open("o.v1"))[: seal.HEADER_SIZE + chunks * seal.SEALED_CHUNK]
    replaced(store, "o.v1", kept)
    assert (
        until_refused(sealed.open("o", 1, start))
        == content(2 * MIB + 700)[start : max(start, (chunks - 1) * MIB)]
    )


def test_an_object_cut_to_an_empty_one_is_refused(sealed, store):
    sealed.put("o", 1, [content(100)])
    replaced(store, "o.v1", b"".join(store.open("o.v1"))[: seal.HEADER_SIZE + seal.OVERHEAD])
    with pytest.raises(Corrupt):
        list(sealed.open("o", 1))


@pytest.mark.parametrize(
    "data", [b"", b"SGOB", b"not sealed at all, but long enough to have a header and a chunk"]
)
def test_foreign_bytes_are_refused_by_the_call(sealed, store, data):
    sealed.put("o", 1, [b"x"])
    replaced(store, "o.v1", data)
    with pytest.raises(Corrupt):
        sealed.open("o", 1)


def test_destroy_takes_the_key_and_every_version(sealed, store, keyring):
    for name in ("o", "o.v1", "o/v", "ox"):
        sealed.put(name, 1, [b"x"])
    sealed.put("o", 12, [b"y"])
    stolen = b"".join(store.open("o.v1"))
    sealed.destroy("o")
    sealed.destroy("o")
    assert [found.key for found in store.list()] == ["o.v1.v1", "o/v.v1", "ox.v1"]
    assert list(keyring.names()) == ["o.v1", "o/v", "ox"]
    store.put("o.v1", [stolen])
    with pytest.raises(KeyGone):
        sealed.open("o", 1)
    # What was destroyed stays destroyed: the name never gets another key, under which old bytes could be passed off.
    with pytest.raises(KeyGone):
        sealed.put("o", 2, [b"a new life under a new key"])


def test_the_key_goes_before_the_bytes(keyring):
    fail = []

    def fault(operation, key):
        if operation in fail:
            raise Unavailable("the store did not answer")

    store = MemoryStore(fault)
    sealed = SealedStore(store, keyring)
    sealed.put("o", 1, [b"x"])
    fail.append("delete")
    with pytest.raises(Unavailable):
        sealed.destroy("o")
    fail.clear()
    assert list(keyring.names()) == []
    sealed.destroy("o")
    assert list(store.list()) == []


@pytest.mark.parametrize(
    "operation", ["put", "begin", "put_part", "complete", "open", "read", "stat", "delete", "list"]
)
def test_a_failing_store_fails_the_operation_and_a_retry_succeeds(keyring, operation):
    armed = []

    def fault(name, key):
        if name in armed:
            armed.remove(name)
            raise Unavailable("the store did not answer")

    sealed = SealedStore(MemoryStore(fault), keyring)
    tried = {
        "put": lambda: sealed.put("o", 1, [content(10)]),
        "begin": lambda: uploads.append(sealed.begin("u", 1)),
        "put_part": lambda: parts.append(sealed.put_part("u", 1, uploads[-1], 1, b"part", last=True)),
        "complete": lambda: sealed.complete("u", 1, uploads[-1], parts),
        "stat": lambda: sealed.size("o", 1),
        "open": lambda: sealed.open("o", 1),
        "read": lambda: list(sealed.open("o", 1)),
        "list": lambda: sealed.destroy("u"),
        "delete": lambda: sealed.delete("o", 1),
    }
    uploads, parts = [], []
    for name, act in tried.items():
        if name == operation:
            armed.append(name)
            with pytest.raises(Unavailable):
                act()
        act()
    assert not armed


def upload(sealed: SealedStore, name: str, plain: bytes) -> tuple[str, list]:
    opened = sealed.begin(name, 1)
    pieces = [plain[at : at + PART_SIZE] for at in range(0, len(plain), PART_SIZE)] or [b""]
    numbered = list(enumerate(pieces, start=1))
    parts = [
        sealed.put_part(name, 1, opened, number, piece, last=number == len(pieces))
        for number, piece in reversed(numbered)
    ]
    return opened, parts[::-1]


@pytest.mark.parametrize(
    "size", [0, 1, MIB, PART_SIZE - 1, PART_SIZE, PART_SIZE + 1, 2 * PART_SIZE, 2 * PART_SIZE + MIB]
)
def test_uploads_in_parts_read_like_any_object(sealed, size):
    opened, parts = upload(sealed, "o", content(size))
    stat = sealed.complete("o", 1, opened, parts)
    assert (stat.size, stat.sha256) == (size, None)
    assert sealed.complete("o", 1, opened, parts) == stat
    assert b"".join(sealed.open("o", 1)) == content(size)
    assert b"".join(sealed.open("o", 1, max(0, size - 3), 2)) == content(size)[max(0, size - 3) :][:2]


def test_a_part_sent_again_replaces_the_first(sealed):
    opened = sealed.begin("o", 1)
    sealed.put_part("o", 1, opened, 1, b"a" * PART_SIZE, last=False)
    parts = [
        sealed.put_part("o", 1, opened, 1, b"b" * PART_SIZE, last=False),
        sealed.put_part("o", 1, opened, 2, b"end", last=True),
    ]
    sealed.complete("o", 1, opened, parts)
    assert b"".join(sealed.open("o", 1)) == b"b" * PART_SIZE + b"end"


@pytest.mark.parametrize(
    ("number", "size", "last"),
    [(1, 5, False), (1, 0, False), (2, 0, True), (2, PART_SIZE - 1, False), (1, PART_SIZE + 1, True)],
)
def test_parts_of_a_wrong_length_are_refused(sealed, number, size, last):
    opened = sealed.begin("o", 1)
    with pytest.raises(Conflict):
        sealed.put_part("o", 1, opened, number, bytes(size), last=last)


def test_an_upload_that_lacks_its_last_part_leaves_nothing(sealed, store):
    opened = sealed.begin("o", 1)
    parts = [sealed.put_part("o", 1, opened, 1, bytes(PART_SIZE), last=False)]
    with pytest.raises(Corrupt):
        sealed.complete("o", 1, opened, parts)
    assert list(store.list()) == []


def test_an_upload_that_lacks_a_part_in_the_middle_is_refused(sealed):
    opened, parts = upload(sealed, "o", content(2 * PART_SIZE + 1))
    for wrong in (parts[1:], parts[::2], parts[::-1], []):
        with pytest.raises(Conflict):
            sealed.complete("o", 1, opened, wrong)
    assert sealed.complete("o", 1, opened, parts).size == 2 * PART_SIZE + 1


def test_parts_of_another_upload_do_not_fit(sealed, store):
    first, parts = upload(sealed, "o", content(PART_SIZE + 5))
    sealed.complete("o", 1, first, parts)
    whole = b"".join(store.open("o.v1"))
    store.delete("o.v1")
    second, parts = upload(sealed, "o", content(PART_SIZE + 6)[:-1])
    sealed.complete("o", 1, second, parts)
    cut = seal.HEADER_SIZE + 8 * seal.SEALED_CHUNK
    replaced(store, "o.v1", b"".join(store.open("o.v1"))[:cut] + whole[cut:])
    with pytest.raises(Corrupt):
        list(sealed.open("o", 1, PART_SIZE))


def test_abort_forgets_the_upload(sealed, store):
    opened, parts = upload(sealed, "o", b"x")
    sealed.abort("o", 1, opened)
    sealed.abort("o", 1, opened)
    with pytest.raises(NotFound):
        sealed.complete("o", 1, opened, parts)
    assert list(store.list()) == []


@pytest.mark.parametrize(
    ("name", "version"), [("", 1), ("../x", 1), ("A", 1), ("o", 0), ("o", -1), ("x" * 181, 1)]
)
def test_names_and_versions_are_server_made(sealed, keyring, name, version):
    for ask in (
        lambda: sealed.put(name, version, [b"x"]),
        lambda: sealed.open(name, version),
        lambda: sealed.size(name, version),
        lambda: sealed.begin(name, version),
        lambda: sealed.delete(name, version),
    ):
        with pytest.raises(InvalidKey):
            ask()
    assert list(keyring.names()) == []


def test_memory_does_not_grow_with_the_object(tmp_path, keyring):
    sealed = SealedStore(LocalStore(tmp_path / "objects"), keyring)
    chunk = content(MIB)
    tracemalloc.start()
    try:
        sealed.put("o", 1, (chunk for _ in range(96)))
        size = sum(len(piece) for piece in sealed.open("o", 1))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == 96 * MIB
    assert peak < 16 * MIB
