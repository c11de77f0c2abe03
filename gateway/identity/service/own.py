"""What people change about themselves: password, authenticator, recovery codes, age key, language and time zone."""

from datetime import datetime
from typing import Literal
from zoneinfo import available_timezones

import pyrage
from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.audit.service import record, record_refusal
from gateway.deps import Deps
from gateway.errors import Invalid, NotAllowed, NotFound
from gateway.identity import entries, principals
from gateway.identity.models import Account, Contact, Credential
from gateway.identity.principals import Person, obtain
from gateway.identity.service import factors, lockout, sessions
from gateway.notify.service import Recipient, tell
from gateway.principal import Actor, Text
from gateway.workflow import require_fresh

REENROL = "reenrol"


def change_password(
    deps: Deps,
    *,
    current: str,
    password: str,
    actor: Actor,
    now: datetime,
    verify: factors.Verify = factors.verify_password,
) -> None:
    """A new password; needs the present one and a fresh second factor. Every other session ends, and the person is told.

    Raises Invalid("current_password") for a wrong present password, which counts like a failed sign-in, and
    Invalid("password") for a bad new one.
    """
    person, stored = _present(deps, actor, "credential.password", now)
    against = lockout.counters(deps, person.email, actor.ip)
    lockout.take_try(deps, against, now)
    if not verify(stored, current):
        lockout.failed(deps, against, now)
        record_refusal(
            deps.database,
            "WRONG_PASSWORD",
            actor=actor,
            obj=(actor.kind, actor.id),
            now=now,
            verb="credential.password",
        )
        raise Invalid("current_password", Text("当前密码不对。", "The present password is not right."))
    hashed = factors.hash_password(entries.check_password(password, email=person.email, name=actor.name))
    with deps.job(actor, "credential.password", (actor.kind, actor.id), now) as session:
        lockout.give_back(deps, session, against, now)
        row = _credential(session, actor)
        with session.no_autoflush:
            row.password_hash, row.set_at = hashed, now
            row.leaf = record(
                session, "credential.password", actor=actor, obj=(actor.kind, actor.id), now=now
            )
        session.flush()
        _changed(session, actor, now)


def begin_totp(deps: Deps, *, actor: Actor, now: datetime, pending: str | None = None) -> factors.Seed:
    """A fresh seed for another authenticator, or the `pending` one of the same page again. Changes nothing.

    Needs a fresh second factor.
    """
    person, _ = _present(deps, actor, "credential.totp", now)
    if pending is not None:
        return factors.seed_again(deps, actor.label, REENROL, pending, name=person.email)
    return factors.new_seed(deps, actor.label, REENROL, name=person.email)


def change_totp(deps: Deps, pending: str, *, code: str, actor: Actor, now: datetime) -> tuple[str, ...]:
    """Replaces the authenticator by the one that shows `code`; returns new recovery codes. Every other session ends.

    Needs a fresh second factor of the old one. Raises WrongCode("code").
    """
    _, stored = _present(deps, actor, "credential.totp", now)
    seed = factors.seed_again(deps, actor.label, REENROL, pending, name="")
    with deps.job(actor, "credential.totp", (actor.kind, actor.id), now) as session:
        codes = factors.set_credential(deps, session, actor, seed, password_hash=stored, code=code, now=now)
        _changed(session, actor, now)
        return codes


def renew_recovery_codes(deps: Deps, *, actor: Actor, now: datetime) -> tuple[str, ...]:
    """Ten new recovery codes, shown once; the older ones end. Needs a fresh second factor."""
    with deps.job(actor, "credential.recovery", (actor.kind, actor.id), now) as session:
        require_fresh(deps, session, actor, now)
        leaf = record(session, "credential.recovery", actor=actor, obj=(actor.kind, actor.id), now=now)
        codes = factors.new_recovery_codes(deps, session, actor.label, leaf=leaf)
        tell(session, "credential.changed", [recipient(actor)], now=now, fields={})
        return codes


def register_age_recipient(deps: Deps, key: str, *, actor: Actor, now: datetime) -> None:
    """A contact's public age key (X25519, `age1…`): later copies are sealed to it, and the contact is told.

    Needs a fresh second factor. Raises Invalid("key") for anything but one X25519 recipient.
    """
    with deps.job(actor, "contact.age_key", ("contact", actor.id), now) as session:
        require_fresh(deps, session, actor, now)
        _set_age_key(session, actor, _recipient_key(key), now)


def remove_age_recipient(deps: Deps, *, actor: Actor, now: datetime) -> None:
    """Later copies have a passphrase again. Needs a fresh second factor; the contact is told."""
    with deps.job(actor, "contact.age_key", ("contact", actor.id), now) as session:
        require_fresh(deps, session, actor, now)
        _set_age_key(session, actor, None, now)


def set_language(deps: Deps, language: str, *, actor: Actor, now: datetime) -> None:
    """Keeps `zh-CN` or `en`; raises Invalid("language")."""
    if language not in entries.LANGUAGES:
        raise Invalid("language", Text("请选择语言。", "Choose a language."))
    with deps.job(actor, "person.language", (actor.kind, actor.id), now) as session:
        _row(session, actor).language = language


def set_timezone(deps: Deps, timezone: str, *, actor: Actor, now: datetime) -> None:
    """Keeps an IANA zone such as Asia/Shanghai, in which times are shown; raises Invalid("timezone")."""
    if timezone not in available_timezones() or len(timezone) > 40:
        raise Invalid("timezone", Text("请选择时区。", "Choose a time zone."))
    with deps.job(actor, "person.timezone", (actor.kind, actor.id), now) as session:
        _row(session, actor).timezone = timezone


def recipient(actor: Actor) -> Recipient:
    """Where messages to a person go."""
    kind: Literal["account", "contact"] = "account" if actor.kind == "staff" else "contact"
    return Recipient(kind, actor.id)


def _present(deps: Deps, actor: Actor, verb: str, now: datetime) -> tuple[Person, str]:
    with deps.job(actor, verb, (actor.kind, actor.id), now) as session:
        require_fresh(deps, session, actor, now)
        person = principals.find(session, actor.label, now)
        if person is None or not person.ready:
            raise NotFound
        return person, _credential(session, actor).password_hash


def _credential(session: Session, actor: Actor) -> Credential:
    row = session.scalar(select(Credential).where(Credential.principal == actor.label))
    if row is None:
        raise NotFound
    return row


def _changed(session: Session, actor: Actor, now: datetime) -> None:
    sessions.end_all(session, actor.label, actor=actor, now=now, cause="credential", keep=actor.session)
    tell(session, "credential.changed", [recipient(actor)], now=now, fields={})


def _recipient_key(key: str) -> str:
    wanted = Text("请粘贴一个 age1 开头的公钥。", "Paste one public key that begins with age1.")
    text = key.strip()
    if len(text) > 200 or not text.isascii():
        raise Invalid("key", wanted)
    try:
        return str(pyrage.x25519.Recipient.from_str(text))
    except pyrage.RecipientError as error:
        raise Invalid("key", wanted) from error


def _set_age_key(session: Session, actor: Actor, key: str | None, now: datetime) -> None:
    if actor.kind != "contact":
        raise NotAllowed
    row = obtain(session, Contact, actor.id)
    if not principals.contact_live(row, now):
        raise NotFound
    event = "contact.age_registered" if key is not None else "contact.age_removed"
    with session.no_autoflush:
        row.age_recipient = key
        row.leaf = record(session, event, actor=actor, obj=("contact", row.id), now=now)
    session.flush()
    tell(session, "credential.changed", [recipient(actor)], now=now, fields={})


def _row(session: Session, actor: Actor) -> Account | Contact:
    return obtain(session, Account, actor.id) if actor.kind == "staff" else obtain(session, Contact, actor.id)
