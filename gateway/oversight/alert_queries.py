"""Reads for the page of alerts and the banner."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gateway.deps import Deps
from gateway.identity.models import Account, Contact
from gateway.oversight.alerts import RULE_TEXT, TECHNICAL
from gateway.oversight.models import Alert
from gateway.oversight.results import AlertLine, AlertPage
from gateway.oversight.rules import may_see
from gateway.principal import Actor, Role, Text

PAGE = 50


def open_count(deps: Deps, *, actor: Actor) -> int:
    """How many alerts wait for somebody's name, of those the actor may see."""
    if not actor.has(Role.AUD, Role.ADM, Role.SYS):
        return 0
    query = select(func.count()).select_from(Alert).where(Alert.state == "OPEN")
    if not actor.has(Role.AUD, Role.ADM):
        query = query.where(Alert.rule.in_(TECHNICAL))
    with deps.database.read() as session:
        return session.scalar(query) or 0


def alert_page(deps: Deps, before: datetime | None = None, *, actor: Actor) -> AlertPage:
    """Those that wait, all of them up to PAGE, and the others newest first; a row that was tampered with raises TamperedRow."""
    with deps.database.read() as session:
        waiting = _some(session, actor, before=None, waiting=True)
        rest = _some(session, actor, before=before, waiting=False)
        names = _names(session, [*waiting, *rest])
    more = rest[PAGE - 1].at if len(rest) > PAGE else None
    return AlertPage(
        tuple(_line(row, names) for row in waiting[:PAGE]),
        tuple(_line(row, names) for row in rest[:PAGE]),
        more,
    )


def _some(session: Session, actor: Actor, *, before: datetime | None, waiting: bool) -> list[Alert]:
    query = select(Alert).where(Alert.state == "OPEN" if waiting else Alert.state != "OPEN")
    if not actor.has(Role.AUD, Role.ADM):
        query = query.where(Alert.rule.in_(TECHNICAL))
    if before is not None:
        query = query.where(Alert.at < before)
    rows = session.scalars(query.order_by(Alert.at.desc()).limit(PAGE + 1))
    return [row for row in rows if may_see(actor, row.rule)]


def _names(session: Session, rows: Iterable[Alert]) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    wanted = {("account", r.acknowledged_by) for r in rows if r.acknowledged_by}
    wanted |= {(r.about_kind, r.about_id) for r in rows if r.about_kind and r.about_id}
    for kind, query in (
        ("account", select(Account.id, Account.name)),
        ("contact", select(Contact.id, Contact.name)),
    ):
        column = Account.id if kind == "account" else Contact.id
        ids = sorted(identifier for k, identifier in wanted if k == kind and identifier)
        found |= {(kind, row[0]): row[1] for row in session.execute(query.where(column.in_(ids)))}
    return found


def _line(row: Alert, names: dict[tuple[str, str], str]) -> AlertLine:
    about = None if row.about_kind is None or row.about_id is None else (row.about_kind, row.about_id)
    by = row.acknowledged_by
    return AlertLine(
        id=row.id,
        rule=row.rule,
        text=RULE_TEXT.get(row.rule, Text(row.rule, row.rule)),
        state=row.state,
        at=row.at,
        ended_at=row.ended_at,
        about=about,
        name=None if about is None else names.get(about),
        entry=row.entry,
        facts=tuple(sorted((str(k), str(v)) for k, v in row.facts.items())),
        acknowledged_by=None if by is None else names.get(("account", by), by),
        acknowledged_at=row.acknowledged_at,
        note=row.note,
    )
