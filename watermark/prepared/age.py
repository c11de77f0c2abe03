"""Encryption to one X25519 recipient of age (age-encryption.org/v1), streamed in chunks of 64 KiB."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Iterator

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from watermark.errors import BadRecipient
from watermark.prepared.ae2 import cut

CHUNK, TAG = 1 << 16, 16
_MANY = 8  # Chunks handed on at once.
_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def public_key(recipient: str) -> bytes:
    """The 32 bytes of an age1… recipient (Bech32, BIP 173). Raises BadRecipient."""
    if not recipient.startswith("age1") or any(char not in _CHARSET for char in recipient[4:]):
        raise BadRecipient("not an age X25519 recipient (age1…)")
    values = [_CHARSET.index(char) for char in recipient[4:]]
    if len(values) != 58 or _polymod([3, 3, 3, 0, 1, 7, 5, *values]) != 1:
        raise BadRecipient("not an age X25519 recipient (age1…)")
    number = 0
    for value in values[:52]:
        number = number << 5 | value
    if number & 0xF:
        raise BadRecipient("not an age X25519 recipient (age1…)")
    return (number >> 4).to_bytes(32, "big")


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> bit & 1 else 0
    return check


def _base64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _hkdf(key: bytes, salt: bytes | None, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, info).derive(key)


class Sealer:
    """The keys of one file: a fresh file key, wrapped for the recipient by a share that is used once."""

    def __init__(self, recipient: str) -> None:
        theirs = public_key(recipient)
        file_key, nonce = secrets.token_bytes(16), secrets.token_bytes(16)
        share = X25519PrivateKey.generate()
        ours = share.public_key().public_bytes_raw()
        try:
            shared = share.exchange(X25519PublicKey.from_public_bytes(theirs))
        except ValueError as error:
            raise BadRecipient("the recipient's key is of low order") from error
        wrap = _hkdf(shared, ours + theirs, b"age-encryption.org/v1/X25519")
        body = ChaCha20Poly1305(wrap).encrypt(bytes(12), file_key, None)
        head = b"age-encryption.org/v1\n-> X25519 " + _base64(ours) + b"\n" + _base64(body) + b"\n---"
        mac = hmac.digest(_hkdf(file_key, None, b"header"), head, hashlib.sha256)
        self.head = head + b" " + _base64(mac) + b"\n" + nonce
        self._cipher = ChaCha20Poly1305(_hkdf(file_key, nonce, b"payload"))

    def sealed(self, chunks: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        """Header and payload in pieces that are good until the next is asked for."""
        yield self.head
        out = memoryview(b"")
        number, held = 0, b""
        for piece in cut(chunks, _MANY * CHUNK):
            # A piece of full length may be the last, whose chunk is marked; the piece before it is then known not to be.
            out = out or memoryview(bytearray(len(piece) + _MANY * TAG))
            if held:
                yield self._piece(held, number, out, last=False)
                number += _MANY
            held = bytes(piece)
        yield self._piece(held, number, out or memoryview(bytearray(TAG)), last=True)

    def _piece(self, data: bytes, number: int, out: memoryview, *, last: bool) -> memoryview:
        view, at = memoryview(data), 0
        starts = range(0, max(len(data), 1), CHUNK)
        for start in starts:
            chunk = view[start : start + CHUNK]
            nonce = self.nonce(number, last=last and start + CHUNK >= len(data))
            self._cipher.encrypt_into(nonce, chunk, None, out[at : at + len(chunk) + TAG])
            at += len(chunk) + TAG
            number += 1
        return out[:at]

    @staticmethod
    def nonce(number: int, *, last: bool) -> bytes:
        """The counter and the mark of the last chunk (STREAM)."""
        return number.to_bytes(11, "big") + bytes([last])

    def opened(self, ciphertext: bytes | memoryview, number: int, *, last: bool) -> bytes:
        """One chunk in clear again; a chunk that was changed raises InvalidTag."""
        return self._cipher.decrypt(self.nonce(number, last=last), ciphertext, None)
