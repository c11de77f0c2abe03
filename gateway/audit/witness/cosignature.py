"""Cosignatures of version 1 (C2SP tlog-cosignature): Ed25519, signature type 04, with the time at which it was made."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.audit import note
from gateway.audit.errors import BadSignature, MalformedNote

COSIGNATURE = b"\x04"
_TIME_BYTES = 8
_SIGNATURE_BYTES = 64
_LATEST = 253_402_300_799  # The last second of the year 9999, the last that datetime holds.


@dataclass(frozen=True)
class CosignatureKey:
    """A witness's verifier key: name and 32-byte Ed25519 public key."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """First four bytes of SHA-256 over name, newline, type 04, public key."""
        return hashlib.sha256(self.name.encode("utf-8") + b"\n" + COSIGNATURE + self.public).digest()[:4]

    @property
    def text(self) -> str:
        """The vkey text form: name+id+base64(04 and key)."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(COSIGNATURE + self.public).decode()}"

    def bears(self, signature: note.Signature) -> bool:
        """Whether a signature line claims to be this key's; nothing is verified."""
        return (signature.name, signature.key_id) == (self.name, self.key_id)

    def verify(self, text: str, signature: note.Signature) -> datetime:
        """The time that this key's cosignature over a checkpoint's text states; raises BadSignature when it does not stand."""
        value = signature.value
        if not self.bears(signature) or len(value) != _TIME_BYTES + _SIGNATURE_BYTES:
            raise BadSignature("not a cosignature of the given key")
        at = int.from_bytes(value[:_TIME_BYTES], "big")
        try:
            public = Ed25519PublicKey.from_public_bytes(self.public)
            public.verify(value[_TIME_BYTES:], _message(text, at))
        except InvalidSignature as error:
            raise BadSignature("a cosignature of the given key is wrong") from error
        if at > _LATEST:
            raise BadSignature("a cosignature's time is out of range")
        return datetime.fromtimestamp(at, UTC)


def _message(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def sign(text: str, name: str, private: Ed25519PrivateKey, at: datetime) -> note.Signature:
    """The cosignature of a checkpoint's text, made at the time `at` (whole seconds)."""
    key = CosignatureKey(name, private.public_key().public_bytes_raw())
    seconds = int(at.timestamp())
    value = seconds.to_bytes(_TIME_BYTES, "big") + private.sign(_message(text, seconds))
    return note.Signature(name, key.key_id, value)


def parse_key(text: str) -> CosignatureKey:
    """Reads a witness's vkey; raises MalformedNote when the id does not belong to the key or the type is another."""
    name, _, rest = text.strip().partition("+")
    hexadecimal, _, encoded = rest.partition("+")
    raw = note.unbase64(encoded, "not a witness key")
    if len(raw) != 1 + 32 or raw[:1] != COSIGNATURE:
        raise MalformedNote("not an Ed25519 witness key")
    key = CosignatureKey(note.check_name(name), raw[1:])
    if key.key_id.hex() != hexadecimal:
        raise MalformedNote("the key's id does not belong to it")
    return key


def cosigned(held: note.Note, keys: Sequence[CosignatureKey]) -> dict[CosignatureKey, datetime]:
    """Which of the given witnesses cosigned a note, each with its time; a wrong line of a given witness raises BadSignature."""
    found: dict[CosignatureKey, datetime] = {}
    for key in keys:
        for signature in held.signatures:
            if key.bears(signature):
                found[key] = key.verify(held.text, signature)
    return found
