"""Drafting an agreement and sending it: scope, the filled text, the PDF whose digest everything later refers to."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy.orm import Session

from agreements.errors import AgreementError
from agreements.render import digest, render
from agreements.text import FilledText, fill
from gateway.archive.models import Client, NumberSequence
from gateway.db import locked, new_id
from gateway.deps import Deps
from gateway.errors import NotFound
from gateway.identity.models import Contact, Organisation
from gateway.policy.parameters import Parameters
from gateway.principal import Actor, Text
from gateway.signing.errors import BadAgreement
from gateway.signing.models import Agreement, Template
from gateway.signing.rules import AGREEMENT, CLASS_TEXT, COMPANY_ZONE, RELATION_TEXT, day_end, day_start
from gateway.signing.service.templating import active, text_of
from gateway.workflow import move

PURPOSES = {"P01": "量房设计", "P02": "报价签约", "P03": "采购下单", "P04": "施工安装", "P05": "售后保修", "P06": "财务结算", "P07": "投诉纠纷"}


@dataclass(frozen=True)
class Scope:
    """What an agreement is to cover. `clients` None means all; dates are calendar days of the company, both included."""

    organisation: str
    signer: str
    clients: tuple[str, ...] | None
    classes: tuple[str, ...]
    purposes: tuple[str, ...]
    relation: str
    valid_from: date
    valid_to: date
    contact_list: str
    incident_contact: str
    liability: str
    forum: str


def object_id(agreement_id: str) -> str:
    """The agreement's object in the evidence store; version 1 is revision 0 of its PDF."""
    return f"agreement-{agreement_id}"


def draft(deps: Deps, scope: Scope, *, actor: Actor, now: datetime) -> str:
    """Makes a draft whose text is wholly filled; returns its id. Raises BadAgreement naming what is missing or cannot be."""
    with deps.job(actor, "agreement.draft", ("agreement", "new"), now) as session:
        parameters = deps.parameters(session, now)
        organisation, signer = _parties(session, scope)
        _check_scope(scope, parameters)
        template = active(session)
        row = Agreement(id=new_id(), state="", number=_number(session, now), organisation_id=organisation.id, created_at=now)
        row.template_id, row.relation, row.signer_id, row.drafted_by = template.id, scope.relation, signer.id, actor.id
        row.clients = sorted(scope.clients) if scope.clients is not None else None
        row.classes, row.purposes = sorted(scope.classes), sorted(scope.purposes)
        row.valid_from, row.valid_to = day_start(scope.valid_from), day_end(scope.valid_to)
        row.survival_years, row.parameters = parameters["nda.survival_years"], parameters.version
        row.values = _values(deps, session, scope, row, (organisation, signer), parameters)
        _filled(row, template)
        move(
            deps, session, AGREEMENT, row, "draft", actor=actor, now=now, number=row.number, template=template.version,
            classes=row.classes, purposes=row.purposes, clients=row.clients,
        )  # fmt: skip
        return row.id


def send(deps: Deps, agreement_id: str, *, actor: Actor, now: datetime) -> None:
    """Sets the PDF for good, stores it, and tells the signer."""
    with deps.database.read() as session:
        row = session.get(Agreement, agreement_id)
        if row is None:
            raise NotFound
        pdf = _rendered(row, session.get_one(Template, row.template_id), now)
    if row.state == "DRAFT":
        deps.evidence.delete(object_id(agreement_id), 1)
        deps.evidence.put(object_id(agreement_id), 1, iter([pdf]))
    with deps.job(actor, "agreement.send", ("agreement", agreement_id), now) as session:
        row = _locked(session, agreement_id)
        days = deps.parameters(session, now)["nda.sign_days"]
        row.pdf_sha256, row.sent_at, row.sign_by = digest(pdf), now, now + timedelta(days=days)
        move(deps, session, AGREEMENT, row, "send", actor=actor, now=now, pdf_sha256=row.pdf_sha256)


def void(deps: Deps, agreement_id: str, reason: str, *, actor: Actor, now: datetime) -> None:
    """Ends an agreement that nobody has signed."""
    with deps.job(actor, "agreement.void", ("agreement", agreement_id), now) as session:
        move(deps, session, AGREEMENT, _locked(session, agreement_id), "void", actor=actor, now=now, reason=reason)


def _locked(session: Session, agreement_id: str) -> Agreement:
    row = locked(session, Agreement, agreement_id)
    if row is None:
        raise NotFound
    return row


def _parties(session: Session, scope: Scope) -> tuple[Organisation, Contact]:
    organisation = session.get(Organisation, scope.organisation)
    signer = session.get(Contact, scope.signer)
    if organisation is None or organisation.state in ("SUSPENDED", "DISABLED"):
        raise BadAgreement("organisation", Text("请选择合作单位。", "Choose an organisation."))
    if signer is None or signer.organisation_id != organisation.id or not signer.signer:
        raise BadAgreement("signer", Text("请选择该单位的授权签署人。", "Choose an authorised signer of this organisation."))
    return organisation, signer


def _check_scope(scope: Scope, parameters: Parameters) -> None:
    if not scope.classes or not set(scope.classes) <= set(CLASS_TEXT):
        raise BadAgreement("classes", Text("请选择信息类别。", "Choose field classes."))
    if not scope.purposes or not set(scope.purposes) <= {*PURPOSES, "P08", "P09", "P99"}:
        raise BadAgreement("purposes", Text("请选择用途。", "Choose purposes."))
    if scope.relation not in RELATION_TEXT:
        raise BadAgreement("relation", Text("请选择合作关系。", "Choose a relation."))
    if scope.clients is not None and not scope.clients:
        raise BadAgreement("clients", Text("请选择客户，或选全部客户。", "Choose clients, or all of them."))
    days = (scope.valid_to - scope.valid_from).days + 1
    if not 1 <= days <= 1095:
        raise BadAgreement("valid_to", Text("期限须为 1 到 1095 天。", "The term is 1 to 1095 days."))


def _number(session: Session, now: datetime) -> str:
    series = f"BM-{now.astimezone(COMPANY_ZONE):%Y}"
    row = locked(session, NumberSequence, series)
    if row is None:
        row = NumberSequence(series=series, last=0)
        session.add(row)
    row.last += 1
    session.flush()
    return f"{series}-{row.last:04d}"


def _values(
    deps: Deps, session: Session, scope: Scope, row: Agreement, parties: tuple[Organisation, Contact], parameters: Parameters
) -> dict[str, str]:
    organisation, signer = parties
    classes = "、".join(f"{c} {CLASS_TEXT[c].zh}" for c in row.classes)
    purpose = "、".join(PURPOSES.get(p, p) for p in row.purposes)
    return {
        "nda_no": row.number,
        "template_version": active(session).version,
        "company_name": deps.settings.company_name,
        "company_uscc": deps.settings.company_uscc,
        "partner_name": organisation.name,
        "partner_uscc": organisation.uscc,
        "signer_name": signer.name,
        "signer_title": signer.title or "授权签署人",
        "purpose": purpose,
        "client_scope": _client_scope(session, row),
        "category_scope": classes,
        "contact_list": scope.contact_list,
        "pi_relation": RELATION_TEXT[scope.relation].zh,
        "pi_purpose": purpose,
        "pi_period": f"{scope.valid_from:%Y-%m-%d} 至 {scope.valid_to:%Y-%m-%d}",
        "pi_method": "在线领取加密副本，仅限查阅与约定用途使用",
        "pi_categories": classes,
        "incident_hours": str(parameters["nda.incident_hours"]),
        "incident_contact": scope.incident_contact,
        "return_days": str(parameters["nda.return_days"]),
        "effective_from": f"{scope.valid_from:%Y-%m-%d}",
        "effective_to": f"{scope.valid_to:%Y-%m-%d}",
        "survival_years": str(row.survival_years),
        "liability_clause": scope.liability,
        "dispute_forum": scope.forum,
    }


def _client_scope(session: Session, row: Agreement) -> str:
    # Numbers, never names: the agreement leaves the company.
    if row.clients is None:
        return "甲方经本系统共享的全部客户"
    numbers = []
    for client_id in row.clients:
        client = session.get(Client, client_id)
        if client is None:
            raise BadAgreement("clients", Text("没有这位客户。", "No such client."))
        numbers.append(client.client_no)
    return "客户编号 " + "、".join(sorted(numbers))


def _filled(row: Agreement, template: Template) -> FilledText:
    try:
        return fill(text_of(template), row.values)
    except AgreementError as error:
        raise BadAgreement("values", Text(f"协议文本无法生成：{error}", f"The text cannot be made: {error}")) from error


def _rendered(row: Agreement, template: Template, now: datetime) -> bytes:
    filled = _filled(row, template)
    try:
        return render(filled, number=row.number, date=now.astimezone(COMPANY_ZONE).date())
    except AgreementError as error:
        raise BadAgreement("values", Text(f"协议文本无法排版：{error}", f"The text cannot be set: {error}")) from error
