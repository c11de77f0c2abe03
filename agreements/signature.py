"""PAdES signatures as incremental revisions on revision 0: visible fields, the gateway's seal, time stamp, revocation data.

This module is light; `agreements.pades`, which does the work with pyHanko, is imported where it signs: that costs most of a
second.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509

from agreements.credentials import Credentials
from agreements.errors import SealError
from agreements.render import Place
from agreements.timestamp import Authority


@dataclass(frozen=True)
class Mark:
    """One visible signature: the field's name, its place and what is seen there, whose it is, and why it was made."""

    field: str
    place: Place
    appearance: bytes
    name: str
    reason: str


@dataclass(frozen=True)
class Sealer:
    """What seals: credentials, trust anchors, and the time-stamp authority where there is one.

    Without an authority signatures are B-B and hold no proof of time. With one the last signature is B-LTA: its time
    stamp, the revocation data of both chains, and a time stamp over the whole document.
    """

    credentials: Credentials
    roots: tuple[x509.Certificate, ...]
    authority: Authority | None = None

    @property
    def level(self) -> str:
        """The PAdES level of what it makes."""
        return "B-B" if self.authority is None else "B-LTA"


def seal(pdf: bytes, marks: Sequence[Mark], sealer: Sealer, *, now: datetime.datetime) -> bytes:
    """Add one signature a mark, in order, each as a revision of its own; the first bytes stay `pdf`.

    Raises:
        AuthorityUnavailable: a time stamp or revocation data could not be had.
        AuthorityLied: an authority's answer is not to what was asked.
        SealError: the document could not be signed.
    """
    from agreements.pades import sign

    signed = pdf
    for number, mark in enumerate(marks, 1):
        lasting = number == len(marks) and sealer.authority is not None
        signed = sign(signed, mark, sealer, now=now, lasting=lasting)
    if not signed.startswith(pdf):
        raise SealError("the signed document does not begin with the document shown")
    return signed
