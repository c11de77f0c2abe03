"""What the evidence store holds of an agreement, and whether it is still what was signed."""

import hashlib

from sqlalchemy import select
from sqlalchemy.orm import Session

from agreements import evidence as ev
from agreements.errors import EvidenceError
from gateway.deps import Deps
from gateway.errors import Unavailable
from gateway.signing.errors import DigestConflict
from gateway.signing.models import Agreement, SignedEvidence
from gateway.signing.service.drafting import object_id
from storage.errors import NotFound, StorageError

SHOWN, SEALED = 1, 2


def stored_pdf(deps: Deps, agreement_id: str, version: int = SHOWN) -> bytes:
    """The stored bytes, unchecked: revision 0, or the signed PDF; Unavailable when they cannot be read or were altered."""
    return stored(deps, object_id(agreement_id), version)


def sealed_pdf(deps: Deps, agreement_id: str) -> bytes | None:
    """The signed PDF, unchecked; None where none was stored yet."""
    try:
        return b"".join(deps.evidence.open(object_id(agreement_id), SEALED))
    except NotFound:
        return None
    except StorageError as error:
        raise Unavailable from error


def stored_drawing(deps: Deps, kept: SignedEvidence) -> bytes:
    """The drawing that was made with this evidence."""
    return stored(deps, f"drawing-{kept.id}", 1)


def stored(deps: Deps, name: str, version: int) -> bytes:
    """The bytes of one object; Unavailable when they cannot be read or fail their authentication."""
    try:
        return b"".join(deps.evidence.open(name, version))
    except StorageError as error:
        raise Unavailable from error


def intact(deps: Deps, row: Agreement) -> bool:
    """Whether the stored bytes are still those that both sides signed, before and after the seal."""
    try:
        shown = _holds(deps, row, SHOWN, row.signed_sha256)
        # A paper's scan is all there is: its seals are ink.
        return shown and (row.form == "PAPER" or _holds(deps, row, SEALED, row.sealed_sha256))
    except Unavailable:
        return False


def _holds(deps: Deps, row: Agreement, version: int, digest: str | None) -> bool:
    return digest is not None and hashlib.sha256(stored_pdf(deps, row.id, version)).hexdigest() == digest


def proved_evidence(
    deps: Deps, session: Session, row: Agreement, pdf_sha256: str
) -> tuple[SignedEvidence, ev.Evidence]:
    """The partner's evidence, its signature proved and its digests those of this agreement; DigestConflict otherwise."""
    kept = session.scalars(select(SignedEvidence).where(SignedEvidence.agreement_id == row.id)).first()
    if kept is None or not pdf_sha256 == row.pdf_sha256 == row.signed_sha256:
        raise DigestConflict
    try:
        facts = ev.verify(kept.body.encode(), bytes.fromhex(kept.signature), deps.evidence_key.public_key())
    except (EvidenceError, ValueError) as error:
        raise DigestConflict from error
    if facts.pdf_sha256 != pdf_sha256 or facts.agreement_no != row.number:
        raise DigestConflict
    return kept, facts
