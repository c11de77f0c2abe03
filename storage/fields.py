"""Personal fields in rows: sealed under a key of their owner, and found again by a keyed hash."""

import hashlib
import hmac
import secrets
import unicodedata

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.errors import Conflict, Corrupt, KeyGone
from storage.keyring import Keyring

FORMAT = 1
NONCE_SIZE = 12
_CONTEXT = b"sealgate field"


class FieldCipher:
    """Texts sealed for (owner, column): version byte ‖ nonce (12) ‖ AES-256-GCM ‖ tag (docs/formats.md).

    Destroying the keyring's key `field:<owner>` erases every field of that owner, backups included.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def seal(self, owner: str, column: str, text: str) -> bytes:
        """Seal a text; the owner's key is made at first use. KeyGone for an owner who was erased: no new key is made."""
        nonce = secrets.token_bytes(NONCE_SIZE)
        cipher = AESGCM(self._key(owner))
        return bytes([FORMAT]) + nonce + cipher.encrypt(nonce, text.encode(), _context(owner, column))

    def open(self, owner: str, column: str, blob: bytes) -> str:
        """Return the text; KeyGone when the owner was erased, Corrupt when it is another's, or changed."""
        cipher = AESGCM(self._keyring.key(f"field:{owner}"))
        if len(blob) < 1 + NONCE_SIZE + 16 or blob[0] != FORMAT:
            raise Corrupt("not a sealed field of a known format")
        try:
            nonce, sealed = blob[1 : 1 + NONCE_SIZE], blob[1 + NONCE_SIZE :]
            return cipher.decrypt(nonce, sealed, _context(owner, column)).decode()
        except InvalidTag:
            raise Corrupt("a sealed field does not authenticate") from None

    def _key(self, owner: str) -> bytes:
        name = f"field:{owner}"
        try:
            return self._keyring.key(name)
        except KeyGone:
            pass
        try:
            return self._keyring.create(name)
        except Conflict:  # Another thread was first.
            return self._keyring.key(name)


class SearchKey:
    """Equality search over sealed fields: HMAC-SHA-256 of the normalised value under a key outside the database."""

    def __init__(self, key: bytes) -> None:
        """Take a key of 32 bytes; raises ValueError for another length."""
        if len(key) != 32:
            raise ValueError("a search key has 32 bytes")
        self._key = key

    def digest(self, column: str, value: str) -> str:
        """Return 64 hex digits, equal for values that differ only in width, case or white space."""
        return hmac.new(self._key, _length_first(column, normalised(value)), hashlib.sha256).hexdigest()


def normalised(value: str) -> str:
    """Return the value as it is searched: compatibility forms and case made one, runs of white space a space.

    The order of steps is that of compatibility caseless matching (Unicode, 3.13, D146), composed at the end.
    """
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", value).casefold()).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def _context(owner: str, column: str) -> bytes:
    return _CONTEXT + bytes([FORMAT]) + _length_first(owner, column)


def _length_first(*texts: str) -> bytes:
    """Join texts so that no two lists give the same bytes: each with its length in four bytes in front."""
    return b"".join(len(raw := text.encode()).to_bytes(4, "big") + raw for text in texts)
