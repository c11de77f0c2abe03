"""The papers of an agreement: the very PDF that was shown, its page images, the evidence, the certificate of completion."""

import hashlib
import os
from datetime import datetime

from agreements.errors import BadDocument
from agreements.render import page_image
from gateway.deps import Deps
from gateway.errors import NotFound, Unavailable, WrongState
from gateway.principal import Actor
from gateway.signing.models import Template
from gateway.signing.service.drafting import rendered
from gateway.signing.service.packing import certificate_of, evidence_files, evidence_of, package, zipped
from gateway.signing.service.stored import SEALED, stored_pdf
from gateway.signing.visibility import readable
from watermark import memory
from watermark.mark import Mark
from watermark.worker import preview


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


def document(deps: Deps, agreement_id: str, *, actor: Actor, now: datetime) -> bytes:
    """The signed PDF once it is sealed, before that what `pdf_bytes` gives; its first bytes are revision 0 in any case.

    Raises NotFound, or Unavailable when the store does not hold the bytes whose digest was recorded.
    """
    with deps.database.read() as session:
        expected = readable(session, agreement_id, actor).sealed_sha256
    if expected is None:
        return pdf_bytes(deps, agreement_id, actor=actor, now=now)
    pdf = stored_pdf(deps, agreement_id, SEALED)
    if hashlib.sha256(pdf).hexdigest() != expected:
        raise Unavailable(code="NDAHASH")
    return pdf


def page_webp(deps: Deps, agreement_id: str, page: int, *, actor: Actor, now: datetime) -> bytes:
    """One page (from 1) as a WebP image; NotFound past the end."""
    with deps.database.read() as session:
        row = readable(session, agreement_id, actor)
    if row.form == "PAPER":
        return _scan_page(pdf_bytes(deps, agreement_id, actor=actor, now=now), page, row.number, actor)
    try:
        return page_image(pdf_bytes(deps, agreement_id, actor=actor, now=now), page)
    except BadDocument as error:
        raise NotFound from error


def _scan_page(pdf: bytes, page: int, number: str, actor: Actor) -> bytes:
    # A scan came from outside: only the sandboxed child opens it, and its picture carries the reader's name.
    source = memory.create("scan", pdf)
    try:
        picture, _ = preview(source, page, Mark((number, actor.name), number))
    finally:
        os.close(source)
    if picture is None:
        raise NotFound
    return picture


def evidence_zip(deps: Deps, agreement_id: str, *, actor: Actor, now: datetime) -> bytes:
    """The evidence package as it was stored; before it is sealed what there is so far: document, evidence, its signature, key.

    Raises WrongState before the partner has signed.
    """
    with deps.database.read() as session:
        row = readable(session, agreement_id, actor)
        kept = evidence_of(session, row)
        sealed = row.sealed_sha256 is not None
        session.expunge_all()
    if sealed:
        return package(deps, agreement_id)
    pdf = pdf_bytes(deps, agreement_id, actor=actor, now=now)
    return zipped({"agreement.pdf": pdf, **evidence_files(deps, kept)})


def certificate_pdf(deps: Deps, agreement_id: str, *, actor: Actor) -> bytes:
    """The certificate of completion, made on demand from the signed evidence; WrongState before countersigning."""
    with deps.database.read() as session:
        row = readable(session, agreement_id, actor)
        if row.countersigned_by is None or row.countersigned_at is None:
            raise WrongState
        return certificate_of(deps, session, row)
