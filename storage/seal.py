"""The byte format of a sealed object (docs/formats.md, 'Sealed object'), without any store or keyring.

header ‖ chunk 0 ‖ chunk 1 ‖ …      header = "SGOB" ‖ format version (1) ‖ stream id (16 random bytes)
chunk  = nonce (12) ‖ AES-256-GCM of up to 1 MiB ‖ tag (16)
"""

import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.errors import Corrupt

MAGIC = b"SGOB"
FORMAT = 1
STREAM_SIZE = 16
HEADER_SIZE = len(MAGIC) + 1 + STREAM_SIZE
CHUNK = 1 << 20
NONCE_SIZE = 12
OVERHEAD = NONCE_SIZE + 16
SEALED_CHUNK = CHUNK + OVERHEAD


@dataclass(frozen=True)
class Place:
    """What every chunk of one stream is bound to: object id, object version from 1, stream id."""

    object_id: str
    version: int
    stream: bytes

    def header(self) -> bytes:
        """Return the bytes in front of the first chunk."""
        return MAGIC + bytes([FORMAT]) + self.stream

    def context(self, index: int, *, last: bool) -> bytes:
        """Return the additional data of chunk `index` from 0."""
        name = self.object_id.encode()
        fixed = self.version.to_bytes(8, "big") + self.stream + index.to_bytes(8, "big") + bytes([last])
        return MAGIC + bytes([FORMAT]) + len(name).to_bytes(2, "big") + name + fixed


def new_place(object_id: str, version: int) -> Place:
    """Return a place with a fresh stream id, which keeps the chunks of two writes of one version apart."""
    return Place(object_id, version, secrets.token_bytes(STREAM_SIZE))


def read_header(object_id: str, version: int, header: bytes) -> Place:
    """Return the place that a header names; raises Corrupt. The header is authenticated with every chunk."""
    if len(header) != HEADER_SIZE or header[: len(MAGIC)] != MAGIC or header[len(MAGIC)] != FORMAT:
        raise Corrupt("not a sealed object of a known format")
    return Place(object_id, version, header[-STREAM_SIZE:])


def plain_size(stored: int) -> int:
    """Return the plaintext size in bytes of a sealed object of `stored` bytes; Corrupt when none has that size."""
    body = stored - HEADER_SIZE
    rest = body % SEALED_CHUNK
    if body < OVERHEAD or 0 < rest < OVERHEAD or (rest == OVERHEAD and body > OVERHEAD):
        raise Corrupt("the stored length is impossible")
    return body - OVERHEAD * chunk_count(stored)


def chunk_count(stored: int) -> int:
    """Return the number of chunks in a sealed object of `stored` bytes."""
    return -(-(stored - HEADER_SIZE) // SEALED_CHUNK)


def cut(pieces: Iterable[bytes], size: int = CHUNK) -> Iterator[bytes]:
    """Yield the same bytes in pieces of exactly `size`, the last one shorter; one empty piece for none.

    A piece that has the size already is passed on as it is, without a copy.
    """
    held = bytearray()
    none = True
    for piece in pieces:
        if not held and len(piece) == size:
            none = False
            yield bytes(piece)
            continue
        held += piece
        while len(held) >= size:
            none = False
            yield bytes(held[:size])
            del held[:size]
    if held or none:
        yield bytes(held)


def seal(
    key: bytes, place: Place, chunks: Iterable[bytes], *, first: int = 0, last: bool = True
) -> Iterator[bytes]:
    """Yield nonce and ciphertext, in turn, of chunks that `cut` has made; the nonces are random.

    `first` is the index of the first of them; `last` says whether the stream ends with them.
    """
    return seal_with(key, place, chunks, lambda: secrets.token_bytes(NONCE_SIZE), first=first, last=last)


def seal_with(
    key: bytes, place: Place, chunks: Iterable[bytes], nonce: Callable[[], bytes], *, first: int, last: bool
) -> Iterator[bytes]:
    """Do what `seal` does with nonces from the caller; for test vectors only."""
    cipher = AESGCM(key)
    index, ahead = first, None
    for chunk in chunks:
        if ahead is not None:
            yield from _seal_chunk(cipher, ahead, nonce(), place.context(index, last=False))
            index += 1
        ahead = chunk
    if ahead is not None:
        yield from _seal_chunk(cipher, ahead, nonce(), place.context(index, last=last))


def _seal_chunk(cipher: AESGCM, chunk: bytes, nonce: bytes, context: bytes) -> tuple[bytes, bytes]:
    # Two pieces rather than one: joining them would copy a megabyte for twelve bytes.
    return nonce, cipher.encrypt(nonce, chunk, context)


def unseal(
    key: bytes, place: Place, stored: int, pieces: Iterable[bytes], *, first: int, count: int
) -> Iterator[bytes]:
    """Yield the plaintext of `count` chunks from index `first`, each authenticated before it is handed out.

    `pieces` begin with chunk `first`; `stored` is the object's whole size, by which the last chunk is known.
    Raises Corrupt at the first chunk that fails.
    """
    cipher, final = AESGCM(key), chunk_count(stored) - 1
    end = stored - HEADER_SIZE
    source = _Exact(pieces)
    for index in range(first, first + count):
        sealed = source.read(min(SEALED_CHUNK, end - index * SEALED_CHUNK))
        context = place.context(index, last=index == final)
        try:
            plain = cipher.decrypt(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], context)
        except InvalidTag:
            raise Corrupt("a chunk does not authenticate") from None
        yield plain


class _Exact:
    """Pieces of any size, read in exact lengths through one reused buffer."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")
        # Slices of a view take bytes as they are; a bytearray's own slices would copy them once more.
        self._buffer = memoryview(bytearray(SEALED_CHUNK))

    def read(self, size: int) -> memoryview:
        """Return the next `size` bytes, valid until the next read; raises Corrupt when they end early."""
        if len(self._rest) >= size:
            got, self._rest = self._rest[:size], self._rest[size:]
            return got
        filled = 0
        while filled < size:
            if not self._rest:
                self._rest = memoryview(self._next())
            step = min(len(self._rest), size - filled)
            self._buffer[filled : filled + step] = self._rest[:step]
            self._rest = self._rest[step:]
            filled += step
        return self._buffer[:size]

    def _next(self) -> bytes:
        piece = next(self._pieces, None)
        if piece is None:
            raise Corrupt("the object ends early")
        return piece
