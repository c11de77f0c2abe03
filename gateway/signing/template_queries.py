"""What the pages of templates read: every version, one version with its texts, the first text of a kind."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agreements.defaults import DEFAULTS
from gateway.deps import Deps
from gateway.errors import NotAllowed, NotFound
from gateway.principal import Actor, Role
from gateway.signing.models import Agreement, Template
from gateway.signing.results import TemplatePage, TemplateRow
from gateway.signing.rows import account_name, history
from gateway.signing.rules import KINDS, TEMPLATE

DRAFTERS = (Role.ADM, Role.GM, Role.AUD)


def template_list(deps: Deps, *, actor: Actor) -> tuple[TemplateRow, ...]:
    """Every version of the text, newest first."""
    _drafters(actor)
    with deps.database.read() as session:
        query = select(Template).order_by(Template.created_at.desc(), Template.version)
        return tuple(_template(session, row) for row in session.scalars(query))


def _drafters(actor: Actor) -> None:
    if not actor.has(*DRAFTERS):
        raise NotAllowed


def _template(session: Session, row: Template) -> TemplateRow:
    used = (
        session.scalar(select(func.count()).select_from(Agreement).where(Agreement.template_id == row.id))
        or 0
    )
    return TemplateRow(
        id=row.id,
        version=row.version,
        state_name=row.state,
        state=TEMPLATE.states[row.state],
        drafted_by=account_name(session, row.drafted_by),
        approved_by=account_name(session, row.approved_by),
        created_at=row.created_at,
        sha256=row.text_sha256,
        agreements=used,
        kind=KINDS[row.kind],
        kind_name=row.kind,
        resign=row.resign,
    )


def first_text(kind: str) -> dict[str, str]:
    """The text that a new version of this kind begins from; nothing for an unknown kind."""
    known = DEFAULTS.get(kind)
    return (
        {"kind": kind, "version": known.version, "zh": known.zh, "en": known.en} if known is not None else {}
    )


def template_page(deps: Deps, template_id: str, *, actor: Actor) -> TemplatePage:
    """One version; raises NotFound."""
    _drafters(actor)
    with deps.database.read() as session:
        row = session.get(Template, template_id)
        if row is None:
            raise NotFound
        events = {m.event for m in TEMPLATE.offered(row.state, actor)}
        own = {"approve"} if row.drafted_by == actor.id else set()
        found = history(session, TEMPLATE, row.id)
        return TemplatePage(_template(session, row), row.zh, row.en, found, frozenset(events - own))
