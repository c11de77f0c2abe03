"""The papers of an agreement: the very PDF that was shown, its page images, the certificate of completion."""

import hashlib
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from agreements.certificate import LogReference, certificate
from agreements.errors import BadDocument
from agreements.render import page_image
from gateway.audit.models import Leaf
from gateway.deps import Deps
from gateway.errors import NotFound, Unavailable, WrongState
from gateway.identity.models import Account, Contact
from gateway.principal import Actor, Role
from gateway.signing.models import Agreement, SignedEvidence
from gateway.signing.service.drafting import object_id
from storage.errors import StorageError

READERS = (Role.GM, Role.DGM, Role.ADM, Role.AUD, Role.ARC)


def readable(session: Session, agreement_id: str, actor: Actor) -> Agreement:
    """The agreement, for people of the organisation and the company's readers; NotFound for everyone else."""
    row = session.get(Agreement, agreement_id)
    if row is None or row.pdf_sha256 is None:
        raise NotFound
    if actor.kind == "contact":
        contact = session.get(Contact, actor.id)
        allowed = contact is not None and contact.organisation_id == row.organisation_id
    else:
        allowed = actor.kind == "staff" and actor.has(*READERS)
    if not allowed:
        raise NotFound
    return row


def pdf_bytes(deps: Deps, agreement_id: str, *, actor: Actor) -> bytes:
    """Revision 0 of the agreement's PDF; raises Unavailable when the store does not hold the bytes whose digest was recorded."""
    with deps.database.read() as session:
        row = readable(session, agreement_id, actor)
    pdf = stored_pdf(deps, agreement_id)
    if hashlib.sha256(pdf).hexdigest() != row.pdf_sha256:
        raise Unavailable(code="NDAHASH")
    return pdf


def stored_pdf(deps: Deps, agreement_id: str) -> bytes:
    """The stored bytes, unchecked; Unavailable when they cannot be read or fail their authentication."""
    try:
        return b"".join(deps.evidence.open(object_id(agreement_id), 1))
    except StorageError as error:
        raise Unavailable from error


def intact(deps: Deps, row: Agreement) -> bool:
    """Whether the stored bytes are still those whose digest both sides signed."""
    try:
        return row.signed_sha256 is not None and hashlib.sha256(stored_pdf(deps, row.id)).hexdigest() == row.signed_sha256
    except Unavailable:
        return False


def page_webp(deps: Deps, agreement_id: str, page: int, *, actor: Actor) -> bytes:
    """One page (from 1) as a WebP image; NotFound past the end."""
    try:
        return page_image(pdf_bytes(deps, agreement_id, actor=actor), page)
    except BadDocument as error:
        raise NotFound from error


def certificate_pdf(deps: Deps, agreement_id: str, *, actor: Actor, now: datetime) -> bytes:
    """The certificate of completion, made on demand from the signed evidence; WrongState before countersigning."""
    with deps.database.read() as session:
        row = readable(session, agreement_id, actor)
        evidence = session.scalars(select(SignedEvidence).where(SignedEvidence.agreement_id == row.id)).first()
        if evidence is None or row.countersigned_by is None or row.countersigned_at is None:
            raise WrongState
        signer = session.get_one(Account, row.countersigned_by)
        entries = _entries(session, row)
    return certificate(
        evidence.body.encode(),
        bytes.fromhex(evidence.signature),
        deps.evidence_key.public_key(),
        countersigned_by=signer.name,
        countersigned_at=row.countersigned_at,
        log=entries,
    )


def _entries(session: Session, row: Agreement) -> list[LogReference]:
    query = select(Leaf).where(Leaf.object_kind == "agreement", Leaf.object_id == row.id, Leaf.seq.is_not(None)).order_by(Leaf.seq)
    return [LogReference(leaf.event, leaf.seq or 0, leaf.leaf_hash.hex()) for leaf in session.scalars(query) if leaf.leaf_hash]
