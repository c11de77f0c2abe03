"""Encryption of backups with age, as streams: nothing of the plaintext ever lies on a disk.

What goes in is compressed by gzip first, so `age -d FILE | gunzip` opens it by hand.
"""

import queue
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyrage

from gateway.config import read_secret
from gateway.custody.errors import BrokenBackup, NoRecipients, WrongIdentity

_GZIP = 31
_PIECE = 1 << 18
_AHEAD = 8


def recipients(path: Path | None) -> list[Any]:
    """The age recipients of a file, one a line, `#` before a comment; raises NoRecipients without any."""
    try:
        lines = _lines(path.read_text("utf-8")) if path is not None else []
        found = [pyrage.x25519.Recipient.from_str(line) for line in lines]
    except (OSError, UnicodeDecodeError, pyrage.RecipientError) as error:
        raise NoRecipients from error
    if not found:
        raise NoRecipients
    return found


def identities(path: Path) -> list[Any]:
    """The age identities of a file that only its owner reads; raises ConfigError, or WrongIdentity for another file."""
    try:
        lines = _lines(read_secret(path).decode("ascii"))
        found = [pyrage.x25519.Identity.from_str(line) for line in lines]
    except (UnicodeDecodeError, pyrage.IdentityError) as error:
        raise WrongIdentity from error
    if not found:
        raise WrongIdentity
    return found


def _lines(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def closed(chunks: Iterable[bytes], to: Sequence[Any]) -> Iterator[bytes]:
    """The chunks compressed and encrypted to the recipients."""
    source = _Source(_compressed(chunks))
    return _pumped(lambda out: pyrage.encrypt_io(source, out, list(to)), source)


def opened(chunks: Iterable[bytes], by: Sequence[Any], name: str) -> Iterator[bytes]:
    """The plaintext of what `closed` made.

    Raises WrongIdentity; BrokenBackup naming the file when it was altered or cut off, possibly after some bytes were handed out.
    """
    source, unpack = _Source(iter(chunks)), zlib.decompressobj(_GZIP)
    try:
        for piece in _pumped(lambda out: pyrage.decrypt_io(source, out, list(by)), source):
            rest = piece
            while rest:
                yield unpack.decompress(rest, _PIECE)
                rest = unpack.unconsumed_tail
        yield unpack.flush()
    except pyrage.DecryptError as error:
        # Another key, or a header that is none of age.
        kind = WrongIdentity() if "No matching keys" in str(error) else BrokenBackup(name)
        raise kind from error
    except (OSError, zlib.error) as error:
        raise BrokenBackup(name) from error
    if not unpack.eof or unpack.unused_data:
        raise BrokenBackup(name)


def _compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    pack = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    for chunk in chunks:
        yield pack.compress(chunk)
    yield pack.flush()


class _Source:
    """Chunks as a file to read from; what making them raised is kept, for the cipher would only say that reading failed."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""
        self.failure: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; empty at the end."""
        try:
            while not self._rest:
                self._rest = next(self._chunks)
        except StopIteration:
            return b""
        except Exception as error:
            self.failure = error
            raise OSError("the source failed") from error
        got, self._rest = self._rest[:size], self._rest[size:]
        return got


class _Sink:
    """A file to write to whose pieces another thread takes, at most a few ahead."""

    def __init__(self) -> None:
        self._pieces: queue.Queue[bytes | None] = queue.Queue(_AHEAD)
        self._gone = threading.Event()

    def write(self, data: bytes) -> int:
        """Hands a piece over; raises OSError when nobody takes any more."""
        if not self._hand(bytes(data)):
            raise OSError("nobody reads on")
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def end(self) -> None:
        """There will be no more."""
        self._hand(None)

    def taken(self) -> Iterator[bytes]:
        """The pieces up to the end."""
        try:
            while (piece := self._pieces.get()) is not None:
                yield piece
        finally:
            self._gone.set()

    def _hand(self, piece: bytes | None) -> bool:
        while not self._gone.is_set():
            with suppress(queue.Full):
                self._pieces.put(piece, timeout=0.5)
                return True
        return False


def _pumped(work: Callable[[_Sink], object], source: _Source) -> Iterator[bytes]:
    """What `work` writes, while it runs in a thread of its own."""
    sink, failures, whole = _Sink(), list[Exception](), threading.Event()

    def run() -> None:
        try:
            work(sink)
            whole.set()
        except (OSError, pyrage.DecryptError, pyrage.EncryptError) as error:
            failures.append(source.failure or error)
        finally:
            sink.end()

    thread = threading.Thread(target=run, name="envelope", daemon=True)
    thread.start()
    try:
        yield from sink.taken()
    finally:
        thread.join()
    if failures:
        raise failures[0]
    if not whole.is_set():
        # The thread ended by what nobody foresaw; its pieces must not pass for all of them.
        raise source.failure or RuntimeError("the cipher did not end")
