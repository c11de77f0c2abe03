"""Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint): parse, sign, verify; several signature lines.

Only Ed25519 (signature type 0x01) is verified here; lines of unknown keys are ignored, as the specification wants.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.audit.errors import BadSignature, MalformedNote
from gateway.audit.tree import HASH_BYTES

ED25519 = b"\x01"
MAX_SIGNATURES = 64
MAX_NOTE_BYTES = 1 << 20
MAX_SIZE = 2**63 - 1
_DASH = "\u2014"
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class Signature:
    """One signature line: the key's name, its 4-byte id, the raw signature."""

    name: str
    key_id: bytes
    value: bytes

    def line(self) -> str:
        """The line with its newline."""
        return f"{_DASH} {self.name} {base64.b64encode(self.key_id + self.value).decode()}\n"


@dataclass(frozen=True)
class Note:
    """A text (ending in a newline) and its signatures; nothing is verified yet."""

    text: str
    signatures: tuple[Signature, ...]

    def encode(self) -> str:
        """The note as it is stored and sent."""
        return self.text + "\n" + "".join(s.line() for s in self.signatures)


@dataclass(frozen=True)
class Key:
    """A verifier key: name and 32-byte Ed25519 public key."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """First four bytes of SHA-256 over name, newline, type, public key."""
        return key_id(self.name, self.public)

    @property
    def text(self) -> str:
        """The vkey text form: name+id+base64(type and key)."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"

    def accepts(self, text: str, signature: Signature) -> bool:
        """Whether the signature over the note's text is this key's."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature.value, text.encode("utf-8"))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class TreeHead:
    """The three lines of a checkpoint; `root` is 32 bytes."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The note text to be signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def key_id(name: str, public: bytes) -> bytes:
    """The 4-byte id of an Ed25519 note key."""
    return hashlib.sha256(name.encode("utf-8") + b"\n" + ED25519 + public).digest()[:4]


def check_name(name: str) -> str:
    """The name, when it can be a key's; raises MalformedNote if it is empty or holds spaces, plus or control characters."""
    if not name or "+" in name or any(c.isspace() or ord(c) < 0x20 for c in name):
        raise MalformedNote("not a key name")
    return name


def unbase64(text: str, error: str = "not base64") -> bytes:
    """Standard base64 in its one spelling; raises MalformedNote otherwise."""
    try:
        value = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as cause:
        raise MalformedNote(error) from cause
    if base64.b64encode(value).decode() != text:
        raise MalformedNote(error)
    return value


def parse_key(text: str) -> Key:
    """Reads a vkey; raises MalformedNote when the id does not belong to the key or the type is not Ed25519."""
    name, _, rest = text.strip().partition("+")
    hexadecimal, _, encoded = rest.partition("+")
    raw = unbase64(encoded, "not a checkpoint key")
    if len(raw) != 1 + 32 or raw[:1] != ED25519:
        raise MalformedNote("not an Ed25519 checkpoint key")
    key = Key(check_name(name), raw[1:])
    if key.key_id.hex() != hexadecimal:
        raise MalformedNote("the key's id does not belong to it")
    return key


def parse(note: str) -> Note:
    """Splits a note into text and signatures; raises MalformedNote."""
    if len(note.encode("utf-8", "surrogatepass")) > MAX_NOTE_BYTES or any(
        ord(c) < 0x20 and c != "\n" for c in note
    ):
        raise MalformedNote("not the text of a note")
    text, blank, tail = note.rpartition("\n\n")
    lines = tail.removesuffix("\n").split("\n")
    if not blank or not tail.endswith("\n") or not 1 <= len(lines) <= MAX_SIGNATURES:
        raise MalformedNote("the note has no signatures")
    return Note(text + "\n", tuple(_signature(line) for line in lines))


def _signature(line: str) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != _DASH:
        raise MalformedNote("not a signature line")
    raw = unbase64(parts[2], "not a signature line")
    if len(raw) < 5:
        raise MalformedNote("the signature is too short")
    return Signature(check_name(parts[1]), raw[:4], raw[4:])


def verify(note: Note, keys: Sequence[Key]) -> tuple[Key, ...]:
    """The known keys whose signatures stand; raises BadSignature when there is none, or one of a known key is wrong."""
    known = {(k.name, k.key_id): k for k in keys}
    stood: list[Key] = []
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        if not key.accepts(note.text, signature):
            raise BadSignature("a signature of the given key is wrong")
        stood.append(key)
    if not stood:
        raise BadSignature("not signed by the given key")
    return tuple(stood)


def sign(text: str, name: str, private: Ed25519PrivateKey) -> Signature:
    """The signature of a note text under a named key."""
    public = private.public_key().public_bytes_raw()
    return Signature(name, key_id(name, public), private.sign(text.encode("utf-8")))


def parse_head(text: str) -> TreeHead:
    """Reads the text of a checkpoint without extension lines; raises MalformedNote."""
    lines = text.removesuffix("\n").split("\n")
    if not text.endswith("\n") or len(lines) != 3 or not lines[0]:
        raise MalformedNote("not the text of a checkpoint")
    if not _SIZE.fullmatch(lines[1]) or int(lines[1]) > MAX_SIZE:
        raise MalformedNote("not a tree size")
    root = unbase64(lines[2], "not a root hash")
    if len(root) != HASH_BYTES:
        raise MalformedNote("not a root hash")
    return TreeHead(lines[0], int(lines[1]), root)


def open_checkpoint(note: str, keys: Sequence[Key]) -> TreeHead:
    """The verified tree head of a checkpoint, signed by a given key that bears the checkpoint's own origin as its name.

    Raises MalformedNote or BadSignature. A witness's key alone is not enough: it vouches for time and order, not for the log.
    """
    parsed = parse(note)
    stood = verify(parsed, keys)
    head = parse_head(parsed.text)
    if head.origin not in {k.name for k in stood}:
        raise BadSignature("the checkpoint is of another log than the key")
    return head
