"""The agreement's text: versioned, drafted by 行政部, approved by the general manager, then immutable (policy.md §3.7)."""

import hashlib
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from agreements.text import DEFAULT, AgreementText, placeholders
from gateway.db import locked, new_id
from gateway.deps import Deps
from gateway.errors import NotFound, WrongState
from gateway.principal import SYSTEM, Actor, Text
from gateway.signing.errors import BadAgreement
from gateway.signing.models import Template
from gateway.signing.rules import TEMPLATE
from gateway.workflow import move


def text_of(template: Template) -> AgreementText:
    """A template row as the cellar's value."""
    return AgreementText(template.version, template.zh, template.en)


def digest(version: str, zh: str, en: str) -> str:
    """SHA-256 over version and both texts, hex."""
    return hashlib.sha256("\0".join((version, zh, en)).encode()).hexdigest()


def draft_template(deps: Deps, version: str, zh: str, en: str, *, actor: Actor, now: datetime) -> str:
    """Makes a draft. Both languages must ask for placeholders the gateway knows; raises BadAgreement otherwise."""
    with deps.job(actor, "template.draft", ("template", "new"), now) as session:
        _check(session, version, zh, en)
        row = Template(id=new_id(), state="", version=version, zh=zh, en=en, text_sha256=digest(version, zh, en), created_at=now)
        row.drafted_by = actor.id
        move(deps, session, TEMPLATE, row, "draft", actor=actor, now=now, version=version, text_sha256=row.text_sha256)
        return row.id


def _check(session: Session, version: str, zh: str, en: str) -> None:
    if not 1 <= len(version.strip()) <= 20:
        raise BadAgreement("version", Text("版本号 1 到 20 字。", "A version has 1 to 20 characters."))
    if session.scalars(select(Template).where(Template.version == version)).first() is not None:
        raise BadAgreement("version", Text("该版本号已存在。", "This version exists already."))
    if not zh.strip() or not en.strip():
        raise BadAgreement("zh", Text("中英文文本都要填写。", "Both texts are needed."))
    unknown = placeholders(AgreementText(version, zh, en)) - placeholders(DEFAULT)
    if unknown:
        names = "、".join(sorted(unknown))
        raise BadAgreement("zh", Text(f"没有这些占位符：{names}", f"Unknown placeholders: {names}"))


def _event(deps: Deps, template_id: str, event: str, actor: Actor, now: datetime, reason: str | None = None) -> None:
    with deps.job(actor, f"template.{event}", ("template", template_id), now) as session:
        row = locked(session, Template, template_id)
        if row is None:
            raise NotFound
        if digest(row.version, row.zh, row.en) != row.text_sha256:
            raise WrongState
        if event == "approve":
            row.approved_by = actor.id
        move(deps, session, TEMPLATE, row, event, actor=actor, now=now, reason=reason, text_sha256=row.text_sha256)
        if event == "approve":
            _retire_others(deps, session, row, now)


def _retire_others(deps: Deps, session: Session, row: Template, now: datetime) -> None:
    for other in session.scalars(select(Template).where(Template.state == "ACTIVE", Template.kind == row.kind, Template.id != row.id)):
        move(deps, session, TEMPLATE, other, "retire", actor=SYSTEM, now=now, successor=row.version)


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
        active = session.scalars(select(Template).where(Template.state == "ACTIVE")).first()
    if active is not None:
        return active.id
    template_id = draft_template(deps, DEFAULT.version, DEFAULT.zh, DEFAULT.en, actor=adm, now=now)
    submit_template(deps, template_id, actor=adm, now=now)
    approve_template(deps, template_id, actor=gm, now=now)
    return template_id


def active(session: Session) -> Template:
    """The template that new agreements are made from; BadAgreement when none is active yet."""
    row = session.scalars(select(Template).where(Template.state == "ACTIVE", Template.kind == "NDA")).first()
    if row is None:
        raise BadAgreement("template", Text("还没有生效的协议模板。", "No agreement template is active yet."))
    return row
