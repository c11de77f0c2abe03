"""Keys of the standard security handler, revision 6 (ISO 32000-2, 7.6.4.4): AES-256, a fresh file key, no owner password."""

import hashlib
import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from watermark.prepared.format import PERMISSIONS, Patch

_ROUNDS = 64
_HASHES = (hashlib.sha256, hashlib.sha384, hashlib.sha512)


@dataclass(frozen=True, slots=True)
class Keys:
    """The file key and, as hex digits, what the copy's clear bytes say of it."""

    file_key: bytes
    patches: dict[Patch, bytes]


def hardened_hash(password: bytes, salt: bytes) -> bytes:
    """Algorithm 2.B for a user password: 64 rounds or more of AES-128-CBC and SHA-2; 32 bytes."""
    key, round_number = hashlib.sha256(password + salt).digest(), 0
    while True:
        block = (password + key) * 64
        encrypted = Cipher(algorithms.AES(key[:16]), modes.CBC(key[16:32])).encryptor().update(block)
        key = _HASHES[sum(encrypted[:16]) % 3](encrypted).digest()
        round_number += 1
        if round_number >= _ROUNDS and encrypted[-1] <= round_number - 32:
            return key[:32]


def new_keys(passphrase: str) -> Keys:
    """A fresh file key wrapped under the passphrase. /O and /OE are random: no owner password exists."""
    password, file_key = passphrase.encode("ascii"), secrets.token_bytes(32)
    validation, wrapping = secrets.token_bytes(8), secrets.token_bytes(8)
    user = hardened_hash(password, validation) + validation + wrapping
    wrapped = _aes(
        hardened_hash(password, wrapping), modes.CBC(bytes(16)), file_key
    )  # Algorithm 8: no padding, a zero vector.
    clear = PERMISSIONS.to_bytes(4, "little", signed=True) + b"\xff\xff\xff\xffTadb" + secrets.token_bytes(4)
    values = {
        Patch.ID: secrets.token_bytes(16),
        Patch.O: secrets.token_bytes(48),
        Patch.OE: secrets.token_bytes(32),
        Patch.U: user,
        Patch.UE: wrapped,
        Patch.PERMS: _aes(file_key, modes.ECB(), clear),  # noqa: S305  # Algorithm 10: one block of ECB.
    }
    return Keys(file_key, {what: value.hex().encode("ascii") for what, value in values.items()})


def _aes(key: bytes, mode: modes.CBC | modes.ECB, data: bytes) -> bytes:
    return Cipher(algorithms.AES(key), mode).encryptor().update(data)
