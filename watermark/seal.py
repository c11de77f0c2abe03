"""Encryption of what a recipient collects: R6 PDF, AE-2 ZIP, age. Every key is fresh."""

import base64
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from watermark import memory, worker
from watermark.errors import BadEntry, BadPassphrase
from watermark.mark import Mark
from watermark.prepared import age, issue
from watermark.prepared.ae2 import Member, archive
from watermark.prepared.windows import Opened, from_descriptor

_GROUP = 4
_NEUTRAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,127}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a bundle: a neutral name, and the member that an archive reads once."""

    name: str
    member: Member

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.member.size

    @property
    def chunks(self) -> Iterable[bytes | memoryview]:
        """The bytes, which are read once."""
        return self.member.chunks

    @classmethod
    def of_bytes(cls, name: str, data: bytes) -> "Entry":
        """An entry held in memory."""
        return cls(name, Member(name, len(data), (data,)))

    @classmethod
    def of_fd(cls, name: str, fd: int) -> "Entry":
        """An entry read from a memory file, which must stay open until it is read."""
        return cls(name, Member(name, memory.size(fd), memory.chunks(fd)))

    @classmethod
    def of_prepared(cls, name: str, prepared: int, mark: Mark) -> "Entry":
        """One recipient's copy of a document prepared as plain, made while it is read. Raises BadPrepared or Refusal."""
        return cls(name, issue.member(Opened.of(from_descriptor(prepared)), mark, name))


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
    return _owned(archive(_neutral(entries), checked_passphrase(passphrase)))


def _owned(pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Pieces that stay good: the archive's own are written over when the next is asked for."""
    for piece in pieces:
        yield bytes(piece)


def _neutral(entries: Sequence[Entry]) -> list[Member]:
    names = [entry.name for entry in entries]
    if not names or any(not _NEUTRAL.fullmatch(name) for name in names):
        raise BadEntry("names in a bundle are ASCII letters, digits, dots, hyphens and underscores")
    if len({name.casefold() for name in names}) != len(names):
        raise BadEntry("two files of a bundle have one name")
    return [entry.member for entry in entries]


def parse_recipient(text: str) -> str:
    """The age X25519 recipient in `text` (age1…), without white space around it. Raises BadRecipient."""
    recipient = text.strip()
    age.public_key(recipient)
    return recipient


def seal_age(entries: Sequence[Entry], recipient: str) -> Iterator[bytes]:
    """A plain ZIP of the entries, encrypted to an age recipient (age-encryption.org/v1), streamed.

    Raises BadRecipient or BadEntry before the first byte.
    """
    sealer = age.Sealer(parse_recipient(recipient))
    return _owned(sealer.sealed(archive(_neutral(entries), None)))
