"""Sealing and opening against AES-256-GCM itself on the same bytes, turn and turn about in the same run.

The digest that a put takes of its plaintext is not in it: SHA-256 has its own speed, with or without sealing.
"""

import secrets
import statistics
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage import seal
from storage.store import PIECE

SIZE = 64 * seal.CHUNK
ROUNDS = 15
GOAL = 0.6


def pair(bare: Callable[[], float], ours: Callable[[], float], *, ours_first: bool) -> float:
    """The ratio of two runs side by side: a slow moment of the disk meets both, and neither always comes second."""
    if ours_first:
        seconds = ours()
        return seconds / bare()
    floor = bare()
    return ours() / floor


def rows() -> list[dict]:
    """The two rows: median over the rounds of (time of the bare cipher / time of the sealed layer)."""
    key, plain = secrets.token_bytes(32), secrets.token_bytes(SIZE)
    pieces = list(seal.cut([plain]))
    nonces = [secrets.token_bytes(12) for _ in pieces]
    ciphertexts = [
        AESGCM(key).encrypt(nonce, piece, b"") for nonce, piece in zip(nonces, pieces, strict=True)
    ]
    place = seal.new_place("bench/object", 1)
    stored = place.header() + b"".join(seal.seal(key, place, pieces))
    body = [stored[at : at + PIECE] for at in range(seal.HEADER_SIZE, len(stored), PIECE)]
    count = seal.chunk_count(len(stored))

    def encrypt_bare() -> None:
        cipher = AESGCM(key)
        for piece in pieces:
            cipher.encrypt(secrets.token_bytes(12), piece, b"")

    def decrypt_bare() -> None:
        cipher = AESGCM(key)
        for nonce, sealed in zip(nonces, ciphertexts, strict=True):
            cipher.decrypt(nonce, sealed, b"")

    def encrypt_sealed() -> None:
        spend(seal.seal(key, place, seal.cut(pieces)))

    def decrypt_sealed() -> None:
        spend(seal.unseal(key, place, len(stored), body, first=0, count=count))

    return [
        row("storage: sealed encrypt / bare AES-256-GCM", encrypt_bare, encrypt_sealed),
        row("storage: sealed decrypt / bare AES-256-GCM", decrypt_bare, decrypt_sealed),
    ]


def row(name: str, bare: Callable[[], None], sealed: Callable[[], None]) -> dict:
    """One row of the table; both are warmed up once, then measured in turn."""
    bare(), sealed()
    ratio = statistics.median(seconds(bare) / seconds(sealed) for _ in range(ROUNDS))
    return {"name": name, "ratio": round(ratio, 3), "goal": GOAL, "met": ratio >= GOAL}


def seconds(run: Callable[[], None]) -> float:
    """How long one run takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def spend(pieces) -> None:
    """Take every piece and keep none."""
    for _ in pieces:
        pass
