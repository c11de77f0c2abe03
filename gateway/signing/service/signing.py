"""The partner's side: opening, signing with a typed name and a fresh second factor, declining (policy.md §3.7)."""

import hashlib
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from agreements import evidence as ev
from agreements.drawing import Drawing, from_data_url
from agreements.errors import AgreementError, BadDrawing, EvidenceError
from agreements.render import page_count
from agreements.text import check_value, fill
from agreements.typesetting import require_glyphs
from gateway.audit.service import record
from gateway.db import locked, new_id
from gateway.deps import Deps
from gateway.errors import Invalid, NotFound, Unavailable, WrongState
from gateway.identity.models import Contact, Organisation
from gateway.principal import Actor, Text
from gateway.signing.errors import DigestConflict, NotTheSigner
from gateway.signing.models import Agreement, AgreementEvent, SignedEvidence, Template
from gateway.signing.rules import AGREEMENT, OPEN
from gateway.signing.service.happenings import METHOD, happened
from gateway.signing.service.papers import pdf_bytes
from gateway.signing.service.wording import UNTITLED
from gateway.signing.visibility import of_theirs, text_of
from gateway.workflow import move, require_fresh
from storage.errors import StorageError

VIEWED = "viewed"


@dataclass(frozen=True)
class Signature:
    """What the signer posts: the digest of the PDF shown, the typed name, the consent ticked, a drawing as a data URL or "".

    `language` is that of the consent's words on the page; empty means the signer's own.
    """

    pdf_sha256: str
    name: str
    consent: bool
    drawing: str = ""
    language: Literal["zh", "en", ""] = ""


def view(deps: Deps, agreement_id: str, pages: tuple[int, ...], *, actor: Actor, now: datetime) -> None:
    """Notes once that a contact opened the agreement, and each page once; opened by its signer it goes from SENT to VIEWED.

    Pages that the document does not have are left out. After signing nothing is noted any more.
    """
    count = page_count(pdf_bytes(deps, agreement_id, actor=actor, now=now)) if pages else 0
    with deps.job(actor, "agreement.view", ("agreement", agreement_id), now) as session:
        row = _theirs(session, agreement_id, actor)
        if row.state not in OPEN:
            return
        known = _pages_seen(session, row, actor)
        new = tuple(sorted({p for p in pages if 1 <= p <= count} - (known or set())))
        if row.state == "SENT" and row.signer_id == actor.id:
            _open(deps, session, row, new, actor, now)
        elif new or known is None:
            record(
                session, "agreement.read", actor=actor, obj=("agreement", row.id), now=now, pages=list(new)
            )
            happened(session, row, VIEWED, actor=actor, now=now, pages=list(new))


def _open(
    deps: Deps, session: Session, row: Agreement, pages: tuple[int, ...], actor: Actor, now: datetime
) -> None:
    move(deps, session, AGREEMENT, row, "view", actor=actor, now=now)
    happened(session, row, VIEWED, actor=actor, now=now, pages=list(pages))


def _pages_seen(session: Session, row: Agreement, actor: Actor) -> set[int] | None:
    """The pages that this contact has fetched; None when the agreement was never opened by them."""
    events = _views(session, row, actor)
    return {page for e in events for page in e.detail.get("pages", ())} if events else None


def _views(session: Session, row: Agreement, actor: Actor) -> list[AgreementEvent]:
    query = select(AgreementEvent).where(
        AgreementEvent.agreement_id == row.id,
        AgreementEvent.event == VIEWED,
        AgreementEvent.by == actor.label,
    )
    return list(session.scalars(query.order_by(AgreementEvent.at, AgreementEvent.id)))


def sign(deps: Deps, agreement_id: str, given: Signature, *, actor: Actor, now: datetime) -> None:
    """Signs: the posted digest must be that of the stored PDF; evidence is canonical bytes under the gateway's key.

    An agreement that nobody noted as opened is noted so first, in the same transaction. Raises DigestConflict, StaleFactor,
    Overdue, Invalid or NotTheSigner; then nothing is changed. In force only after countersigning.
    """
    pdf_sha256 = hashlib.sha256(pdf_bytes(deps, agreement_id, actor=actor, now=now)).hexdigest()
    with deps.job(actor, "agreement.sign", ("agreement", agreement_id), now) as session:
        _check(deps, session, _theirs(session, agreement_id, actor), given, pdf_sha256, actor, now)
    evidence_id, drawing = new_id(), _drawing(given.drawing)
    if drawing is not None:
        _store_drawing(deps, evidence_id, drawing)
    with deps.job(actor, "agreement.sign", ("agreement", agreement_id), now) as session:
        row = _theirs(session, agreement_id, actor)
        _check(deps, session, row, given, pdf_sha256, actor, now)
        if row.state == "SENT":
            _open(deps, session, row, (), actor, now)
        body = _body(session, row, given, drawing, actor, now)
        evidence_sha256 = hashlib.sha256(body).hexdigest()
        row.signed_sha256, row.signed_at = row.pdf_sha256, now
        leaf = move(
            deps,
            session,
            AGREEMENT,
            row,
            "sign",
            actor=actor,
            now=now,
            pdf_sha256=row.pdf_sha256,
            evidence_sha256=evidence_sha256,
        )
        _keep(deps, session, row, evidence_id, body, drawing, leaf, now)
        happened(session, row, "signed", actor=actor, now=now, evidence_sha256=evidence_sha256)


def decline(deps: Deps, agreement_id: str, reason: str, *, actor: Actor, now: datetime) -> None:
    """The signer refuses, with a reason."""
    with deps.job(actor, "agreement.decline", ("agreement", agreement_id), now) as session:
        row = _theirs(session, agreement_id, actor)
        move(deps, session, AGREEMENT, row, "decline", actor=actor, now=now, reason=reason)
        happened(session, row, "declined", actor=actor, now=now)


def _theirs(session: Session, agreement_id: str, actor: Actor) -> Agreement:
    row = locked(session, Agreement, agreement_id)
    if row is None or not of_theirs(session, row, actor):
        raise NotFound
    return row


def _check(
    deps: Deps, session: Session, row: Agreement, given: Signature, stored: str, actor: Actor, now: datetime
) -> None:
    if row.signer_id != actor.id or not session.get_one(Contact, actor.id).signer:
        raise NotTheSigner
    if row.state not in OPEN:
        raise WrongState
    require_fresh(deps, session, actor, now)
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
        raise Invalid(
            "name",
            Text(
                "请填写签署人姓名，60 字以内，不含特殊符号。",
                "Type the signer's name, up to 60 ordinary characters.",
            ),
        ) from error
    if not clean:
        raise Invalid("name", Text("请填写签署人姓名。", "Type the signer's name."))
    return clean


def _drawing(data_url: str) -> Drawing | None:
    if not data_url:
        return None
    try:
        return from_data_url(data_url)
    except BadDrawing as error:
        raise Invalid(
            "drawing",
            Text(
                "手写签名无法读取，请清除后重写，或只填姓名。",
                "The drawing cannot be read. Clear it or type the name only.",
            ),
        ) from error


def _store_drawing(deps: Deps, evidence_id: str, drawing: Drawing) -> None:
    try:
        deps.evidence.put(f"drawing-{evidence_id}", 1, iter([drawing.png]))
    except StorageError as error:
        raise Unavailable from error


def _body(
    session: Session, row: Agreement, given: Signature, drawing: Drawing | None, actor: Actor, now: datetime
) -> bytes:
    try:
        return ev.canonical(_evidence(session, row, given, drawing, actor, now))
    except EvidenceError as error:
        # Evidence that cannot be told exactly is not made: an address or a time that is none.
        raise Unavailable from error


def _evidence(
    session: Session, row: Agreement, given: Signature, drawing: Drawing | None, actor: Actor, now: datetime
) -> ev.Evidence:
    contact = session.get_one(Contact, actor.id)
    organisation = session.get_one(Organisation, row.organisation_id)
    template = session.get_one(Template, row.template_id)
    assert actor.mfa_at is not None
    assert row.pdf_sha256 is not None
    return ev.Evidence(
        agreement_no=row.number,
        template_version=template.version,
        pdf_sha256=row.pdf_sha256,
        text_sha256=fill(text_of(template), row.values).text_sha256,
        signer=ev.Signer(
            contact.id,
            typed_name(given.name),
            contact.title or UNTITLED,
            organisation.name,
            organisation.uscc,
        ),
        consent=_consent(given.language or ("en" if actor.language.lower().startswith("en") else "zh")),
        signed_at=now,
        access=ev.Access.of(ip=actor.ip, user_agent=actor.agent, session_id=actor.session or ""),
        authentication=ev.Authentication(METHOD, actor.mfa_at),
        drawing_sha256=drawing.sha256 if drawing is not None else None,
        events=tuple(
            ev.Event(e.event, e.at, tuple(e.detail.get("pages", ()))) for e in _views(session, row, actor)
        ),
    )


def _consent(language: Literal["zh", "en"]) -> ev.Consent:
    return ev.Consent(ev.CONSENT_VERSION, language, ev.CONSENT_EN if language == "en" else ev.CONSENT_ZH)


def _keep(
    deps: Deps,
    session: Session,
    row: Agreement,
    evidence_id: str,
    body: bytes,
    drawing: Drawing | None,
    leaf: str,
    now: datetime,
) -> None:
    signature = ev.sign(body, deps.evidence_key).hex()
    kept = SignedEvidence(
        id=evidence_id, agreement_id=row.id, body=body.decode(), signature=signature, at=now, leaf=leaf
    )
    kept.key_id = ev.key_id(deps.evidence_key.public_key()).hex()
    kept.drawing_sha256 = drawing.sha256 if drawing is not None else None
    session.add(kept)
    session.flush()
