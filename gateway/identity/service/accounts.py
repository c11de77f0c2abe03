"""Staff accounts and departments: enrolled by 行政部, turned off and on by the system administrator."""

import re
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.audit.service import record
from gateway.db import new_id
from gateway.deps import Deps, Event
from gateway.errors import Invalid, NotAllowed, WrongState
from gateway.identity import entries, rules
from gateway.identity.models import Account, Contact, Department
from gateway.identity.principals import obtain, roles_of
from gateway.identity.service import enrol, sessions
from gateway.principal import SYSTEM, Actor, Role, Text
from gateway.workflow import move

OFFICE = (Role.SYS, Role.ADM)


@dataclass(frozen=True)
class Invited:
    """A new or renewed invitation: the row's id, the one-time token, and its link to show once where it was not mailed."""

    id: str
    token: str
    link: str


def free_email(session: Session, email: str) -> str:
    """The normalised address when nobody signs in with it yet; raises Invalid("email")."""
    normal = entries.normal_email(email)
    taken = session.scalar(select(Account.id).where(Account.email == normal)) or session.scalar(
        select(Contact.id).where(Contact.email == normal)
    )
    if taken is not None:
        raise Invalid("email", Text("这个邮箱已有账号。", "This address already has an account."))
    return normal


def enrol_account(
    deps: Deps,
    *,
    email: str,
    name: str,
    department: str | None,
    employment: str,
    ends_on: date | None,
    actor: Actor,
    now: datetime,
    mail: bool = True,
) -> Invited:
    """A new staff account, ENROLLING until its holder has used the one-time link.

    `department` is an id. Raises Invalid for a field, NotAllowed for anyone but 行政部.
    """
    with deps.job(actor, "account.enrol", ("account", "new"), now) as session:
        rules.check_employment(employment, ends_on, rules.local_day(now))
        account = Account(
            id=new_id(),
            email=free_email(session, email),
            name=entries.person_name(name),
            department_id=_department(session, department),
            employment=employment,
            ends_on=ends_on,
            created_at=now,
        )
        personal = {"email": account.email}
        move(deps, session, rules.ACCOUNT, account, "enrol", actor=actor, now=now, employment=employment)
        record(
            session,
            "account.named",
            actor=actor,
            obj=("account", account.id),
            now=now,
            personal=personal,
            subject=f"staff:{account.id}",
        )
        token = enrol.invite(deps, session, f"staff:{account.id}", actor=actor, now=now, mail=mail)
        return Invited(account.id, token, enrol.link(deps, token))


def reinvite_account(
    deps: Deps, account_id: str, *, actor: Actor, now: datetime, mail: bool = True
) -> Invited:
    """A new link for an account that has not enrolled; earlier links end. Raises WrongState once it is active."""
    with deps.job(actor, "account.reinvite", ("account", account_id), now) as session:
        office(actor)
        account = obtain(session, Account, account_id)
        if account.state != "ENROLLING":
            raise WrongState
        token = enrol.invite(deps, session, f"staff:{account_id}", actor=actor, now=now, mail=mail)
        return Invited(account_id, token, enrol.link(deps, token))


def change_employment(
    deps: Deps,
    account_id: str,
    *,
    department: str | None,
    employment: str,
    ends_on: date | None,
    actor: Actor,
    now: datetime,
) -> None:
    """Moves an account to another department, employment type or end date; 行政部 only, never one's own."""
    with deps.job(actor, "account.change", ("account", account_id), now) as session:
        if not actor.has(Role.ADM) or actor.id == account_id:
            raise NotAllowed
        rules.check_employment(employment, ends_on, rules.local_day(now))
        account, place = obtain(session, Account, account_id), _department(session, department)
        if account.state == "DISABLED":
            raise WrongState
        with session.no_autoflush:
            account.department_id, account.employment, account.ends_on = place, employment, ends_on
            end = ends_on.isoformat() if ends_on else None
            account.leaf = record(
                session,
                "account.change",
                actor=actor,
                obj=("account", account_id),
                now=now,
                employment=employment,
                ends_on=end,
            )
        session.flush()


def disable_account(deps: Deps, account_id: str, *, reason: str, actor: Actor, now: datetime) -> None:
    """Turns an account off: its sessions end, and `account.ended` is published with it. SYS only, never itself."""
    with deps.job(actor, "account.disable", ("account", account_id), now) as session:
        if actor.id == account_id:
            raise NotAllowed
        _end(deps, session, obtain(session, Account, account_id), "disable", actor, now, reason)


def enable_account(
    deps: Deps, account_id: str, *, reason: str, actor: Actor, now: datetime, mail: bool = True
) -> Invited:
    """Turns an account on again; its holder enrols anew, so an old password gains nothing."""
    with deps.job(actor, "account.enable", ("account", account_id), now) as session:
        account = obtain(session, Account, account_id)
        rules.check_employment(account.employment, account.ends_on, rules.local_day(now))
        move(deps, session, rules.ACCOUNT, account, "enable", actor=actor, now=now, reason=reason)
        token = enrol.invite(deps, session, f"staff:{account_id}", actor=actor, now=now, mail=mail)
        return Invited(account_id, token, enrol.link(deps, token))


def end_due_accounts(deps: Deps, *, now: datetime) -> int:
    """Turns off the accounts whose last day is over; idempotent; returns how many. Their powers had ended at 24:00 already."""
    with deps.database.read() as session:
        query = select(Account.id).where(
            Account.state != "DISABLED", Account.ends_on.is_not(None), Account.ends_on <= rules.local_day(now)
        )
        due = list(session.scalars(query))
    return sum(_end_due(deps, account_id, now) for account_id in due)


def _end_due(deps: Deps, account_id: str, now: datetime) -> bool:
    with deps.database.write() as session:
        account = obtain(session, Account, account_id)
        if account.state == "DISABLED" or not rules.has_ended(account.ends_on, now):
            return False
        _end(deps, session, account, "end", SYSTEM, now, None)
        return True


def _end(
    deps: Deps,
    session: Session,
    account: Account,
    event: str,
    actor: Actor,
    now: datetime,
    reason: str | None,
) -> None:
    leaf = move(deps, session, rules.ACCOUNT, account, event, actor=actor, now=now, reason=reason)
    sessions.end_all(session, f"staff:{account.id}", actor=actor, now=now, cause="disabled")
    deps.publish(session, Event("account.ended", ("account", account.id), now, actor, leaf))


# ── Departments ──────────────────────────────────────────────────────────────────────────────────────────────────────


def add_department(deps: Deps, *, code: str, name: str, actor: Actor, now: datetime) -> str:
    """A department with its two-letter code of file numbers; returns its id. Raises Invalid for a code that is taken."""
    with deps.job(actor, "department.add", ("department", "new"), now) as session:
        office(actor)
        code = code.strip().upper()
        if not re.fullmatch(r"[A-Z]{2}", code):
            raise Invalid("code", Text("请填写两个字母。", "Enter two letters."))
        if session.scalar(select(Department.id).where(Department.code == code)) is not None:
            raise Invalid("code", Text("这个代码已在使用。", "This code is in use."))
        row = Department(id=new_id(), code=code, name=entries.person_name(name))
        session.add(row)
        record(session, "department.add", actor=actor, obj=("department", row.id), now=now, code=code)
        return row.id


def change_department(
    deps: Deps, department_id: str, *, name: str, head: str | None, actor: Actor, now: datetime
) -> None:
    """Renames a department and names its 第一责任人, who holds HOD in it; the code stays, since file numbers hold it."""
    with deps.job(actor, "department.change", ("department", department_id), now) as session:
        office(actor)
        row = obtain(session, Department, department_id)
        if head is not None:
            _check_head(session, head, department_id)
        row.name, row.head = entries.person_name(name), head
        record(
            session, "department.change", actor=actor, obj=("department", department_id), now=now, head=head
        )


def _check_head(session: Session, head: str, department_id: str) -> None:
    account = session.get(Account, head)
    if account is None or account.department_id != department_id or Role.HOD not in roles_of(session, head):
        raise Invalid(
            "head",
            Text(
                "第一责任人须是本部门的负责人角色。", "The head must hold the head's role in this department."
            ),
        )


def _department(session: Session, department: str | None) -> str | None:
    if department is not None and session.get(Department, department) is None:
        raise Invalid("department", Text("请选择部门。", "Choose a department."))
    return department


def office(actor: Actor) -> None:
    """Raises NotAllowed unless 行政部 or the system administrator asks."""
    if not actor.has(*OFFICE):
        raise NotAllowed
