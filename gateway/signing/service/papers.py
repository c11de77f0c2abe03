"""The papers of an agreement: the very PDF that was shown, its page images, the evidence, the certificate of completion."""

import base64
import hashlib
import io
import zipfile
from datetime import datetime

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import select
from sqlalchemy.orm import Session

from agreements.certificate import LogReference, certificate
from agreements.errors import AgreementError, BadDocument
from agreements.render import page_image
from gateway.audit.models import Leaf
from gateway.deps import Deps
from gateway.errors import NotFound, Unavailable, WrongState
from gateway.identity.models import Account
from gateway.principal import Actor
from gateway.signing.models import Agreement, SignedEvidence, Template
from gateway.signing.service.drafting import object_id, rendered
from gateway.signing.visibility import readable
from storage.errors import StorageError

# Archives of the same papers are the same bytes.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def pdf_bytes(deps: Deps, agreement_id: str, *, actor: Actor, now: datetime) -> bytes:
    """Revision 0 of the agreement's PDF; for the company's readers also a draft, with 草稿 on every page.

    Raises NotFound, or Unavailable when the store does not hold the bytes whose digest was recorded.
    """
    with deps.database.read() as session:
        row = readable(session, agreement_id, actor)
        expected = row.pdf_sha256
        if expected is None:
            return rendered(row, session.get_one(Template, row.template_id), now, draft=True)
    pdf = stored_pdf(deps, agreement_id)
    if hashlib.sha256(pdf).hexdigest() != expected:
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
        return (
            row.signed_sha256 is not None
            and hashlib.sha256(stored_pdf(deps, row.id)).hexdigest() == row.signed_sha256
        )
    except Unavailable:
        return False


def page_webp(deps: Deps, agreement_id: str, page: int, *, actor: Actor, now: datetime) -> bytes:
    """One page (from 1) as a WebP image; NotFound past the end."""
    try:
        return page_image(pdf_bytes(deps, agreement_id, actor=actor, now=now), page)
    except BadDocument as error:
        raise NotFound from error


def evidence_zip(deps: Deps, agreement_id: str, *, actor: Actor, now: datetime) -> bytes:
    """agreement.pdf, evidence.json, evidence.sig, drawing.png where one was drawn, and the public key, to be checked by hand.

    Raises WrongState before the partner has signed.
    """
    pdf = pdf_bytes(deps, agreement_id, actor=actor, now=now)
    with deps.database.read() as session:
        kept = _evidence(session, readable(session, agreement_id, actor))
        files = {
            "agreement.pdf": pdf,
            "evidence.json": kept.body.encode(),
            "evidence.sig": bytes.fromhex(kept.signature),
        }
        drawing = f"drawing-{kept.id}" if kept.drawing_sha256 is not None else None
    raw = deps.evidence_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    files["public-key.txt"] = base64.b64encode(raw) + b"\n"
    if drawing is not None:
        files["drawing.png"] = _stored(deps, drawing)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _ZIP_TIME), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _stored(deps: Deps, name: str) -> bytes:
    try:
        return b"".join(deps.evidence.open(name, 1))
    except StorageError as error:
        raise Unavailable from error


def _evidence(session: Session, row: Agreement) -> SignedEvidence:
    kept = session.scalars(select(SignedEvidence).where(SignedEvidence.agreement_id == row.id)).first()
    if kept is None:
        raise WrongState
    return kept


def certificate_pdf(deps: Deps, agreement_id: str, *, actor: Actor) -> bytes:
    """The certificate of completion, made on demand from the signed evidence; WrongState before countersigning."""
    with deps.database.read() as session:
        row = readable(session, agreement_id, actor)
        kept, at = _evidence(session, row), row.countersigned_at
        if row.countersigned_by is None or at is None:
            raise WrongState
        body, signature = kept.body.encode(), bytes.fromhex(kept.signature)
        by, entries = session.get_one(Account, row.countersigned_by).name, _entries(session, row)
    try:
        return certificate(
            body,
            signature,
            deps.evidence_key.public_key(),
            countersigned_by=by,
            countersigned_at=at,
            log=entries,
        )
    except AgreementError as error:
        raise Unavailable from error


def _entries(session: Session, row: Agreement) -> list[LogReference]:
    query = select(Leaf).where(
        Leaf.object_kind == "agreement",
        Leaf.object_id == row.id,
        Leaf.event.startswith("agreement."),
        Leaf.seq.is_not(None),
    )
    found = session.scalars(query.order_by(Leaf.seq))
    return [LogReference(leaf.event, leaf.seq or 0, leaf.leaf_hash.hex()) for leaf in found if leaf.leaf_hash]
