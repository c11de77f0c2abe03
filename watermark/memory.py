"""Anonymous memory files: plaintext never has a name on a disk."""

import fcntl
import hashlib
import os
from collections.abc import Iterator

# linux/fcntl.h; the standard library names F_ADD_SEALS and the seals themselves.
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
CHUNK = 1 << 20


def create(name: str, data: bytes | None = None) -> int:
    """A new memory file, closed on exec; the caller closes the descriptor. `name` shows in /proc only: keep it neutral."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    if data is not None:
        write_all(fd, data)
    return fd


def write_all(fd: int, data: bytes) -> None:
    """Write every byte at the descriptor's position; OSError when the budget of the file is spent."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def freeze(fd: int) -> None:
    """No one can change the file any more, this process included."""
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)


def size(fd: int) -> int:
    """Length in bytes, by seeking: the C library's fstat names a path, which the sandbox refuses."""
    position = os.lseek(fd, 0, os.SEEK_CUR)
    length = os.lseek(fd, 0, os.SEEK_END)
    os.lseek(fd, position, os.SEEK_SET)
    return length


def chunks(fd: int) -> Iterator[bytes]:
    """The file from its start in pieces of 1 MiB; the descriptor's position is left alone."""
    offset = 0
    while piece := os.pread(fd, CHUNK, offset):
        offset += len(piece)
        yield piece


def read(fd: int, limit: int | None = None) -> bytes:
    """The whole file, or at most its first `limit` bytes."""
    if limit is not None and size(fd) > limit:
        return os.pread(fd, limit, 0)
    return b"".join(chunks(fd))


def sha256(fd: int) -> str:
    """Hex digest of the whole file."""
    digest = hashlib.sha256()
    for piece in chunks(fd):
        digest.update(piece)
    return digest.hexdigest()


def drained(fd: int) -> Iterator[bytes]:
    """The file's pieces; the descriptor is closed after the last, or when the reader gives up."""
    try:
        yield from chunks(fd)
    finally:
        os.close(fd)
