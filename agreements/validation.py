"""Proving a signed agreement with pyHanko: every signature intact and trusted, the last one over the whole file.

Light until it validates, like `agreements.signature`.
"""

import datetime
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cryptography import x509


@dataclass(frozen=True)
class SignatureFacts:
    """One signature as pyHanko judges it. `sound` is its bottom line: intact, valid, trusted, nothing forbidden after it.

    `stamped_at` is the time of its RFC 3161 time stamp, None where it has none.
    """

    field: str
    name: str
    subject: str
    intact: bool
    trusted: bool
    sound: bool
    stamped_at: datetime.datetime | None


@dataclass(frozen=True)
class SignedFacts:
    """A signed document: its signatures in order, its document time stamps, how much of the file they cover."""

    signatures: tuple[SignatureFacts, ...]
    stamps: tuple[SignatureFacts, ...]
    whole: bool
    revocation_data: int

    @property
    def intact(self) -> bool:
        """Whether no byte that any signature or time stamp covers was changed, and they cover the whole file."""
        found = (*self.signatures, *self.stamps)
        return bool(self.signatures) and self.whole and all(f.intact for f in found)

    @property
    def sound(self) -> bool:
        """Whether all of it holds under the trust anchors given."""
        return self.intact and all(f.sound for f in (*self.signatures, *self.stamps))


def validate(pdf: bytes, roots: Sequence[x509.Certificate]) -> SignedFacts:
    """Judge every signature of a document under these trust anchors, from the document alone: nothing is fetched.

    Raises:
        BadPackage: not a PDF that can be read, or its signatures cannot.
    """
    from agreements.pades_validation import judge

    # pyHanko runs a loop of its own, which needs a thread that has none.
    with ThreadPoolExecutor(max_workers=1) as alone:
        return alone.submit(judge, pdf, roots).result()


def time_stamp(pdf: bytes, field: str) -> tuple[bytes, bytes] | None:
    """Return the RFC 3161 token of one signature (DER) and the bytes it is over, for `openssl ts`; None where it has none."""
    from agreements.pades_validation import stamp_of

    return stamp_of(pdf, field)


def begins_with(pdf: bytes, digest: str) -> bool:
    """Say whether some revision of the document, from its first byte to an end-of-file mark, has this SHA-256 (hex)."""
    mark, at = b"%%EOF", 0
    while (at := pdf.find(mark, at)) >= 0:
        at += len(mark)
        ends = {at, at + 1, at + 2} if pdf[at : at + 2] == b"\r\n" else {at, at + 1}
        if any(hashlib.sha256(pdf[:end]).hexdigest() == digest for end in ends):
            return True
    return False
