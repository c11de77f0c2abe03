"""The partner's side: opening, signing with a typed name and a fresh second factor, declining (policy.md §3.7)."""

import hashlib
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from agreements import evidence as ev
from agreements.drawing import Drawing, from_data_url
from agreements.errors import AgreementError, BadDrawing
from agreements.text import check_value, fill
from agreements.typesetting import require_glyphs
from gateway.audit.service import record
from gateway.db import locked, new_id
from gateway.deps import Deps
from gateway.errors import Invalid, NotFound, WrongState
from gateway.identity.models import Contact, Organisation
from gateway.principal import Actor, Text
from gateway.signing.errors import DigestConflict
from gateway.signing.models import Agreement, AgreementEvent, SignedEvidence, Template
from gateway.signing.rules import AGREEMENT
from gateway.signing.service.papers import pdf_bytes
from gateway.signing.service.templating import text_of
from gateway.workflow import move, require_fresh


@dataclass(frozen=True)
class Signature:
    """What the signer posts: the digest of the PDF shown, the typed name, the consent ticked, and a drawing as a data URL or ""."""

    pdf_sha256: str
    name: str
    consent: bool
    drawing: str = ""


def view(deps: Deps, agreement_id: str, pages: tuple[int, ...], *, actor: Actor, now: datetime) -> None:
    """Notes that the signer opened the agreement and which pages were fetched; from SENT it becomes VIEWED."""
    with deps.job(actor, "agreement.view", ("agreement", agreement_id), now) as session:
        row = _theirs(session, agreement_id, actor)
        if row.state == "SENT" and row.signer_id == actor.id:
            move(deps, session, AGREEMENT, row, "view", actor=actor, now=now)
        elif row.state not in ("SENT", "VIEWED"):
            return
        else:
            record(session, "agreement.read", actor=actor, obj=("agreement", row.id), now=now, pages=list(pages))
        _happened(session, row, "viewed", actor, now, pages)


def sign(deps: Deps, agreement_id: str, given: Signature, *, actor: Actor, now: datetime) -> None:
    """Signs: the posted digest must be that of the stored PDF; evidence is canonical bytes under the gateway's key.

    Raises DigestConflict, StaleFactor, Invalid or NotTheSigner; then nothing is changed. In force only after countersigning.
    """
    pdf = pdf_bytes(deps, agreement_id, actor=actor)
    drawing = _drawing(given.drawing)
    with deps.job(actor, "agreement.sign", ("agreement", agreement_id), now) as session:
        row = _theirs(session, agreement_id, actor)
        require_fresh(deps, session, actor, now)
        _check(row, given, hashlib.sha256(pdf).hexdigest())
        body = ev.canonical(_evidence(session, row, given, drawing, actor, now))
        signature = ev.sign(body, deps.evidence_key)
        row.signed_sha256, row.signed_at = row.pdf_sha256, now
        digest = hashlib.sha256(body).hexdigest()
        leaf = move(deps, session, AGREEMENT, row, "sign", actor=actor, now=now, pdf_sha256=row.pdf_sha256, evidence_sha256=digest)
        _keep(session, row, body, signature, deps, drawing, leaf, now)


def decline(deps: Deps, agreement_id: str, reason: str, *, actor: Actor, now: datetime) -> None:
    """The signer refuses, with a reason."""
    with deps.job(actor, "agreement.decline", ("agreement", agreement_id), now) as session:
        move(deps, session, AGREEMENT, _theirs(session, agreement_id, actor), "decline", actor=actor, now=now, reason=reason)


def _theirs(session: Session, agreement_id: str, actor: Actor) -> Agreement:
    row = locked(session, Agreement, agreement_id)
    contact = session.get(Contact, actor.id) if actor.kind == "contact" else None
    if row is None or contact is None or contact.organisation_id != row.organisation_id or row.state == "DRAFT":
        raise NotFound
    return row


def _check(row: Agreement, given: Signature, stored: str) -> None:
    if row.state != "VIEWED":
        raise WrongState
    if given.pdf_sha256 != row.pdf_sha256 or stored != row.pdf_sha256:
        raise DigestConflict
    if not given.consent:
        raise Invalid("consent", Text("请勾选同意后再签署。", "Tick the consent before signing."))
    typed_name(given.name)


def typed_name(name: str) -> str:
    """The typed signature in NFC, when it is a name of up to 60 characters that the certificate can print; Invalid otherwise."""
    clean = unicodedata.normalize("NFC", name).strip()
    try:
        check_value("name", clean, 60)
        require_glyphs([clean])
    except AgreementError as error:
        raise Invalid("name", Text("请填写签署人姓名，60 字以内，不含特殊符号。", "Type the signer's name, up to 60 ordinary characters.")) from error
    if not clean:
        raise Invalid("name", Text("请填写签署人姓名。", "Type the signer's name."))
    return clean


def _drawing(data_url: str) -> Drawing | None:
    if not data_url:
        return None
    try:
        return from_data_url(data_url)
    except BadDrawing as error:
        raise Invalid("drawing", Text("手写签名无法读取，请清除后重写，或只填姓名。", "The drawing cannot be read. Clear it or type the name only.")) from error


def _evidence(session: Session, row: Agreement, given: Signature, drawing: Drawing | None, actor: Actor, now: datetime) -> ev.Evidence:
    contact = session.get_one(Contact, actor.id)
    organisation = session.get_one(Organisation, row.organisation_id)
    template = session.get_one(Template, row.template_id)
    english = actor.language.startswith("en")
    consent = ev.Consent(ev.CONSENT_VERSION, "en" if english else "zh", ev.CONSENT_EN if english else ev.CONSENT_ZH)
    assert actor.mfa_at is not None and row.pdf_sha256 is not None
    return ev.Evidence(
        agreement_no=row.number,
        template_version=template.version,
        pdf_sha256=row.pdf_sha256,
        text_sha256=fill(text_of(template), row.values).text_sha256,
        signer=ev.Signer(contact.id, typed_name(given.name), contact.title or "授权签署人", organisation.name, organisation.uscc),
        consent=consent,
        signed_at=now,
        access=ev.Access.of(ip=actor.ip, user_agent=actor.agent, session_id=actor.session or ""),
        authentication=ev.Authentication("totp", actor.mfa_at),
        drawing_sha256=drawing.sha256 if drawing is not None else None,
        events=_events(session, row),
    )


def _events(session: Session, row: Agreement) -> tuple[ev.Event, ...]:
    query = select(AgreementEvent).where(AgreementEvent.agreement_id == row.id).order_by(AgreementEvent.at)
    return tuple(ev.Event(e.event, e.at, tuple(e.detail.get("pages", ()))) for e in session.scalars(query))


def _happened(session: Session, row: Agreement, event: str, actor: Actor, now: datetime, pages: tuple[int, ...]) -> None:
    session.add(AgreementEvent(id=new_id(), agreement_id=row.id, event=event, detail={"pages": list(pages)}, by=actor.label, at=now))
    session.flush()


def _keep(
    session: Session, row: Agreement, body: bytes, signature: bytes, deps: Deps, drawing: Drawing | None, leaf: str, now: datetime
) -> None:
    kept = SignedEvidence(id=new_id(), agreement_id=row.id, body=body.decode(), signature=signature.hex(), at=now, leaf=leaf)
    kept.key_id = ev.key_id(deps.evidence_key.public_key()).hex()
    kept.drawing_sha256 = drawing.sha256 if drawing is not None else None
    session.add(kept)
    session.flush()
    if drawing is not None:
        deps.evidence.put(f"drawing-{kept.id}", 1, iter([drawing.png]))
