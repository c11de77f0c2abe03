"""Drafting an agreement and sending it: scope, the filled text, the PDF whose digest everything later refers to."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from agreements.credentials import DEVELOPMENT_NOTICE
from agreements.errors import AgreementError, BadValue, MissingGlyph, UnfilledPlaceholder
from agreements.render import digest, places, render
from agreements.text import FilledText, fill
from agreements.typesetting import require_glyphs
from gateway.archive.numbering import next_in
from gateway.archive.vocabulary import PURPOSES
from gateway.db import locked, new_id
from gateway.deps import Deps
from gateway.errors import NotFound, Unavailable
from gateway.identity.models import Contact, Organisation
from gateway.policy.parameters import DEFINITIONS
from gateway.principal import Actor, Text
from gateway.signing.errors import BadAgreement, Overdue
from gateway.signing.models import Agreement, Template
from gateway.signing.rules import (
    AGREEMENT,
    CLASS_TEXT,
    COMPANY_ZONE,
    RELATION_TEXT,
    SIGNED_KINDS,
    day_end,
    day_start,
    in_force,
    unable,
)
from gateway.signing.service.templating import active
from gateway.signing.service.wording import OTHER_PURPOSE, Scope, values_of
from gateway.signing.visibility import text_of
from gateway.workflow import move
from storage.errors import Conflict, StorageError

# The form's field in which each typed placeholder is asked for.
_FIELDS = {
    "contact_list": "contact_list",
    "incident_contact": "incident_contact",
    "liability_clause": "liability",
    "dispute_forum": "forum",
    "purpose": "purpose_note",
    "pi_purpose": "purpose_note",
    "pi_method": "method",
    "pi_safeguards": "safeguards",
    "pi_return": "disposal",
}


def object_id(agreement_id: str) -> str:
    """The agreement's object in the evidence store; version 1 is revision 0 of its PDF."""
    return f"agreement-{agreement_id}"


def draft(deps: Deps, scope: Scope, *, actor: Actor, now: datetime) -> str:
    """Makes a draft whose text is wholly filled; returns its id. Raises BadAgreement naming what is missing or cannot be."""
    with deps.job(actor, "agreement.draft", ("agreement", "new"), now) as session:
        refusal = unable(AGREEMENT, "", "draft", actor)
        if refusal is not None:
            raise refusal
        if scope.kind not in SIGNED_KINDS:
            raise BadAgreement("kind", Text("请选择种类。", "Choose a kind."))
        template = active(session, scope.kind)
        row = started(deps, session, scope, template.version, new_id(), actor=actor, now=now)
        row.template_id = template.id
        _filled(row, template)
        move(
            deps, session, AGREEMENT, row, "draft", actor=actor, now=now, number=row.number, template=template.version,
            classes=row.classes, purposes=row.purposes, clients=row.clients,
        )  # fmt: skip
        return row.id


def started(
    deps: Deps,
    session: Session,
    scope: Scope,
    version: str,
    agreement_id: str,
    *,
    actor: Actor,
    now: datetime,
) -> Agreement:
    """A new row with number, parties, scope and values, in no state yet; raises BadAgreement for what cannot be covered."""
    parties = _parties(session, scope)
    _check_scope(scope, now)
    parameters = deps.parameters(session, now)
    row = Agreement(
        id=agreement_id, state="", form="ELECTRONIC", number=_number(session, now), created_at=now
    )
    row.organisation_id, row.signer_id = (party.id for party in parties)
    row.relation, row.drafted_by = scope.relation, actor.id
    row.clients = sorted(set(scope.clients)) if scope.clients is not None else None
    row.classes, row.purposes = sorted(set(scope.classes)), sorted(set(scope.purposes))
    row.valid_from, row.valid_to = day_start(scope.valid_from), day_end(scope.valid_to)
    row.survival_years, row.parameters = parameters["nda.survival_years"], parameters.version
    row.kind = scope.kind
    parent = _parent(session, scope, now)
    row.parent_id = parent.id if parent is not None else None
    row.values = values_of(deps, session, scope, row, parties, parameters, version)
    row.values["parent_no"] = parent.number if parent is not None else "–"
    return row


def _parent(session: Session, scope: Scope, now: datetime) -> Agreement | None:
    if scope.kind != "SUPPLEMENT":
        return None
    row = session.get(Agreement, scope.parent) if scope.parent else None
    if (
        row is None
        or row.organisation_id != scope.organisation
        or row.kind != "NDA"
        or not in_force(row, now)
    ):
        raise BadAgreement(
            "parent",
            Text("请选择该单位生效中的保密协议。", "Choose an agreement in force of this organisation."),
        )
    if day_end(scope.valid_to) > row.valid_to:
        raise BadAgreement(
            "valid_to",
            Text("补充协议不能晚于所补充的协议到期。", "A supplement does not outlast its agreement."),
        )
    return row


def send(deps: Deps, agreement_id: str, *, actor: Actor, now: datetime) -> None:
    """Sets the PDF for good, stores it, and tells the signer. Raises Overdue when its last day has passed already."""
    with deps.job(actor, "agreement.send", ("agreement", agreement_id), now) as session:
        row = found(session, agreement_id)
        refusal = unable(AGREEMENT, row.state, "send", actor)
        if refusal is not None:
            raise refusal
        if now >= row.valid_to:
            raise Overdue
        template = session.get_one(Template, row.template_id)
        filled, number = _filled(row, template), row.number
    notice = _notice(deps)
    pdf_sha256 = digest(_stored_once(deps, agreement_id, _set(filled, number, now, notice=notice)))
    where = _places(filled, number, now, notice)
    with deps.job(actor, "agreement.send", ("agreement", agreement_id), now) as session:
        row = found(session, agreement_id)
        days = deps.parameters(session, now)["nda.sign_days"]
        row.pdf_sha256, row.sent_at, row.sign_by = pdf_sha256, now, now + timedelta(days=days)
        row.places = where
        move(deps, session, AGREEMENT, row, "send", actor=actor, now=now, pdf_sha256=pdf_sha256)


def _stored_once(deps: Deps, agreement_id: str, pdf: bytes) -> bytes:
    # A draft does not change, so what an earlier try has stored is this agreement too, and nothing stored is ever replaced.
    try:
        deps.evidence.put(object_id(agreement_id), 1, iter([pdf]))
    except Conflict:
        return b"".join(deps.evidence.open(object_id(agreement_id), 1))
    except StorageError as error:
        raise Unavailable from error
    return pdf


def void(deps: Deps, agreement_id: str, reason: str, *, actor: Actor, now: datetime) -> None:
    """Ends an agreement that the company has not countersigned."""
    with deps.job(actor, "agreement.void", ("agreement", agreement_id), now) as session:
        move(
            deps,
            session,
            AGREEMENT,
            found(session, agreement_id),
            "void",
            actor=actor,
            now=now,
            reason=reason,
        )


def found(session: Session, agreement_id: str) -> Agreement:
    """The agreement, locked; NotFound."""
    row = locked(session, Agreement, agreement_id)
    if row is None:
        raise NotFound
    return row


def _parties(session: Session, scope: Scope) -> tuple[Organisation, Contact]:
    organisation = session.get(Organisation, scope.organisation)
    signer = session.get(Contact, scope.signer)
    if organisation is None or organisation.state in ("SUSPENDED", "DISABLED"):
        raise BadAgreement("organisation", Text("请选择合作单位。", "Choose an organisation."))
    authorised = signer is not None and signer.organisation_id == organisation.id and signer.signer
    if signer is None or not authorised or signer.state in ("SUSPENDED", "DISABLED"):
        raise BadAgreement(
            "signer", Text("请选择该单位的授权签署人。", "Choose an authorised signer of this organisation.")
        )
    return organisation, signer


def _check_scope(scope: Scope, now: datetime) -> None:
    if not scope.classes or not set(scope.classes) <= set(CLASS_TEXT):
        raise BadAgreement("classes", Text("请选择信息类别。", "Choose field classes."))
    if not scope.purposes or not set(scope.purposes) <= set(PURPOSES):
        raise BadAgreement("purposes", Text("请选择用途。", "Choose purposes."))
    if OTHER_PURPOSE in scope.purposes and not scope.purpose_note.strip():
        raise BadAgreement("purpose_note", Text("请说明其他用途。", "Say what the other purpose is."))
    if scope.relation not in RELATION_TEXT:
        raise BadAgreement("relation", Text("请选择合作关系。", "Choose a relation."))
    if scope.clients is not None and not scope.clients:
        raise BadAgreement("clients", Text("请选择客户，或选全部客户。", "Choose clients, or all of them."))
    longest = DEFINITIONS["nda.term_days"].maximum
    days = (scope.valid_to - scope.valid_from).days + 1
    if not 1 <= days <= longest:
        raise BadAgreement(
            "valid_to", Text(f"期限须为 1 到 {longest} 天。", f"The term is 1 to {longest} days.")
        )
    if day_end(scope.valid_to) <= now:
        raise BadAgreement("valid_to", Text("到期日已过。", "The last day has passed."))


def _number(session: Session, now: datetime) -> str:
    series = f"BM-{now.astimezone(COMPANY_ZONE):%Y}"
    return f"{series}-{next_in(session, series):04d}"


def _filled(row: Agreement, template: Template) -> FilledText:
    try:
        filled = fill(text_of(template), row.values)
        require_glyphs(p.text for p in (*filled.zh_paragraphs, *filled.en_paragraphs))
    except UnfilledPlaceholder as error:
        missing = next((_FIELDS[name] for name in error.names if name in _FIELDS), "organisation")
        raise BadAgreement(missing, Text("请填写。", "Fill this in.")) from error
    except BadValue as error:
        text = Text(
            "文字过长，或含有不能写入协议的字符。",
            "Too long, or it holds characters that may not stand in an agreement.",
        )
        raise BadAgreement(_FIELDS.get(error.field, "organisation"), text) from error
    except MissingGlyph as error:
        shown = "".join(error.characters)[:20]
        raise BadAgreement(
            "organisation", Text(f"字体无法印出：{shown}", f"The font cannot print: {shown}")
        ) from error
    except AgreementError as error:
        raise BadAgreement("organisation", Text("协议文本无法生成。", "The text cannot be made.")) from error
    return filled


def _notice(deps: Deps) -> str:
    """What a development certificate must say on every page that it is going to sign."""
    return DEVELOPMENT_NOTICE if deps.sealer is not None and deps.sealer.credentials.development else ""


def _places(filled: FilledText, number: str, now: datetime, notice: str) -> dict[str, list[float]]:
    """Where each signature goes, as a row keeps it: page, left, bottom, width, height."""
    found = places(filled, number=number, date=now.astimezone(COMPANY_ZONE).date(), notice=notice)
    return {
        name: [at.page, *(round(v, 2) for v in (at.left, at.bottom, at.width, at.height))]
        for name, at in found.items()
    }


def _set(filled: FilledText, number: str, now: datetime, *, draft: bool = False, notice: str = "") -> bytes:
    day = now.astimezone(COMPANY_ZONE).date()
    try:
        return render(filled, number=number, date=day, draft=draft, notice=notice)
    except AgreementError as error:
        raise BadAgreement("organisation", Text("协议文本无法排版。", "The text cannot be set.")) from error


def rendered(row: Agreement, template: Template, now: datetime, *, draft: bool) -> bytes:
    """The PDF of an agreement as it would be set today; `draft` prints 草稿 on every page."""
    return _set(_filled(row, template), row.number, now, draft=draft)
