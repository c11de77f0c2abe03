"""All streams of an image as one CBC chain: the ciphertext of a stream's slot is that stream's initial vector."""

import secrets
from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from watermark.prepared.format import BLOCK
from watermark.prepared.windows import ROOM, Window

_BEYOND = BLOCK - 1  # Bytes that the library asks for behind those it writes.


class Chain:
    """Ciphers the spans of a file in place, window after window.

    One random vector starts the chain and the file key is fresh, so every slot's ciphertext is as good as random and
    no vector comes twice. A block that a window cuts is kept back until the next window.
    """

    def __init__(self, key: bytes, spans: tuple[tuple[int, int], ...]) -> None:
        self._update = (
            Cipher(algorithms.AES(key), modes.CBC(secrets.token_bytes(BLOCK))).encryptor().update_into
        )
        self._spans = iter(spans)
        self._span = next(self._spans, None)

    def windows(self, plain: Iterator[Window]) -> Iterator[tuple[int, memoryview]]:
        """Offset and bytes of the ciphered file, in order; they are good until the next are asked for."""
        kept = b""
        for window in plain:
            begin = ROOM - len(kept)
            window.whole[begin:ROOM] = kept
            offset, end = window.offset - len(kept), ROOM + window.size
            ready = self._cipher(window.whole, offset - begin, end)
            kept = bytes(window.whole[ready:end])
            yield offset, window.whole[begin:ready]

    def _cipher(self, whole: memoryview, base: int, end: int) -> int:
        """Cipher what lies in a buffer whose byte 0 is the file's byte `base`; gives where its final bytes end."""
        while self._span is not None:
            start, length = self._span
            at = start - base
            if at >= end:
                break
            count = min(length, (end - at) // BLOCK * BLOCK)
            if count:
                self._update(whole[at : at + count], whole[at : at + count + _BEYOND])
            if count < length:
                self._span = (start + count, length - count)
                return at + count
            self._span = next(self._spans, None)
        return end


def decrypted(key: bytes, vector: bytes, ciphertext: bytes) -> bytes:
    """CBC decryption, padding left on: what the check of a copy reads."""
    return Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor().update(ciphertext)
