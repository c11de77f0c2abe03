"""The register of need-to-know grants as its readers see it, and what waits for review."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from gateway.archive.grants import grant_department
from gateway.archive.models import Case, Client, KnowGrant
from gateway.archive.results import Choice, GrantRow
from gateway.archive.rules import level_of
from gateway.archive.visibility import live
from gateway.deps import Deps
from gateway.identity.models import Account, RoleGrant
from gateway.principal import Actor, Role, Text


def account_name(session: Session, account: str | None) -> str:
    """The name of an account; empty for none."""
    row = session.get(Account, account) if account else None
    return row.name if row is not None else ""


def grant_list(deps: Deps, *, actor: Actor, now: datetime) -> tuple[GrantRow, ...]:
    """Grants the reader gives, confirms or holds: archivists all, heads their department's, everyone their own."""
    with deps.database.read() as session:
        rows = session.scalars(select(KnowGrant).order_by(KnowGrant.valid_from.desc()).limit(1000))
        return tuple(_grant_row(session, g, actor, now) for g in rows if _may_list(session, g, actor))


def _may_list(session: Session, grant: KnowGrant, actor: Actor) -> bool:
    if actor.has(Role.ARC) or grant.grantee == actor.id:
        return True
    return (
        actor.has(Role.HOD)
        and actor.department is not None
        and grant_department(session, grant) == actor.department
    )


def _grant_row(session: Session, grant: KnowGrant, actor: Actor, now: datetime) -> GrantRow:
    case = session.get(Case, grant.case_id) if grant.case_id else None
    client = session.get(Client, grant.client_id) if grant.client_id else None
    state, tone, waits = _grant_state(grant, now)
    is_open = grant.ended_at is None and grant.valid_to > now
    return GrantRow(
        id=grant.id,
        grantee=account_name(session, grant.grantee),
        target=(case.number or case.temp_no) if case else client.client_no if client else "",
        classes=tuple(grant.classes),
        purpose=grant.purpose,
        valid_from=grant.valid_from,
        valid_to=grant.valid_to,
        granted_by=account_name(session, grant.granted_by),
        confirmed_by=account_name(session, grant.confirmed_by),
        state=state,
        tone=tone,
        may_confirm=waits and actor.has(Role.ARC) and actor.id not in (grant.granted_by, grant.grantee),
        may_end=is_open,
    )


def _grant_state(grant: KnowGrant, now: datetime) -> tuple[Text, str, bool]:
    if grant.ended_at is not None:
        return Text("已收回", "Ended"), "", False
    if grant.valid_to <= now:
        return Text("已到期", "Expired"), "", False
    if level_of(grant.classes) == 3 and grant.confirmed_by is None:
        return Text("待档案确认", "Waiting for the archive"), "wait", True
    return (
        (Text("有效", "Live"), "ok", False)
        if live(grant, now)
        else (Text("未到期限", "Not begun"), "wait", False)
    )


def grantees(deps: Deps) -> tuple[Choice, ...]:
    """Accounts that may be given a grant: active business staff and deputy general managers."""
    roles = [Role.BIZ.value, Role.DGM.value]
    query = (
        select(Account)
        .join(RoleGrant, RoleGrant.account_id == Account.id)
        .where(Account.state == "ACTIVE", RoleGrant.state == "ACTIVE", RoleGrant.role.in_(roles))
        .order_by(Account.name)
    )
    with deps.database.read() as session:
        return _distinct(session.scalars(query))


def _distinct(accounts: Iterable[Account]) -> tuple[Choice, ...]:
    return tuple({a.id: Choice(a.id, a.name) for a in accounts}.values())


def waiting_reviews(deps: Deps, *, actor: Actor) -> int:
    """How many cases wait for review by someone like the actor."""
    query = select(func.count()).select_from(Case).where(Case.state == "REVIEW")
    query = query.where(
        or_(Case.catalogued_by.is_(None), Case.catalogued_by != actor.id), Case.created_by != actor.id
    )
    with deps.database.read() as session:
        return session.scalar(query) or 0
