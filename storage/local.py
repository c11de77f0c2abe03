"""Objects as files under one folder: written aside, synced, then linked into place without overwriting."""

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from storage.durable import sync_folder
from storage.errors import Conflict, NotFound, Unavailable
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

# No key has a segment that begins with a dot, so these names are out of every key's reach.
_UPLOADS = ".uploads"
_ASIDE = ".new-"
_UPLOAD_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


class LocalStore:
    """An object store in the folder `root`: files 0600, folders 0700, one file per object."""

    def __init__(self, root: Path) -> None:
        self._root = root
        with _trouble():
            _make_folders(root / _UPLOADS)

    def put(self, key: str, chunks: Iterable[bytes]) -> Stat:
        """Store the joined chunks under the key; durable when it returns."""
        path = self._path(key)
        size = _write(path, lambda out: _copy(chunks, out), place=_link)
        return Stat(key, size, None)

    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield a range of the object."""
        return started(_pieces(self._path(key), start, length))

    def stat(self, key: str) -> Stat:
        """Return the object's size."""
        with _trouble():
            found = self._path(key).stat()
        if not stat.S_ISREG(found.st_mode):
            raise NotFound("no such object")
        return Stat(key, found.st_size, None)

    def delete(self, key: str) -> None:
        """Remove the object's file, durably."""
        path = self._path(key)
        with _trouble(), suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            path.unlink()
            sync_folder(path.parent)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """Yield the objects below the prefix, in order of keys, as they are found."""
        folder, _, _ = check_prefix(prefix).rpartition("/")
        for path in _walk(self._root / folder):
            key = path.relative_to(self._root).as_posix()
            if key.startswith(prefix):
                with suppress(NotFound):  # An object deleted meanwhile is no longer to be listed.
                    yield self.stat(key)

    def begin(self, key: str) -> str:
        """Open an upload: a folder that remembers its key."""
        self._path(key)
        upload = secrets.token_hex(16)
        with _trouble():
            _make_folders(self._root / _UPLOADS / upload)
        _write(self._root / _UPLOADS / upload / "key", lambda out: _copy([key.encode()], out), place=_link)
        return upload

    def put_part(self, key: str, upload: str, number: int, data: bytes) -> Part:
        """Store one part; a repeated number replaces the earlier part in one step."""
        path = self._upload(key, upload) / f"{check_part(number):05d}"
        _write(path, lambda out: _copy([data], out), place=os.replace)
        return Part(number, hashlib.sha256(data).hexdigest(), len(data))

    def complete(self, key: str, upload: str, parts: Sequence[Part]) -> Stat:
        """Join the parts into the object, each checked against its tag on the way."""
        path = self._path(key)
        try:
            folder = self._upload(key, upload)
        except NotFound:
            return self._completed(key, check_parts(parts))
        check_parts(parts)
        try:
            size = _write(path, lambda out: sum(_join(folder, part, out) for part in parts), place=_link)
        except Conflict:
            # A crash between placing the object and forgetting the upload leaves both: that is done, not a conflict.
            return self._completed(key, parts, otherwise=Conflict("the key exists"), folder=folder)
        _remove(folder)
        return Stat(key, size, None)

    def abort(self, key: str, upload: str) -> None:
        """Forget the upload."""
        with suppress(NotFound):
            _remove(self._upload(key, upload))

    def uploads(self, key: str) -> Iterator[OpenUpload]:
        """Yield the open uploads of the key; they are few, for each is a folder that a sweep removes."""
        check_key(key)
        for folder in self._upload_folders():
            with suppress(NotFound):
                self._upload(key, folder.name)
                yield OpenUpload(folder.name, _touched(folder))

    def sweep(self, before: datetime) -> int:
        """Remove files written aside and never placed, and uploads that nobody has touched since `before`."""
        swept = 0
        for aside in _asides(self._root):
            with suppress(NotFound), _trouble():
                if _touched(aside) < before:
                    aside.unlink()
                    swept += 1
        for folder in self._upload_folders():
            with suppress(NotFound):
                if _touched(folder) < before:
                    _remove(folder)
                    swept += 1
        return swept

    def _upload_folders(self) -> Sequence[Path]:
        with _trouble():
            return sorted(
                path for path in (self._root / _UPLOADS).iterdir() if _UPLOAD_ID.fullmatch(path.name)
            )

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    def _upload(self, key: str, upload: str) -> Path:
        """Return the folder of an open upload of this key; raises NotFound."""
        check_key(key)
        folder = self._root / _UPLOADS / upload
        if _UPLOAD_ID.fullmatch(upload):
            with _trouble(), suppress(FileNotFoundError):
                if (folder / "key").read_text() == key:
                    return folder
        raise NotFound("no such upload")

    def _completed(
        self,
        key: str,
        parts: Sequence[Part],
        *,
        otherwise: Exception | None = None,
        folder: Path | None = None,
    ) -> Stat:
        """Return the object when it is these parts joined, else raise NotFound or the given error."""
        missing = otherwise or NotFound("no such upload")
        try:
            with _trouble(), self._path(key).open("rb") as source:
                if not all(_same(source, part) for part in parts) or source.read(1):
                    raise missing
        except NotFound:
            raise missing from None
        if folder:
            _remove(folder)
        return self.stat(key)


def _pieces(path: Path, start: int, length: int | None) -> Iterator[bytes]:
    with _trouble(), path.open("rb", buffering=0) as source:
        at, end = clip(os.fstat(source.fileno()).st_size, start, length)
        source.seek(at)
        yield b""
        while at < end:
            piece = source.read(min(PIECE, end - at))
            if not piece:
                raise Unavailable("the object ended early")
            yield piece
            at += len(piece)


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder whose names could be keys, in order of their keys."""
    try:
        with _trouble():
            entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except NotFound:
        return
    # A folder sorts by its name with the slash, because that is how its keys compare with its neighbours'.
    for entry in sorted(entries, key=lambda entry: entry.name + "/" * entry.is_dir()):
        if entry.is_dir():
            yield from _walk(entry)
        else:
            yield entry


def _asides(folder: Path) -> Iterator[Path]:
    """Yield the files written aside, in the folders of objects and not in those of uploads."""
    try:
        with _trouble():
            entries = list(folder.iterdir())
    except NotFound:
        return
    for entry in entries:
        if entry.is_dir() and not entry.name.startswith("."):
            yield from _asides(entry)
        elif entry.name.startswith(_ASIDE) and not entry.is_dir():
            yield entry


def _touched(path: Path) -> datetime:
    """Return when a file, or anything in a folder, was last written; raises NotFound."""
    with _trouble():
        times = [path.stat().st_mtime]
        if path.is_dir():
            times += [inner.stat().st_mtime for inner in path.iterdir()]
    return datetime.fromtimestamp(max(times), UTC)


def _write(path: Path, fill: Callable[[BinaryIO], int], *, place: Callable[[Path, Path], None]) -> int:
    """Write a file aside, sync it, place it, sync the folder; return what `fill` counted.

    The file aside is removed in every case, also when the caller's chunks raise.
    """
    aside = path.parent / f"{_ASIDE}{secrets.token_hex(12)}"
    with _trouble():
        _make_folders(path.parent)
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as out:
                size = fill(out)
                out.flush()
                os.fsync(out.fileno())
            place(aside, path)
            sync_folder(path.parent)
        finally:
            aside.unlink(missing_ok=True)
    return size


def _link(aside: Path, path: Path) -> None:
    """Give the file its name unless the name is taken: link refuses where rename would overwrite."""
    try:
        os.link(aside, path)
    except FileExistsError:
        raise Conflict("the key exists") from None


def _copy(chunks: Iterable[bytes], out: BinaryIO) -> int:
    return sum(out.write(chunk) for chunk in chunks)


def _join(folder: Path, part: Part, out: BinaryIO) -> int:
    """Append one part to the object; raises Conflict when it is not the part the caller means."""
    digest, size = hashlib.sha256(), 0
    try:
        with (folder / f"{part.number:05d}").open("rb") as source:
            while piece := source.read(PIECE):
                digest.update(piece)
                size += out.write(piece)
    except FileNotFoundError:
        raise Conflict("a part is missing") from None
    if (digest.hexdigest(), size) != (part.etag, part.size):
        raise Conflict("a part is not the one that was stored")
    return size


def _same(source: BinaryIO, part: Part) -> bool:
    """Say whether the next bytes of a file are this part."""
    digest, left = hashlib.sha256(), part.size
    while left and (piece := source.read(min(PIECE, left))):
        digest.update(piece)
        left -= len(piece)
    return not left and digest.hexdigest() == part.etag


def _remove(folder: Path) -> None:
    """Remove an upload; its key goes first, so that a crash half-way leaves no open upload."""
    with _trouble(), suppress(FileNotFoundError):
        (folder / "key").unlink(missing_ok=True)
        for path in folder.iterdir():
            path.unlink(missing_ok=True)
        folder.rmdir()
        sync_folder(folder.parent)


def _make_folders(folder: Path) -> None:
    """Make a folder and its parents, 0700, each durable in its own parent."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    try:
        folder.mkdir(mode=0o700)
    except (FileExistsError, NotADirectoryError):
        if not folder.is_dir():
            raise Conflict("an object has the name of the folder") from None
    sync_folder(folder.parent)


@contextmanager
def _trouble() -> Iterator[None]:
    """Turn the system's errors into ours; the system's text would name the path."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise NotFound("no such object") from None
    except OSError as error:
        raise Unavailable(f"the folder store failed: {os.strerror(error.errno or 0)}") from None
