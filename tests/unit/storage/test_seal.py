"""The sealed format against its frozen vectors, and against everything an enemy of the store may do to the bytes."""

import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from storage import seal
from storage.errors import Corrupt

VECTORS = Path(__file__).parents[2] / "vectors" / "sealed"
ACCEPTED = json.loads((VECTORS / "accepted.json").read_text())["cases"]
REFUSED = json.loads((VECTORS / "refused.json").read_text())
KEY = bytes(range(32))


def plaintext(case: dict) -> bytes:
    return hashlib.shake_128(case["plain_seed"].encode()).digest(case["plain_size"])


def sealed(case: dict) -> bytes:
    place = seal.Place(case["object_id"], case["version"], bytes.fromhex(case["stream"]))
    nonces = iter(case["nonces"])
    chunks = seal.cut([plaintext(case)])
    pieces = seal.seal_with(
        bytes.fromhex(case["key"]), place, chunks, lambda: bytes.fromhex(next(nonces)), first=0, last=True
    )
    return place.header() + b"".join(pieces)


def unsealed(key: bytes, object_id: str, version: int, data: bytes, out: list[bytes]) -> None:
    """Read a whole sealed object, leaving in `out` what was handed out before a refusal."""
    place = seal.read_header(object_id, version, data[: seal.HEADER_SIZE])
    seal.plain_size(len(data))
    pieces, count = [data[seal.HEADER_SIZE :]], seal.chunk_count(len(data))
    for plain in seal.unseal(key, place, len(data), pieces, first=0, count=count):
        out.append(plain)


def sealed_at(object_id: str, version: int, data: bytes) -> bytes:
    place = seal.new_place(object_id, version)
    return place.header() + b"".join(seal.seal(KEY, place, seal.cut([data])))


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case["name"])
def test_accepted_vectors(case):
    data, out = sealed(case), []
    assert hashlib.sha256(plaintext(case)).hexdigest() == case["plain_sha256"]
    assert hashlib.sha256(data).hexdigest() == case["sealed_sha256"]
    assert len(data) == case["sealed_size"]
    assert data.hex() == case.get("sealed", data.hex())
    assert seal.plain_size(len(data)) == case["plain_size"]
    unsealed(bytes.fromhex(case["key"]), case["object_id"], case["version"], data, out)
    assert b"".join(out) == plaintext(case)


def edited(data: bytes, edits: list) -> bytes:
    raw = bytearray(data)
    for verb, *numbers in edits:
        if verb == "cut":
            del raw[numbers[0] :]
        elif verb == "append":
            raw += bytes.fromhex(numbers[0])
        elif verb == "xor":
            raw[numbers[0]] ^= int(numbers[1], 16)
        elif verb == "remove":
            del raw[numbers[0] : numbers[0] + numbers[1]]
        elif verb == "insert_copy":
            source, size, target = numbers
            raw[target:target] = raw[source : source + size]
        elif verb == "swap":
            one, two, size = numbers
            raw[one : one + size], raw[two : two + size] = raw[two : two + size], raw[one : one + size]
        else:
            raise AssertionError(verb)
    return bytes(raw)


@pytest.mark.parametrize("case", REFUSED["cases"], ids=lambda case: case["name"])
def test_refused_vectors(case):
    base = next(base for base in REFUSED["bases"] if base["name"] == case["of"])
    data, out = edited(sealed(base), case["edits"]), []
    object_id, version = case["object_id"] or base["object_id"], case["version"] or base["version"]
    with pytest.raises(Corrupt):
        unsealed(bytes.fromhex(base["key"]), object_id, version, data, out)
    # Only whole chunks that authenticated came out, and they are the true plaintext.
    assert b"".join(out) == plaintext(base)[: case["plain_before"]]


@pytest.mark.parametrize("name", ["four KiB"])
def test_every_flipped_byte_is_refused(name):
    base = next(base for base in REFUSED["bases"] if base["name"] == name)
    data, key = sealed(base), bytes.fromhex(base["key"])
    for at in range(len(data)):
        out: list[bytes] = []
        with pytest.raises(Corrupt):
            unsealed(key, base["object_id"], base["version"], edited(data, [["xor", at, "01"]]), out)
        assert out == []


def test_every_truncation_is_refused():
    base = REFUSED["bases"][0]
    data, key = sealed(base), bytes.fromhex(base["key"])
    for size in range(len(data)):
        out: list[bytes] = []
        with pytest.raises(Corrupt):
            unsealed(key, base["object_id"], base["version"], data[:size], out)
        assert out == []


def test_chunks_of_two_writes_of_the_same_version_do_not_mix():
    old = sealed_at("o", 1, b"a" * (seal.CHUNK + 5))
    new = sealed_at("o", 1, b"b" * (seal.CHUNK + 5))
    border, out = seal.HEADER_SIZE + seal.SEALED_CHUNK, []
    with pytest.raises(Corrupt):
        unsealed(KEY, "o", 1, new[:border] + old[border:], out)
    assert b"".join(out) == b"b" * seal.CHUNK


def test_the_same_bytes_never_seal_alike():
    first, second = sealed_at("o", 1, b"same"), sealed_at("o", 1, b"same")
    assert first != second
    assert first[seal.HEADER_SIZE : seal.HEADER_SIZE + 12] != second[seal.HEADER_SIZE : seal.HEADER_SIZE + 12]


def test_the_context_of_a_chunk_is_as_specified():
    place = seal.Place("档案/1", 7, bytes(16))
    context = place.context(3, last=True)
    name = "档案/1".encode()
    size = len(name).to_bytes(2, "big")
    expected = (
        b"SGOB\x01" + size + name + (7).to_bytes(8, "big") + bytes(16) + (3).to_bytes(8, "big") + b"\x01"
    )
    assert context == expected
    body = b"".join(seal.seal(KEY, place, [b"plain"], first=3))
    assert AESGCM(KEY).decrypt(body[:12], body[12:], expected) == b"plain"


@given(st.integers(0, 40), st.integers(0, 300))
def test_sizes_are_told_from_the_stored_length(chunks, rest):
    plain = chunks * seal.CHUNK + rest
    count = max(1, -(-plain // seal.CHUNK))
    stored = seal.HEADER_SIZE + plain + count * seal.OVERHEAD
    assert seal.plain_size(stored) == plain
    assert seal.chunk_count(stored) == count


@given(st.integers(0, 3), st.integers(0, seal.OVERHEAD - 1))
def test_impossible_lengths_are_refused(chunks, rest):
    stored = seal.HEADER_SIZE + chunks * seal.SEALED_CHUNK + rest
    if rest or not chunks:
        with pytest.raises(Corrupt):
            seal.plain_size(stored)
    with pytest.raises(Corrupt):
        seal.plain_size(seal.HEADER_SIZE + (chunks + 1) * seal.SEALED_CHUNK + seal.OVERHEAD)


@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(1, 50))
def test_cut_keeps_the_bytes_and_makes_the_sizes(pieces, size):
    cut = list(seal.cut(pieces, size))
    assert b"".join(cut) == b"".join(pieces)
    assert all(len(piece) == size for piece in cut[:-1])
    assert len(cut) == max(1, -(-sum(map(len, pieces)) // size))


@given(st.data())
def test_unseal_takes_pieces_of_any_size(data):
    plain = hashlib.shake_128(b"pieces").digest(seal.CHUNK + data.draw(st.integers(0, 5)))
    whole = sealed_at("o", 1, plain)
    body = whole[seal.HEADER_SIZE :]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    place = seal.read_header("o", 1, whole[: seal.HEADER_SIZE])
    count = seal.chunk_count(len(whole))
    assert b"".join(seal.unseal(KEY, place, len(whole), pieces, first=0, count=count)) == plain
