"""Signing in: password, then one-time or recovery code; the same answer for whoever is known and whoever is not."""

from dataclasses import replace
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.audit.service import record, record_refusal
from gateway.deps import Deps
from gateway.errors import Invalid, NotFound, TooMany
from gateway.identity import entries, principals
from gateway.identity.errors import WrongCode, WrongSignIn
from gateway.identity.models import Credential, LoginSession
from gateway.identity.principals import Person
from gateway.identity.service import factors, lockout, sessions
from gateway.notify.service import Recipient, tell
from gateway.principal import Actor

Factor = Literal["totp", "recovery"]


def sign_in(
    deps: Deps,
    email: str,
    password: str,
    *,
    ip: str,
    agent: str,
    now: datetime,
    verify: factors.Verify = factors.verify_password,
) -> str:
    """The token of a half session, which can only give the second factor.

    Raises WrongSignIn for every combination that lets nobody in, TooMany when the account or the address is stopped; unknown
    accounts are counted and take the time of one password check like known ones. `verify` compares hash and password.
    """
    stranger = Actor(kind="stranger", id="", ip=ip, agent=agent)
    normal = _normal(email)
    against = lockout.counters(deps, normal, ip)
    _take(deps, against, stranger, "signin.password", now)
    with deps.database.read() as session:
        person = principals.by_email(session, normal, now)
        stored = _hash_of(session, person)
    fits = verify(stored or factors.NOBODY, password)
    if person is None or stored is None or not (fits and person.known):
        lockout.failed(deps, against, now)
        record_refusal(
            deps.database,
            WrongSignIn.code,
            actor=stranger,
            obj=("page", "sign_in"),
            now=now,
            verb="signin.password",
        )
        raise WrongSignIn
    actor = replace(person.actor, ip=ip, agent=agent)
    with deps.database.write() as session:
        lockout.give_back(deps, session, against, now)
        row = session.scalar(select(Credential).where(Credential.principal == person.label))
        if row is None or row.password_hash != stored:
            raise WrongSignIn
        factors.rehash(session, row, password, actor=actor, now=now)
        return sessions.open_session(session, actor, mfa_at=None, now=now)


def finish_sign_in(deps: Deps, actor: Actor, code: str, *, now: datetime, factor: Factor = "totp") -> str:
    """The token of a whole session in exchange for the half one and a code; the half one ends, so a planted token gains nothing.

    Raises WrongCode (`otp` or `recovery`), TooMany, and NotFound when the half session is no longer there or already whole.
    """
    field = "otp" if factor == "totp" else "recovery"
    against = _judge(deps, actor, code, factor, field, now)
    with deps.database.write() as session:
        half = principals.obtain(session, LoginSession, actor.session or "")
        if (
            half.principal != actor.label
            or half.mfa_at is not None
            or not sessions.is_live(deps, session, half, now)
        ):
            raise NotFound
        lockout.forgive(deps, session, against, now)
        sessions.end(session, half, actor=actor, now=now, cause="whole")
        if factor == "recovery":
            _tell_changed(session, actor, now)
        return sessions.open_session(session, actor, mfa_at=now, now=now)


def confirm(deps: Deps, actor: Actor, code: str, *, now: datetime) -> Actor:
    """The same person with a second factor accepted now.

    Raises WrongCode("otp"), TooMany, and NotFound for a session that is gone.
    """
    against = _judge(deps, actor, code, "totp", "otp", now)
    with deps.database.write() as session:
        lockout.forgive(deps, session, against, now)
        return sessions.refresh_factor(session, actor, now)


def sign_out(deps: Deps, *, actor: Actor, now: datetime) -> None:
    """Ends the present session, half or whole; one that is already over stays over."""
    with deps.job(actor, "session.end", ("session", actor.session or ""), now) as session:
        row = session.get(LoginSession, actor.session or "")
        if row is not None and row.revoked_at is None and row.principal == actor.label:
            sessions.end(session, row, actor=actor, now=now, cause="sign_out")


def _judge(
    deps: Deps, actor: Actor, code: str, factor: Factor, field: str, now: datetime
) -> list[lockout.Counter]:
    # The code is spent in a transaction of its own: whatever fails afterwards, it cannot be used twice.
    with deps.database.read() as session:
        person = principals.find(session, actor.label, now)
    if person is None or not person.known:
        raise NotFound
    against = lockout.counters(deps, person.email, actor.ip)
    _take(deps, against, actor, f"signin.{factor}", now)
    with deps.database.write() as session:
        spend = factors.spend_code if factor == "totp" else factors.spend_recovery_code
        good = spend(deps, session, actor.label, code, now)
        if good and factor == "recovery":
            record(session, "credential.recovery_used", actor=actor, obj=(actor.kind, actor.id), now=now)
    if not good:
        lockout.failed(deps, against, now)
        record_refusal(
            deps.database,
            WrongCode.code,
            actor=actor,
            obj=("session", actor.session or ""),
            now=now,
            verb=f"signin.{factor}",
        )
        raise WrongCode(field)
    return against


def _take(deps: Deps, against: list[lockout.Counter], actor: Actor, verb: str, now: datetime) -> None:
    try:
        lockout.take_try(deps, against, now)
    except TooMany as refusal:
        deps.refuse(refusal, actor, verb, ("page", "sign_in"), now)
        raise


def _normal(email: str) -> str:
    try:
        return entries.normal_email(email)
    except Invalid:
        # What cannot be an address is an unknown account like any other, and costs the same.
        return email.strip().lower()[:254]


def _hash_of(session: Session, person: Person | None) -> str | None:
    if person is None:
        return None
    row = session.scalar(select(Credential).where(Credential.principal == person.label))
    return row.password_hash if row is not None else None


def _tell_changed(session: Session, actor: Actor, now: datetime) -> None:
    kind: Literal["account", "contact"] = "account" if actor.kind == "staff" else "contact"
    tell(session, "credential.changed", [Recipient(kind, actor.id)], now=now, fields={})
