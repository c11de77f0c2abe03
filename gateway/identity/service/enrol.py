"""Enrolment by one-time links: opened by anyone who holds the link, spent only by completing it."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gateway.audit.service import record
from gateway.db import new_id
from gateway.deps import Deps
from gateway.errors import NotFound
from gateway.identity import entries, rules
from gateway.identity.errors import NotFirstDay
from gateway.identity.models import Account, Contact, Invitation, Organisation, RoleGrant
from gateway.identity.principals import obtain
from gateway.identity.service import factors, lockout, readback, sessions
from gateway.notify.service import Recipient, tell
from gateway.principal import SYSTEM, Actor, Role
from gateway.workflow import move

PATH = "/enrol/"


def link(deps: Deps, token: str) -> str:
    """The address under which a token is opened, on the configured origin."""
    return f"{deps.settings.public_origin}{PATH}{token}"


def invite(deps: Deps, session: Session, label: str, *, actor: Actor, now: datetime, mail: bool) -> str:
    """A fresh one-time token for a principal, 72 h; earlier ones end. Mailed when asked; the caller may show it once instead."""
    older = (
        update(Invitation)
        .where(Invitation.principal == label, Invitation.used_at.is_(None))
        .values(used_at=now)
    )
    session.execute(older, execution_options={"synchronize_session": False})
    token, row_id = secrets.token_urlsafe(32), new_id()
    kind, _, key = label.partition(":")
    leaf = record(session, "invitation.made", actor=actor, obj=(kind, key), now=now, mailed=mail)
    session.add(
        Invitation(
            id=row_id,
            token_hash=sessions.token_hash(token),
            principal=label,
            expires_at=now + rules.INVITATION_LIFE,
            created_by=actor.id,
            leaf=leaf,
        )
    )
    session.flush()
    if mail:
        recipient = Recipient("account" if kind == "staff" else "contact", key)
        tell(session, "invitation", [recipient], now=now, fields={"link": link(deps, token)})
    return token


def first_day(deps: Deps, people: Mapping[Role, tuple[str, str]], *, now: datetime) -> dict[Role, str]:
    """Enrols the first SYS, GM and ADM on an empty portal; returns the one-time token of each (policy.md §1, separation 7).

    `people` maps each of the three roles to (address, name). Raises NotFirstDay, or Invalid for a bad address or name.
    """
    with deps.job(SYSTEM, "account.first_day", ("portal", "first_day"), now) as session:
        if set(people) != set(rules.FIRST_DAY) or session.scalar(select(Account.id).limit(1)) is not None:
            raise NotFirstDay
        return {role: _first(deps, session, role, *people[role], now) for role in rules.FIRST_DAY}


def _first(deps: Deps, session: Session, role: Role, email: str, name: str, now: datetime) -> str:
    account = Account(
        id=new_id(),
        email=entries.normal_email(email),
        name=entries.person_name(name),
        employment="REGULAR",
        created_at=now,
    )
    move(deps, session, rules.ACCOUNT, account, "enrol", actor=SYSTEM, now=now, employment="REGULAR")
    leaf = record(
        session, "role.granted", actor=SYSTEM, obj=("account", account.id), now=now, role=role.value
    )
    session.add(
        RoleGrant(
            id=new_id(),
            account_id=account.id,
            role=role.value,
            state="ACTIVE",
            proposed_by="init",
            confirmed_by="init",
            at=now,
            leaf=leaf,
        )
    )
    return invite(deps, session, f"staff:{account.id}", actor=SYSTEM, now=now, mail=False)


@dataclass(frozen=True)
class Enrolment:
    """What an open invitation shows: for whom, and, once begun, the seed for the authenticator."""

    kind: str
    name: str
    email: str
    organisation: str | None
    expires_at: datetime
    seed: factors.Seed | None = None


@dataclass(frozen=True)
class Enrolled:
    """The end of an enrolment: recovery codes shown once; for a contact the code to read back by telephone."""

    principal: str
    recovery_codes: tuple[str, ...]
    readback: str | None


def look(deps: Deps, token: str, *, now: datetime) -> Enrolment:
    """Whom a link is for; changes nothing. Raises NotFound for a token that is unknown, used or over."""
    with deps.database.read() as session:
        return _describe(session, *_opened(session, token, now))


def begin_enrolment(deps: Deps, token: str, *, now: datetime, pending: str | None = None) -> Enrolment:
    """The invitation with a seed for the authenticator, a fresh one, or the `pending` one of the same page again.

    Spends nothing and writes no row. Raises NotFound, or Invalid("code") for a foreign `pending`.
    """
    with deps.database.read() as session:
        invitation, person = _opened(session, token, now)
        return replace(
            _describe(session, invitation, person), seed=_seed(deps, invitation, person.email, pending)
        )


def complete_enrolment(
    deps: Deps,
    token: str,
    pending: str,
    *,
    password: str,
    code: str,
    ip: str,
    agent: str,
    now: datetime,
    language: str = "",
) -> Enrolled:
    """Sets password and authenticator, spends the invitation, and activates staff; a contact goes on to the read-back code.

    `language` (`zh-CN` or `en`) becomes the person's own.

    Raises Invalid("password" or "code"), NotFound when the invitation is over or was spent by somebody quicker.
    """
    with deps.database.read() as session:
        invitation, person = _opened(session, token, now)
        seed, actor = _seed(deps, invitation, person.email, pending), _self(person, ip, agent)
        wanted = entries.check_password(password, email=person.email, name=person.name)
    hashed = factors.hash_password(wanted)
    with deps.job(actor, f"{actor.kind}.enrol", (actor.kind, actor.id), now) as session:
        invitation, person = _opened(session, token, now)
        _spend(session, invitation, now)
        if language in entries.LANGUAGES:
            # The pages go on in the language in which they began.
            person.language = language
        codes = factors.set_credential(deps, session, actor, seed, password_hash=hashed, code=code, now=now)
        sessions.end_all(session, actor.label, actor=actor, now=now, cause="credential")
        lockout.forgive(deps, session, lockout.counters(deps, person.email, ""), now)
        if isinstance(person, Account):
            account = obtain(session, Account, person.id)
            move(deps, session, rules.ACCOUNT, account, "activate", actor=SYSTEM, now=now)
            return Enrolled(actor.label, codes, None)
        return Enrolled(actor.label, codes, _waiting(deps, session, person.id, invitation.id, actor, now))


def _spend(session: Session, invitation: Invitation, now: datetime) -> None:
    # One compare-and-set: of two who use a link at once, one finds it spent.
    spend = (
        update(Invitation)
        .where(Invitation.id == invitation.id, Invitation.used_at.is_(None))
        .values(used_at=now)
    )
    result: Any = session.execute(spend, execution_options={"synchronize_session": False})
    if result.rowcount != 1:
        raise NotFound


def _waiting(
    deps: Deps, session: Session, contact_id: str, invitation_id: str, actor: Actor, now: datetime
) -> str:
    # The contact waits for 行政部 with a code to read back.
    contact = obtain(session, Contact, contact_id)
    move(deps, session, rules.CONTACT, contact, "enrol", actor=actor, now=now)
    office = [Recipient("role", Role.ADM.value)]
    tell(session, "contact.enrolled", office, now=now, fields={"no": contact_id[:8]})
    return readback.issue(deps, session, obtain(session, Invitation, invitation_id), now)


def _opened(session: Session, token: str, now: datetime) -> tuple[Invitation, Account | Contact]:
    invitation = session.scalar(select(Invitation).where(Invitation.token_hash == sessions.token_hash(token)))
    if invitation is None or invitation.used_at is not None or now >= invitation.expires_at:
        raise NotFound
    kind, _, key = invitation.principal.partition(":")
    person: Account | Contact | None = (
        session.get(Account, key) if kind == "staff" else session.get(Contact, key)
    )
    if person is None or person.state not in ("ENROLLING", "INVITED"):
        raise NotFound
    if isinstance(person, Account) and rules.has_ended(person.ends_on, now):
        raise NotFound
    if (
        isinstance(person, Contact)
        and session.get_one(Organisation, person.organisation_id).state != "ACTIVE"
    ):
        raise NotFound
    return invitation, person


def _describe(session: Session, invitation: Invitation, person: Account | Contact) -> Enrolment:
    if isinstance(person, Account):
        return Enrolment("staff", person.name, person.email, None, invitation.expires_at)
    organisation = session.get_one(Organisation, person.organisation_id)
    return Enrolment("contact", person.name, person.email, organisation.name, invitation.expires_at)


def _seed(deps: Deps, invitation: Invitation, email: str, pending: str | None) -> factors.Seed:
    purpose = f"enrol.{invitation.id}"
    if pending is None:
        return factors.new_seed(deps, invitation.principal, purpose, name=email)
    return factors.seed_again(deps, invitation.principal, purpose, pending, name=email)


def _self(person: Account | Contact, ip: str, agent: str) -> Actor:
    if isinstance(person, Account):
        return Actor(
            kind="staff", id=person.id, name=person.name, department=person.department_id, ip=ip, agent=agent
        )
    return Actor(
        kind="contact",
        id=person.id,
        name=person.name,
        roles=frozenset({Role.PTN}),
        organisation=person.organisation_id,
        ip=ip,
        agent=agent,
    )
