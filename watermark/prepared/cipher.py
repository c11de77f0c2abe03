"""All streams of an image as one CBC chain: the ciphertext of a stream's slot is that stream's initial vector.

One random vector starts the chain and the file key is fresh, so every slot's ciphertext is as good as random and no vector comes
twice. What lies where in which window is the same for every recipient: it is worked out once.
"""

import functools
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from watermark.prepared.format import BLOCK, Index
from watermark.prepared.windows import ROOM, WINDOW, Window

_BEYOND = BLOCK - 1  # Bytes that the library asks for behind those it writes.
_FEW = 8  # Up to so many spans are ciphered where they lie; more are brought together, for a call costs more than a copy.


@dataclass(frozen=True, slots=True)
class Step:
    """One window: the spans to cipher as (start, end) in its buffer, how many bytes the last step kept back, and where the
    bytes end that are final; a block that the window cuts is kept for the next one."""

    spans: tuple[tuple[int, int], ...]
    kept: int
    ready: int


@functools.lru_cache(maxsize=32)
def steps(index: Index, size: int) -> tuple[Step, ...]:
    """What to do in each window of an image of `size` bytes."""
    return tuple(_steps(index, size))


def _steps(index: Index, size: int) -> Iterator[Step]:
    waiting, span, kept = iter(index.streams), None, 0
    span = next(waiting, None)
    for offset in range(0, size, WINDOW):
        end, base, found = ROOM + min(WINDOW, size - offset), offset - ROOM, []
        ready = end
        while span is not None and span[0] - base < end:
            at = span[0] - base
            count = min(span[1], (end - at) // BLOCK * BLOCK)
            if count:
                found.append((at, at + count))
            if count < span[1]:
                span, ready = (span[0] + count, span[1] - count), at + count
                break
            span = next(waiting, None)
        yield Step(tuple(found), kept, ready)
        kept = end - ready


def chained(key: bytes, plain: Iterator[Window], plan: tuple[Step, ...]) -> Iterator[tuple[int, memoryview]]:
    """Offset and bytes of the ciphered file, in order; they are good until the next are asked for."""
    update = Cipher(algorithms.AES(key), modes.CBC(secrets.token_bytes(BLOCK))).encryptor().update_into
    rest = b""
    for window, step in zip(plain, plan, strict=True):
        begin, whole = ROOM - step.kept, window.whole
        whole[begin:ROOM] = rest
        if len(step.spans) > _FEW:
            _together(update, whole, step.spans)
        else:
            for start, end in step.spans:
                update(whole[start:end], whole[start : end + _BEYOND])
        rest = bytes(whole[step.ready : ROOM + window.size])
        yield window.offset - step.kept, whole[begin : step.ready]


def _together(
    update: Callable[[memoryview | bytes, memoryview], int],
    whole: memoryview,
    spans: tuple[tuple[int, int], ...],
) -> None:
    packed = b"".join([whole[start:end] for start, end in spans])
    out = memoryview(bytearray(len(packed) + _BEYOND))
    update(packed, out)
    at = 0
    for start, end in spans:
        done = at + end - start
        whole[start:end] = out[at:done]
        at = done


def decrypted(key: bytes, vector: bytes, ciphertext: bytes) -> bytes:
    """CBC decryption, padding left on: what the check of a copy reads."""
    return Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor().update(ciphertext)
