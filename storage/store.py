"""What every object store does: the protocol, its values, and the alphabet of keys."""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from storage.errors import Conflict, InvalidKey

# Reads yield pieces of at most this many bytes, so that a reader's memory does not depend on the object.
PIECE = 1 << 20
MAX_PART_NUMBER = 10_000

_SEGMENT = r"[a-z0-9][a-z0-9_.-]{0,199}"
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT}){{0,7}}", re.ASCII)
_PREFIX = re.compile(r"[a-z0-9_.-]+(?:/[a-z0-9_.-]+)*/?", re.ASCII)


@dataclass(frozen=True)
class Stat:
    """A stored object: its key, its size in bytes, and the store's version id where it keeps versions."""

    key: str
    size: int
    version: str | None


@dataclass(frozen=True)
class Part:
    """A stored part of an upload: number from 1, the store's tag for its bytes, size in bytes."""

    number: int
    etag: str
    size: int


@dataclass(frozen=True)
class OpenUpload:
    """An upload that is neither joined nor forgotten: its id, and when it was begun or last given a part (UTC)."""

    upload: str
    touched: datetime


class UploadJournal(Protocol):
    """Where a store that cannot list all its open uploads notes them, so that what a crash leaves is found again.

    Methods raise Unavailable when nothing could be noted; then no upload is begun.
    """

    def beginning(self, key: str) -> str:
        """Note, durably, that an upload of this key is about to be begun; return the note's id."""
        ...

    def begun(self, note: str, upload: str) -> None:
        """Add the upload's id, now that the server has given it."""
        ...

    def over(self, key: str, upload: str) -> None:
        """Forget the note: the upload is joined or forgotten. Never raises; a note too many is swept later."""
        ...


class ObjectStore(Protocol):
    """Write-once objects under server-made keys.

    Every method may raise Unavailable, and InvalidKey for a key outside the alphabet. A write is durable
    once its method returns; until then nothing of it can be read under the key.
    """

    def put(self, key: str, chunks: Iterable[bytes]) -> Stat:
        """Store the joined chunks, of unknown length, streaming; Conflict when the key exists."""
        ...

    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield bytes [start, start + length) cut at the object's end, in pieces of at most PIECE bytes.

        NotFound is raised by the call itself; Corrupt or Unavailable may come between pieces.
        """
        ...

    def stat(self, key: str) -> Stat:
        """Return the newest version's size; NotFound."""
        ...

    def delete(self, key: str) -> None:
        """Delete every version; a missing key is not an error."""
        ...

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """Yield the objects whose key begins with `prefix`, in order of their keys."""
        ...

    def begin(self, key: str) -> str:
        """Open an upload in parts and return its id."""
        ...

    def put_part(self, key: str, upload: str, number: int, data: bytes) -> Part:
        """Store one part durably; sending a number again replaces it. NotFound when the upload is not open.

        Every part but the last has at least 5 MiB, as S3 wants it.
        """
        ...

    def complete(self, key: str, upload: str, parts: Sequence[Part]) -> Stat:
        """Join the parts, numbers ascending, into the object; calling it again changes nothing.

        Conflict when the key exists otherwise or a part is not the one stored; NotFound for a closed upload.
        """
        ...

    def abort(self, key: str, upload: str) -> None:
        """Forget the upload and its parts; an unknown upload is not an error."""
        ...

    def uploads(self, key: str) -> Iterator[OpenUpload]:
        """Yield the open uploads of exactly this key."""
        ...

    def sweep(self, before: datetime) -> int:
        """Forget what crashes left behind and nobody has touched since `before` (aware UTC); return how many pieces.

        Only what the store can find by itself: an S3 server lists open uploads by key, so there they are swept
        from a journal. Nothing that can be read under a key is ever touched.
        """
        ...


def check_key(key: str) -> str:
    """Return the key when it could be one of ours; raises InvalidKey.

    Segments begin with a letter or digit, so dot files, `.` and `..` are outside the alphabet.
    """
    if not _KEY.fullmatch(key):
        raise InvalidKey("not a key of this store")
    return key


def check_prefix(prefix: str) -> str:
    """Return the prefix when keys can begin with it; raises InvalidKey."""
    if prefix and (not _PREFIX.fullmatch(prefix) or ".." in prefix.split("/")):
        raise InvalidKey("not a prefix of keys")
    return prefix


def check_part(number: int) -> int:
    """Return the part number when S3 could take it; raises Conflict."""
    if not 1 <= number <= MAX_PART_NUMBER:
        raise Conflict("the part number is out of range")
    return number


def check_parts(parts: Sequence[Part]) -> Sequence[Part]:
    """Return the parts when there are some and their numbers ascend; raises Conflict."""
    numbers = [check_part(part.number) for part in parts]
    if not numbers or any(a >= b for a, b in itertools.pairwise(numbers)):
        raise Conflict("the parts are not in order")
    return parts


def clip(size: int, start: int, length: int | None) -> tuple[int, int]:
    """Return (start, end) of the asked range cut to an object of `size` bytes; ValueError when negative."""
    if start < 0 or (length is not None and length < 0):
        raise ValueError("a range has no negative bounds")
    end = size if length is None else min(size, start + length)
    return min(start, size), max(min(start, size), end)


def started(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Run a reading generator to its first, empty, piece and hand it on.

    So its refusals are raised by the call that opens, and what it opened is closed even if nobody reads on.
    """
    next(pieces)
    return pieces
