"""Encryption of what a recipient collects: R6 PDF, AE-2 ZIP, age. Every key is fresh."""

import base64
import io
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyrage
from stream_zip import ZIP_AUTO, stream_zip

from watermark import memory, worker
from watermark.errors import BadEntry, BadPassphrase, BadRecipient

_GROUP = 4
_NEUTRAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,127}")
# Zip has no time zones and no year before 1980; one fixed time says nothing about the work.
_TIME = datetime(1980, 1, 1)  # noqa: DTZ001


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a bundle: a neutral name, its size in bytes, and its bytes, which are read once."""

    name: str
    size: int
    chunks: Iterable[bytes]

    @classmethod
    def of_bytes(cls, name: str, data: bytes) -> "Entry":
        """An entry held in memory."""
        return cls(name, len(data), (data,))

    @classmethod
    def of_fd(cls, name: str, fd: int) -> "Entry":
        """An entry read from a memory file, which must stay open until it is read."""
        return cls(name, memory.size(fd), memory.chunks(fd))


def new_passphrase() -> str:
    """20 base32 characters, 100 random bits, in five groups of four.

    The hyphens are part of the passphrase: it is used exactly as it is shown.
    """
    letters = base64.b32encode(secrets.token_bytes(13)).decode("ascii")[:20]
    return "-".join(letters[start : start + _GROUP] for start in range(0, 20, _GROUP))


def checked_passphrase(passphrase: str) -> str:
    """Printable ASCII without spaces, at most 127 characters: what every reader takes alike (R6 cuts at 127 bytes)."""
    if not _PRINTABLE.fullmatch(passphrase):
        raise BadPassphrase("a passphrase is 1 to 127 printable ASCII characters without spaces")
    return passphrase


def seal_pdf(marked: int, passphrase: str) -> int:
    """Encrypt the PDF in a memory file with AES-256, revision 6 (ISO 32000-2, 7.6); gives a new memory file.

    The owner password is random and forgotten; the file key is fresh. Raises BadPassphrase or SealError.
    """
    return worker.run_seal(marked, checked_passphrase(passphrase))


def seal_zip(entries: Sequence[Entry], passphrase: str) -> Iterator[bytes]:
    """A ZIP of AE-2 entries (AES-256, WinZip specification), streamed. Raises BadPassphrase or BadEntry before the first byte.

    Names are readable in any ZIP, so only neutral ones are taken.
    """
    return iter(_zip(_neutral(entries), checked_passphrase(passphrase)))


def _zip(entries: Sequence[Entry], passphrase: str | None) -> Iterable[bytes]:
    mode = stat.S_IFREG | 0o600
    members = ((entry.name, _TIME, mode, ZIP_AUTO(entry.size, level=1), entry.chunks) for entry in entries)
    return stream_zip(members, password=passphrase, extended_timestamps=False)


def _neutral(entries: Sequence[Entry]) -> Sequence[Entry]:
    names = [entry.name for entry in entries]
    if not names or any(not _NEUTRAL.fullmatch(name) for name in names):
        raise BadEntry("names in a bundle are ASCII letters, digits, dots, hyphens and underscores")
    if len({name.casefold() for name in names}) != len(names):
        raise BadEntry("two files of a bundle have one name")
    return entries


def parse_recipient(text: str) -> str:
    """The age X25519 recipient in `text` (age1…), without white space around it. Raises BadRecipient."""
    try:
        return str(pyrage.x25519.Recipient.from_str(text.strip()))
    except pyrage.RecipientError as error:
        raise BadRecipient("not an age X25519 recipient (age1…)") from error


def seal_age(entries: Sequence[Entry], recipient: str) -> Iterator[bytes]:
    """A plain ZIP of the entries, encrypted to an age recipient (age-encryption.org/v1), in pieces of 1 MiB.

    Raises BadRecipient or BadEntry before the first byte.
    """
    key = pyrage.x25519.Recipient.from_str(parse_recipient(recipient))
    plain = _Reader(_zip(_neutral(entries), None))
    return _encrypted(plain, key)


def _encrypted(plain: "_Reader", key: pyrage.x25519.Recipient) -> Iterator[bytes]:
    """age pulls and pushes by itself, so its output lies in a memory file until it is read."""
    fd = memory.create("sealed")
    with io.FileIO(fd, "r+", closefd=True) as out:
        pyrage.encrypt_io(plain, out, [key])
        yield from memory.chunks(fd)


class _Reader(io.RawIOBase):
    """An iterator of pieces as a readable file."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        super().__init__()
        self._pieces = iter(pieces)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        cut = len(self._rest) if size < 0 else size
        taken, self._rest = self._rest[:cut], self._rest[cut:]
        return taken
