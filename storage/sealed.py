"""The sealed layer: whatever goes into a store is encrypted first, and what comes out is authenticated."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from storage import seal
from storage.errors import Conflict, Corrupt, InvalidKey, KeyGone
from storage.keyring import Keyring
from storage.store import ObjectStore, Part, check_key, clip, started

# Plaintext bytes of every part of an upload but the last; eight chunks, so that parts begin at chunk borders.
PART_SIZE = 8 * seal.CHUNK
_CHUNKS_PER_PART = PART_SIZE // seal.CHUNK
_VERSION = re.compile(r"\.v[1-9][0-9]*", re.ASCII)


@dataclass(frozen=True)
class SealedStat:
    """A sealed object: plaintext size, SHA-256 of the plaintext in hex where it was seen whole, stored size."""

    size: int
    sha256: str | None
    stored: int


class SealedStore:
    """Versions of objects, sealed under one key per object id, in any object store.

    Beside the errors named below every method raises what its store and keyring raise. A version is written
    once; its key in the store is `<object id>.v<version>`.
    """

    def __init__(self, store: ObjectStore, keyring: Keyring) -> None:
        self._store, self._keyring = store, keyring

    def put(self, object_id: str, version: int, chunks: Iterable[bytes]) -> SealedStat:
        """Seal and store the joined chunks, of any sizes; durable when it returns; Conflict when it exists."""
        key, place = _key(object_id, version), seal.new_place(object_id, version)
        digest = _Digest(chunks)
        sealed = _with_header(place, seal.seal(self._new_key(object_id), place, seal.cut(digest)))
        stat = self._store.put(key, sealed)
        return SealedStat(digest.size, digest.hex(), stat.size)

    def open(
        self, object_id: str, version: int, start: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        """Yield plaintext bytes [start, start + length) cut at the end, in pieces of at most 1 MiB.

        Only the chunks that hold the range are read. NotFound, KeyGone and a bad header are raised by the call;
        Corrupt comes before any byte of the chunk that fails.
        """
        return started(self._read(object_id, version, start, length))

    def size(self, object_id: str, version: int) -> int:
        """Return the plaintext size in bytes, from the stored length; only reading authenticates it."""
        return seal.plain_size(self._store.stat(_key(object_id, version)).size)

    def digest(
        self, object_id: str, version: int, seen: Callable[[int], None] = lambda size: None
    ) -> SealedStat:
        """Decrypt the whole version, keeping nothing but its size and digest; `seen` hears of each piece's bytes.

        Raises what reading raises: NotFound, KeyGone, Corrupt.
        """
        stored = self._store.stat(_key(object_id, version)).size
        digest = _Digest(self.open(object_id, version))
        for piece in digest:
            seen(len(piece))
        return SealedStat(digest.size, digest.hex(), stored)

    def delete(self, object_id: str, version: int) -> None:
        """Delete the ciphertext of one version; the object keeps its key."""
        self._store.delete(_key(object_id, version))

    def destroy(self, object_id: str) -> None:
        """Delete the object's key, then every version; safe to repeat after a crash."""
        _check(object_id)
        self._keyring.destroy(object_id)
        for found in list(self._store.list(f"{object_id}.v")):
            if _VERSION.fullmatch(found.key, len(object_id)):
                self._store.delete(found.key)

    def begin(self, object_id: str, version: int) -> str:
        """Open an upload in parts and return its id, which the caller keeps."""
        key = _key(object_id, version)
        self._new_key(object_id)
        return self._store.begin(key)

    def put_part(
        self, object_id: str, version: int, upload: str, number: int, data: bytes, *, last: bool
    ) -> Part:
        """Seal and store part `number` from 1: PART_SIZE bytes, or 0 < n <= PART_SIZE for the last.

        Sending a number again replaces the part. Conflict for a wrong length; an empty object is one empty part.
        """
        if not (len(data) == PART_SIZE or (last and len(data) < PART_SIZE and (data or number == 1))):
            raise Conflict("the part has a wrong length")
        place = _upload_place(object_id, version, upload)
        first = (number - 1) * _CHUNKS_PER_PART
        sealed = seal.seal(self._keyring.key(object_id), place, seal.cut([data]), first=first, last=last)
        body = b"".join(_with_header(place, sealed) if number == 1 else sealed)
        return self._store.put_part(_key(object_id, version), upload, number, body)

    def complete(self, object_id: str, version: int, upload: str, parts: Sequence[Part]) -> SealedStat:
        """Join the parts, every number from 1 once; safe to repeat. Conflict when one is missing or not stored.

        The last chunk is read back: an upload whose true last part never came is deleted, and Corrupt raised.
        """
        if [part.number for part in parts] != list(range(1, len(parts) + 1)):
            raise Conflict("the parts are not complete")
        stat = self._store.complete(_key(object_id, version), upload, parts)
        try:
            for _ in self.open(object_id, version, seal.plain_size(stat.size)):
                pass
        except Corrupt:
            self._store.delete(stat.key)
            raise
        return SealedStat(seal.plain_size(stat.size), None, stat.size)

    def abort(self, object_id: str, version: int, upload: str) -> None:
        """Forget the upload and its parts; the object keeps its key."""
        self._store.abort(_key(object_id, version), upload)

    def _new_key(self, object_id: str) -> bytes:
        """Return the object's key, made now for its first version."""
        _check(object_id)
        try:
            return self._keyring.key(object_id)
        except KeyGone:
            pass
        try:
            return self._keyring.create(object_id)
        except Conflict:  # Another thread was first.
            return self._keyring.key(object_id)

    def _read(self, object_id: str, version: int, start: int, length: int | None) -> Iterator[bytes]:
        key = _key(object_id, version)
        secret = self._keyring.key(object_id)
        stored = self._store.stat(key).size
        place = seal.read_header(object_id, version, b"".join(self._store.open(key, 0, seal.HEADER_SIZE)))
        size, final = seal.plain_size(stored), seal.chunk_count(stored) - 1
        at, end = clip(size, start, length)
        yield b""
        if length == 0:
            return
        # A range that the end cuts short reads the last chunk even for no byte: its flag proves that it is the end.
        first, final = min(at // seal.CHUNK, final), min(max(end - 1, at) // seal.CHUNK, final)
        count = final - first + 1
        offset = seal.HEADER_SIZE + first * seal.SEALED_CHUNK
        pieces = self._store.open(key, offset, min(count * seal.SEALED_CHUNK, stored - offset))
        base = first * seal.CHUNK
        for plain in seal.unseal(secret, place, stored, pieces, first=first, count=count):
            wanted = plain[max(at - base, 0) : max(end - base, 0)]
            if wanted:
                yield wanted
            base += len(plain)


class _Digest:
    """Chunks passed through, counted and hashed on the way."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._sha256 = chunks, hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._sha256.update(chunk)
            self.size += len(chunk)
            yield chunk

    def hex(self) -> str:
        return self._sha256.hexdigest()


def _with_header(place: seal.Place, sealed: Iterable[bytes]) -> Iterator[bytes]:
    yield place.header()
    yield from sealed


def _upload_place(object_id: str, version: int, upload: str) -> seal.Place:
    """Return the place of an upload: its stream id comes from the upload's id, which every part knows."""
    stream = hashlib.sha256(b"sealgate upload\x01" + upload.encode()).digest()[: seal.STREAM_SIZE]
    return seal.Place(object_id, version, stream)


def _check(object_id: str) -> str:
    """Return the id when it names objects here; raises InvalidKey."""
    if len(object_id) > 180:
        raise InvalidKey("the object id is too long")
    return check_key(object_id)


def read_key(key: str) -> tuple[str, int] | None:
    """Return the object id and version that a key in the store names; None for a key that is no sealed object's."""
    object_id, mark, version = key.rpartition(".v")
    if not mark or not _VERSION.fullmatch(f".v{version}"):
        return None
    return object_id, int(version)


def _key(object_id: str, version: int) -> str:
    """Return where a version is kept; the last `.v` parts id and version, so no two share a key."""
    if version < 1:
        raise InvalidKey("versions count from 1")
    return f"{_check(object_id)}.v{version}"
