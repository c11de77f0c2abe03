"""The agreement's text: versioned, drafted by 行政部, approved by the general manager, then immutable (policy.md §3.7)."""

import hashlib
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from agreements.errors import AgreementError, MissingGlyph
from agreements.render import render
from agreements.text import DEFAULT, AgreementText, fill, placeholders
from agreements.typesetting import require_glyphs
from gateway.db import locked, new_id
from gateway.deps import Deps
from gateway.errors import NotAllowed, NotFound, Unavailable, WrongState
from gateway.principal import SYSTEM, Actor, Role, Text
from gateway.signing.errors import BadAgreement
from gateway.signing.models import Agreement, Template
from gateway.signing.rules import AGREEMENT, COMPANY_ZONE, GOVERNING, KINDS, TEMPLATE, unable
from gateway.signing.visibility import text_of
from gateway.workflow import move

MOST = 30_000
# Without these the signed words would not say what the gateway enforces.
_PARTIES = frozenset(
    "nda_no company_name partner_name signer_name purpose client_scope category_scope effective_from effective_to".split()
)
# PIPL art. 21: purpose, period, manner, kinds, safeguards, and what becomes of the information at the end.
_ENTRUSTED = frozenset("pi_purpose pi_period pi_method pi_categories pi_safeguards pi_return".split())
NEEDED: Mapping[str, frozenset[str]] = {
    "NDA": _PARTIES,
    "ENTRUST": _PARTIES | _ENTRUSTED,
    "SUPPLEMENT": _PARTIES | {"parent_no"},
    "TERMS": frozenset({"company_name"}),
}
SAMPLE: Mapping[str, str] = {
    "nda_no": "BM-0000-0000",
    "template_version": "样例",
    "company_name": "示例公司",
    "company_uscc": "0" * 18,
    "partner_name": "示例合作单位",
    "partner_uscc": "0" * 18,
    "signer_name": "示例签署人",
    "signer_title": "授权签署人",
    "purpose": "量房设计、施工安装",
    "client_scope": "客户编号 KH0000-0001",
    "category_scope": "F07 设计方案、图纸",
    "contact_list": "示例联系人一、示例联系人二",
    "pi_relation": "委托处理",
    "pi_purpose": "量房设计、施工安装",
    "pi_period": "0001-01-01 至 0001-12-31",
    "pi_method": "在线领取加密副本",
    "pi_categories": "F07 设计方案、图纸",
    "pi_safeguards": "访问控制、加密存储、留痕",
    "pi_return": "逐份返还或彻底删除，出具证明",
    "parent_no": "BM-0000-0000",
    "incident_hours": "24",
    "incident_contact": "行政部",
    "return_days": "10",
    "effective_from": "0001-01-01",
    "effective_to": "0001-12-31",
    "survival_years": "5",
    "liability_clause": "违约金由双方约定",
    "dispute_forum": "甲方所在地人民法院",
}


def digest(version: str, zh: str, en: str) -> str:
    """SHA-256 over version and both texts, hex."""
    return hashlib.sha256("\0".join((version, zh, en)).encode()).hexdigest()


def draft_template(
    deps: Deps,
    version: str,
    zh: str,
    en: str,
    *,
    kind: str = "NDA",
    resign: bool = False,
    actor: Actor,
    now: datetime,
) -> str:
    """Makes a draft. Both texts must hold together with sample values; raises BadAgreement naming the field otherwise.

    `resign`: once it is active, whatever rests on earlier versions of this kind waits until it is signed again.
    """
    version = version.strip()
    zh, en = ("\n".join(text.splitlines()) for text in (zh, en))
    with deps.job(actor, "template.draft", ("template", "new"), now) as session:
        refusal = unable(TEMPLATE, "", "draft", actor)
        if refusal is not None:
            raise refusal
        _check(session, kind, version, zh, en)
        row = Template(
            id=new_id(),
            state="",
            version=version,
            zh=zh,
            en=en,
            text_sha256=digest(version, zh, en),
            created_at=now,
        )
        row.drafted_by, row.kind, row.resign = actor.id, kind, resign
        move(
            deps,
            session,
            TEMPLATE,
            row,
            "draft",
            actor=actor,
            now=now,
            version=version,
            text_sha256=row.text_sha256,
        )
        return row.id


def _check(session: Session, kind: str, version: str, zh: str, en: str) -> None:
    if not 1 <= len(version) <= 20 or not version.isprintable():
        raise BadAgreement("version", Text("版本号 1 到 20 字。", "A version has 1 to 20 characters."))
    if session.scalars(select(Template.id).where(Template.version == version)).first() is not None:
        raise BadAgreement("version", Text("该版本号已存在。", "This version exists already."))
    for field, text in (("zh", zh), ("en", en)):
        if not text.strip() or len(text) > MOST:
            raise BadAgreement(
                field, Text(f"请填写，{MOST} 字以内。", f"Fill this in, up to {MOST} characters.")
            )
    if kind not in KINDS:
        raise BadAgreement("kind", Text("请选择种类。", "Choose a kind."))
    _check_places(kind, version, zh, en)


def _check_places(kind: str, version: str, zh: str, en: str) -> None:
    try:
        used = placeholders(AgreementText(version, zh, en))
        here = placeholders(AgreementText(version, zh, ""))
    except AgreementError as error:
        text = Text(
            "大括号只能用于占位符，如 {partner_name}。",
            "Braces stand for placeholders only, such as {partner_name}.",
        )
        raise BadAgreement("zh", text) from error
    unknown = "、".join(sorted(used - set(SAMPLE)))
    if unknown:
        raise BadAgreement("zh", Text(f"没有这些占位符：{unknown}", f"Unknown placeholders: {unknown}"))
    lacking = "、".join(sorted(NEEDED[kind] - here))
    if lacking:
        raise BadAgreement(
            "zh", Text(f"中文文本缺少占位符：{lacking}", f"The Chinese text lacks placeholders: {lacking}")
        )
    try:
        filled = fill(AgreementText(version, zh, en), SAMPLE)
        require_glyphs(p.text for p in (*filled.zh_paragraphs, *filled.en_paragraphs))
    except MissingGlyph as error:
        shown = "".join(error.characters)[:20]
        raise BadAgreement("zh", Text(f"字体无法印出：{shown}", f"The font cannot print: {shown}")) from error
    except AgreementError as error:
        raise BadAgreement(
            "zh", Text("文本无法生成协议。", "No agreement can be made of this text.")
        ) from error


def preview_pdf(deps: Deps, template_id: str, *, actor: Actor, now: datetime) -> bytes:
    """The template set with sample values and 草稿 on every page; for who drafts and approves, and for the auditor."""
    if not actor.has(Role.ADM, Role.GM, Role.AUD):
        raise NotAllowed
    with deps.database.read() as session:
        row = session.get(Template, template_id)
        if row is None:
            raise NotFound
        text = text_of(row)
    try:
        filled = fill(text, {**SAMPLE, "template_version": text.version})
        return render(
            filled,
            number=f"{SAMPLE['nda_no']} {text.version}",
            date=now.astimezone(COMPANY_ZONE).date(),
            draft=True,
        )
    except AgreementError as error:
        raise Unavailable from error


def _event(
    deps: Deps, template_id: str, event: str, actor: Actor, now: datetime, reason: str | None = None
) -> None:
    with deps.job(actor, f"template.{event}", ("template", template_id), now) as session:
        row = locked(session, Template, template_id)
        if row is None:
            raise NotFound
        if digest(row.version, row.zh, row.en) != row.text_sha256:
            raise WrongState
        if event == "approve":
            row.approved_by = actor.id
        move(
            deps,
            session,
            TEMPLATE,
            row,
            event,
            actor=actor,
            now=now,
            reason=reason,
            text_sha256=row.text_sha256,
        )
        if event == "approve":
            _retire_others(deps, session, row, now)
            if row.resign:
                _demand(deps, session, row, now)


def _retire_others(deps: Deps, session: Session, row: Template, now: datetime) -> None:
    query = select(Template).where(
        Template.state == "ACTIVE", Template.kind == row.kind, Template.id != row.id
    )
    for other in session.scalars(query.with_for_update()).all():
        move(deps, session, TEMPLATE, other, "retire", actor=SYSTEM, now=now, successor=row.version)


def _demand(deps: Deps, session: Session, row: Template, now: datetime) -> None:
    # What was signed stays as it is, for good; it only governs nothing more until the new text is signed.
    query = select(Agreement).where(Agreement.kind == row.kind, Agreement.state.in_(GOVERNING))
    for agreement in session.scalars(query.with_for_update()).all():
        move(deps, session, AGREEMENT, agreement, "demand", actor=SYSTEM, now=now, template=row.version)


def submit_template(deps: Deps, template_id: str, *, actor: Actor, now: datetime) -> None:
    """Hands a draft to the general manager."""
    _event(deps, template_id, "submit", actor, now)


def approve_template(deps: Deps, template_id: str, *, actor: Actor, now: datetime) -> None:
    """Makes it the active one; the one before is retired, agreements made from it stand."""
    _event(deps, template_id, "approve", actor, now)


def return_template(deps: Deps, template_id: str, reason: str, *, actor: Actor, now: datetime) -> None:
    """Sends it back to its drafter."""
    _event(deps, template_id, "return", actor, now, reason)


def ensure_default(deps: Deps, *, adm: Actor, gm: Actor, now: datetime) -> str:
    """The default text as the first active template, drafted by ADM and approved by GM like any other; returns its id."""
    with deps.database.read() as session:
        found = session.scalars(
            select(Template.id).where(Template.state == "ACTIVE", Template.kind == "NDA")
        ).first()
    if found is not None:
        return found
    template_id = draft_template(deps, DEFAULT.version, DEFAULT.zh, DEFAULT.en, actor=adm, now=now)
    submit_template(deps, template_id, actor=adm, now=now)
    approve_template(deps, template_id, actor=gm, now=now)
    return template_id


def active(session: Session, kind: str = "NDA") -> Template:
    """The template that new agreements of a kind are made from; BadAgreement when none is active yet."""
    row = session.scalars(select(Template).where(Template.state == "ACTIVE", Template.kind == kind)).first()
    if row is None:
        raise BadAgreement(
            "organisation", Text("还没有生效的协议模板。", "No agreement template is active yet.")
        )
    return row
