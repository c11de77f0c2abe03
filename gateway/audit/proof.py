"""Files that carry proofs: the receipt (C2SP tlog-proof) and the extension of an older checkpoint (docs/formats.md)."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.audit import note
from gateway.audit.errors import MalformedNote, MalformedProof
from gateway.audit.leaf import MAX_ENTRY_BYTES
from gateway.audit.tree import HASH_BYTES

HEADER = "c2sp.org/tlog-proof@v1"
MAX_PROOF_HASHES = 63
MAX_FILE_BYTES = 1 << 20
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class Receipt:
    """One entry, its index, its inclusion proof and the checkpoint note; the entry's bytes travel as the proof's extra data."""

    index: int
    proof: Sequence[bytes]
    checkpoint: str
    entry: bytes

    def encode(self) -> bytes:
        """The file's bytes."""
        lines = [HEADER, f"extra {_base64(self.entry)}", f"index {self.index}", *map(_base64, self.proof)]
        return ("\n".join(lines) + "\n\n" + self.checkpoint).encode("utf-8")


@dataclass(frozen=True)
class Extension:
    """A checkpoint with the proof that the tree of `old` entries is its beginning.

    The form is that of the body of add-checkpoint in C2SP tlog-witness.
    """

    old: int
    proof: Sequence[bytes]
    checkpoint: str

    def encode(self) -> bytes:
        """The file's bytes."""
        lines = [f"old {self.old}", *map(_base64, self.proof)]
        return ("\n".join(lines) + "\n\n" + self.checkpoint).encode("utf-8")


def parse_receipt(content: bytes) -> Receipt:
    """Reads a receipt strictly; raises MalformedProof. Nothing is verified yet."""
    lines, checkpoint = _split(content)
    if len(lines) < 3 or lines[0] != HEADER:
        raise MalformedProof("not a receipt")
    entry = _unbase64(_after(lines[1], "extra "))
    if len(entry) > MAX_ENTRY_BYTES:
        raise MalformedProof("the entry is too large")
    index = _number(_after(lines[2], "index "))
    return Receipt(index, _hashes(lines[3:]), checkpoint, entry)


def parse_extension(content: bytes) -> Extension:
    """Reads a checkpoint with its consistency proof; raises MalformedProof."""
    lines, checkpoint = _split(content)
    return Extension(_number(_after(lines[0], "old ")), _hashes(lines[1:]), checkpoint)


def _split(content: bytes) -> tuple[list[str], str]:
    try:
        text = content.decode("utf-8") if len(content) <= MAX_FILE_BYTES else ""
    except UnicodeDecodeError as error:
        raise MalformedProof("not a text file") from error
    head, blank, checkpoint = text.partition("\n\n")
    if not blank:
        raise MalformedProof("no checkpoint in it")
    return head.split("\n"), checkpoint


def _after(line: str, prefix: str) -> str:
    if not line.startswith(prefix):
        raise MalformedProof(f"the line '{prefix.strip()}' is missing")
    return line[len(prefix) :]


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise MalformedProof("not a number")
    return int(text)


def _hashes(lines: Sequence[str]) -> list[bytes]:
    hashes = [_unbase64(line) for line in lines]
    if len(hashes) > MAX_PROOF_HASHES or any(len(h) != HASH_BYTES for h in hashes):
        raise MalformedProof("not a list of hashes")
    return hashes


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _unbase64(text: str) -> bytes:
    try:
        return note.unbase64(text)
    except MalformedNote as error:
        raise MalformedProof("not base64") from error
