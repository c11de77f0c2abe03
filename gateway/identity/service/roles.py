"""Granting roles: 行政部 proposes, the general manager confirms (policy.md §1, separation 3, 4 and 7)."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.audit.service import record
from gateway.db import new_id
from gateway.deps import Deps, require_reason
from gateway.errors import Invalid, NotAllowed, WrongState
from gateway.identity import rules
from gateway.identity.models import Account, Department, RoleGrant
from gateway.identity.principals import obtain
from gateway.notify.service import Recipient, tell
from gateway.principal import ROLE_TEXT, Actor, Role, Text
from gateway.workflow import require_fresh


def propose_role(deps: Deps, account_id: str, role: Role, *, actor: Actor, now: datetime) -> str:
    """Proposes a role, or grants it at once where 行政部 may alone; returns the grant's id.

    Raises NotAllowed (SOD-3) when the roles may not stand together, or for one's own account (SOD-1); Invalid when it is held
    already, or when HOD is given to someone without a department.
    """
    with deps.job(actor, "role.propose", ("account", account_id), now) as session:
        if not actor.has(Role.ADM):
            raise NotAllowed
        if actor.id == account_id:
            raise NotAllowed("SOD-1", Text("不能给自己授予角色。", "Nobody grants a role to themselves."))
        account = obtain(session, Account, account_id)
        if account.state == "DISABLED":
            raise WrongState
        _check(deps, session, account, role)
        alone = not rules.needs_confirmation(role)
        grant = RoleGrant(id=new_id(), account_id=account_id, role=role.value, proposed_by=actor.id, at=now)
        grant.state = "ACTIVE" if alone else "PROPOSED"
        event = "role.granted" if alone else "role.proposed"
        grant.leaf = record(
            session, event, actor=actor, obj=("account", account_id), now=now, role=role.value, grant=grant.id
        )
        session.add(grant)
        session.flush()
        if not alone:
            fields = {"type": "角色授予", "no": f"{account.name} {ROLE_TEXT[role].zh}"}
            tell(session, "approval.waiting", [Recipient("role", Role.GM.value)], now=now, fields=fields)
        return grant.id


def confirm_role(deps: Deps, grant_id: str, *, actor: Actor, now: datetime) -> None:
    """The general manager puts a proposed role in force, with a fresh second factor.

    The proposer and the account's own holder may not (SOD-4).
    """
    with deps.job(actor, "role.confirm", ("role_grant", grant_id), now) as session:
        grant = _proposed(session, grant_id, actor)
        require_fresh(deps, session, actor, now)
        account = obtain(session, Account, grant.account_id)
        if account.state == "DISABLED":
            raise WrongState
        others = [
            Role(g.role)
            for g in _standing(session, grant.account_id)
            if g.id != grant.id and g.state == "ACTIVE"
        ]
        rules.check_roles(others, Role(grant.role), small=deps.settings.small_company)
        with session.no_autoflush:
            grant.state, grant.confirmed_by, grant.at = "ACTIVE", actor.id, now
            grant.leaf = record(
                session,
                "role.granted",
                actor=actor,
                obj=("account", grant.account_id),
                now=now,
                role=grant.role,
                grant=grant.id,
            )
        session.flush()


def decline_role(deps: Deps, grant_id: str, *, reason: str, actor: Actor, now: datetime) -> None:
    """The general manager declines a proposed role, or 行政部 withdraws it."""
    with deps.job(actor, "role.decline", ("role_grant", grant_id), now) as session:
        if not actor.has(Role.GM, Role.ADM):
            raise NotAllowed
        grant = obtain(session, RoleGrant, grant_id)
        if grant.state != "PROPOSED":
            raise WrongState
        _end(session, grant, "role.declined", require_reason(reason), actor, now)


def end_role(deps: Deps, grant_id: str, *, reason: str, actor: Actor, now: datetime) -> None:
    """行政部 takes a role away at once; the last SYS, GM and ADM stay, or nobody could grant again."""
    with deps.job(actor, "role.end", ("role_grant", grant_id), now) as session:
        if not actor.has(Role.ADM):
            raise NotAllowed
        grant = obtain(session, RoleGrant, grant_id)
        if grant.state != "ACTIVE":
            raise WrongState
        if Role(grant.role) in rules.FIRST_DAY and _alone(session, grant):
            raise NotAllowed(
                "LAST_HOLDER",
                Text("这是该角色的最后一人，不能结束。", "This is the last holder of the role."),
            )
        _end(session, grant, "role.ended", require_reason(reason), actor, now)
        _leave_headship(session, grant)


def _check(deps: Deps, session: Session, account: Account, role: Role) -> None:
    standing = [Role(grant.role) for grant in _standing(session, account.id)]
    if role in standing:
        raise Invalid("role", Text("已有这个角色。", "This role is already held or proposed."))
    if role is Role.HOD and account.department_id is None:
        raise Invalid("role", Text("请先为此人设置部门。", "Give this person a department first."))
    rules.check_roles(standing, role, small=deps.settings.small_company)


def _standing(session: Session, account_id: str) -> list[RoleGrant]:
    query = select(RoleGrant).where(
        RoleGrant.account_id == account_id, RoleGrant.state.in_(("PROPOSED", "ACTIVE"))
    )
    return list(session.scalars(query))


def _proposed(session: Session, grant_id: str, actor: Actor) -> RoleGrant:
    if not actor.has(Role.GM):
        raise NotAllowed
    grant = obtain(session, RoleGrant, grant_id)
    if grant.state != "PROPOSED":
        raise WrongState
    if actor.id in (grant.proposed_by, grant.account_id):
        raise NotAllowed("SOD-4", Text("须由另一人确认。", "Another person has to confirm."))
    return grant


def _end(session: Session, grant: RoleGrant, event: str, reason: str, actor: Actor, now: datetime) -> None:
    with session.no_autoflush:
        grant.state, grant.at = "ENDED", now
        grant.leaf = record(
            session,
            event,
            actor=actor,
            obj=("account", grant.account_id),
            now=now,
            reason=reason,
            role=grant.role,
            grant=grant.id,
        )
    session.flush()


def _alone(session: Session, grant: RoleGrant) -> bool:
    query = select(RoleGrant).where(
        RoleGrant.role == grant.role, RoleGrant.state == "ACTIVE", RoleGrant.id != grant.id
    )
    accounts = [session.get(Account, other.account_id) for other in session.scalars(query)]
    return not any(account is not None and account.state == "ACTIVE" for account in accounts)


def _leave_headship(session: Session, grant: RoleGrant) -> None:
    if grant.role == Role.HOD.value:
        for department in session.scalars(select(Department).where(Department.head == grant.account_id)):
            department.head = None
