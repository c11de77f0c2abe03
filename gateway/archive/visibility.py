"""Who may see which client, case or item: relations are read here, decided in rules.scope; default deny (policy.md §1)."""

from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, false, or_, select, true
from sqlalchemy.orm import Session

from gateway.archive.models import Case, Client, Item, KnowGrant
from gateway.archive.rules import NOTHING, Relation, Scope, scope
from gateway.archive.vocabulary import FIELD_CLASSES
from gateway.errors import NotFound
from gateway.identity.models import Account
from gateway.identity.rules import EMPLOYMENT
from gateway.principal import Actor, Role

_SEES_ALL = frozenset({Role.ARC, Role.GM, Role.DGM, Role.ADM, Role.AUD})
T = TypeVar("T", Client, Case, Item)


def live(grant: KnowGrant, now: datetime) -> bool:
    """Whether a grant works now: begun, not over, not ended, and confirmed where a level 3 class asks for two people."""
    important = any(FIELD_CLASSES[c].level == 3 for c in grant.classes)
    begun = grant.valid_from <= now < grant.valid_to
    return begun and grant.ended_at is None and (grant.confirmed_by is not None or not important)


def live_grants(session: Session, account: str, now: datetime) -> list[KnowGrant]:
    """Every grant of an account that works now."""
    rows = session.scalars(
        select(KnowGrant).where(KnowGrant.grantee == account, KnowGrant.ended_at.is_(None))
    )
    return [g for g in rows if live(g, now)]


def may_see(session: Session, actor: Actor, thing: Client | Case | Item | None, now: datetime) -> Scope:
    """What the actor may know of a client, a case or an item at `now`; the empty scope for anything unknown."""
    if thing is None or actor.kind != "staff":
        return NOTHING
    case = (
        session.get(Case, thing.case_id)
        if isinstance(thing, Item)
        else thing
        if isinstance(thing, Case)
        else None
    )
    client = thing if isinstance(thing, Client) else session.get(Client, case.client_id) if case else None
    if client is None:
        return NOTHING
    return _capped(session, actor, thing, scope(actor, _relation(session, actor, client, case, now)))


def _capped(session: Session, actor: Actor, thing: Client | Case | Item, found: Scope) -> Scope:
    # 用工类型 caps what anybody reads, whatever role or grant says: 试用 to 敏感, 临时 and 实习 to 一般 (policy.md §1).
    account = session.get(Account, actor.id)
    most = EMPLOYMENT[account.employment].level if account is not None else 0
    if isinstance(thing, Item) and thing.level > most:
        return replace(found, content=frozenset(), reveal=frozenset())
    within = frozenset(code for code, known in FIELD_CLASSES.items() if known.level <= most)
    return replace(found, content=found.content & within, reveal=found.reveal & within)


def _relation(session: Session, actor: Actor, client: Client, case: Case | None, now: datetime) -> Relation:
    department = case.department_id if case is not None else client.department_id
    granted: set[str] = set()
    for grant in live_grants(session, actor.id, now):
        if grant.client_id == client.id or (case is not None and grant.case_id == case.id):
            granted |= set(grant.classes)
    return Relation(
        own_department=actor.department is not None and actor.department == department,
        own_client=client.owner == actor.id,
        handed_over=case is None or case.state != "CATALOGUING" or case.catalogued_by is not None,
        granted=frozenset(granted),
    )


def seen(session: Session, actor: Actor, thing: T | None, now: datetime) -> tuple[T, Scope]:
    """The thing and the actor's scope of it; NotFound when it is unknown or the scope is empty: both look the same."""
    found = may_see(session, actor, thing, now)
    if thing is None or not found:
        raise NotFound
    return thing, found


def visible_cases(session: Session, actor: Actor, now: datetime) -> ColumnElement[bool]:
    """The condition under which a case (joined with its client) appears in the actor's lists."""
    if actor.kind != "staff" or actor.has(Role.SYS):
        return false()
    if actor.has(*_SEES_ALL):
        return true()
    parts: list[ColumnElement[bool]] = [false()]
    if actor.has(Role.HOD) and actor.department is not None:
        parts.append(Case.department_id == actor.department)
    if actor.has(Role.BIZ):
        parts.append(Client.owner == actor.id)
        grants = live_grants(session, actor.id, now)
        parts.append(Case.client_id.in_([g.client_id for g in grants if g.client_id]))
        parts.append(Case.id.in_([g.case_id for g in grants if g.case_id]))
    return or_(*parts)


def visible_clients(session: Session, actor: Actor, now: datetime) -> ColumnElement[bool]:
    """The condition under which a client appears in the actor's lists."""
    if actor.kind != "staff" or actor.has(Role.SYS):
        return false()
    if actor.has(*_SEES_ALL):
        return true()
    parts: list[ColumnElement[bool]] = [false()]
    if actor.has(Role.HOD) and actor.department is not None:
        parts.append(Client.department_id == actor.department)
    if actor.has(Role.BIZ):
        granted = [g.client_id for g in live_grants(session, actor.id, now) if g.client_id]
        parts.append(or_(Client.owner == actor.id, Client.id.in_(granted)))
    return or_(*parts)
