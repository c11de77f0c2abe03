"""A store in memory, for tests: the same contract, and a hook through which a test makes it fail."""

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

from storage.errors import Conflict, NotFound
from storage.store import (
    PIECE,
    OpenUpload,
    Part,
    Stat,
    check_key,
    check_part,
    check_parts,
    check_prefix,
    clip,
    started,
)

Fault = Callable[[str, str], None]
_CLOCK = partial(datetime.now, UTC)


class MemoryStore:
    """Objects in a dictionary. `fault(operation, key)` is called first in every operation and may raise."""

    def __init__(self, fault: Fault | None = None, clock: Callable[[], datetime] = _CLOCK) -> None:
        self._clock = clock
        self._touched: dict[tuple[str, str], datetime] = {}
        self._fault = fault or (lambda operation, key: None)
        self._objects: dict[str, bytes] = {}
        self._uploads: dict[tuple[str, str], dict[int, bytes]] = {}
        self._lock = threading.RLock()

    def put(self, key: str, chunks: Iterable[bytes]) -> Stat:
        """Store the joined chunks; nothing is kept when the iterable or the hook raises."""
        self._enter("put", key)
        return self._keep(key, b"".join(chunks))

    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield a range of the object; the hook is asked again, as `read`, before every piece."""
        self._enter("open", key)
        return started(self._pieces(key, start, length))

    def stat(self, key: str) -> Stat:
        """Return the object's size."""
        self._enter("stat", key)
        return Stat(key, len(self._get(key)), None)

    def delete(self, key: str) -> None:
        """Forget the object."""
        self._enter("delete", key)
        with self._lock:
            self._objects.pop(key, None)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """Yield what is there now, in order of keys."""
        self._fault("list", check_prefix(prefix))
        with self._lock:
            found = sorted((key, len(data)) for key, data in self._objects.items() if key.startswith(prefix))
        return (Stat(key, size, None) for key, size in found)

    def begin(self, key: str) -> str:
        """Open an upload."""
        self._enter("begin", key)
        upload = secrets.token_hex(16)
        with self._lock:
            self._uploads[key, upload] = {}
            self._touched[key, upload] = self._clock()
        return upload

    def put_part(self, key: str, upload: str, number: int, data: bytes) -> Part:
        """Keep one part."""
        self._enter("put_part", key)
        with self._lock:
            self._open_upload(key, upload)[check_part(number)] = bytes(data)
            self._touched[key, upload] = self._clock()
        return Part(number, _etag(data), len(data))

    def complete(self, key: str, upload: str, parts: Sequence[Part]) -> Stat:
        """Join the parts; a second call finds the object as the first left it."""
        self._enter("complete", key)
        check_parts(parts)
        with self._lock:
            if (key, upload) not in self._uploads and self._made_of(key, parts):
                return Stat(key, len(self._objects[key]), None)
            held = self._open_upload(key, upload)
            if any(_etag(held.get(part.number, b"")) != part.etag for part in parts):
                raise Conflict("a part is not the one that was stored")
            stat = self._keep(key, b"".join(held[part.number] for part in parts))
            del self._uploads[key, upload]
            return stat

    def abort(self, key: str, upload: str) -> None:
        """Forget the upload."""
        self._enter("abort", key)
        with self._lock:
            self._uploads.pop((key, upload), None)

    def uploads(self, key: str) -> Iterator[OpenUpload]:
        """Yield the open uploads of the key."""
        self._enter("uploads", key)
        with self._lock:
            found = [
                OpenUpload(upload, self._touched[at, upload]) for at, upload in self._uploads if at == key
            ]
        return iter(found)

    def sweep(self, before: datetime) -> int:
        """Forget uploads that nobody has touched since `before`."""
        self._fault("sweep", "")
        with self._lock:
            old = [place for place in self._uploads if self._touched[place] < before]
            for place in old:
                del self._uploads[place]
        return len(old)

    def _enter(self, operation: str, key: str) -> None:
        self._fault(operation, check_key(key))

    def _keep(self, key: str, data: bytes) -> Stat:
        with self._lock:
            if key in self._objects:
                raise Conflict("the key exists")
            self._objects[key] = data
        return Stat(key, len(data), None)

    def _get(self, key: str) -> bytes:
        with self._lock:
            if key not in self._objects:
                raise NotFound("no such object")
            return self._objects[key]

    def _open_upload(self, key: str, upload: str) -> dict[int, bytes]:
        if (key, upload) not in self._uploads:
            raise NotFound("no such upload")
        return self._uploads[key, upload]

    def _made_of(self, key: str, parts: Sequence[Part]) -> bool:
        """Say whether the object is these parts joined."""
        data, at = self._objects.get(key), 0
        if data is None or len(data) != sum(part.size for part in parts):
            return False
        for part in parts:
            if _etag(data[at : at + part.size]) != part.etag:
                return False
            at += part.size
        return True

    def _pieces(self, key: str, start: int, length: int | None) -> Iterator[bytes]:
        data = self._get(key)
        at, end = clip(len(data), start, length)
        yield b""
        while at < end:
            self._fault("read", key)
            yield data[at : min(at + PIECE, end)]
            at += PIECE


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
