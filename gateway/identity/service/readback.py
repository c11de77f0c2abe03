"""The code read back over a second channel: shown to the contact, told by telephone, typed in by 行政部 (policy.md §2.9).

A stolen mailbox can enrol, but the person whose number 行政部 knows then has no code to tell.
"""

import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gateway.audit.service import record
from gateway.deps import Deps
from gateway.errors import Invalid, NotAllowed, NotFound, TooMany, WrongState
from gateway.identity import rules
from gateway.identity.errors import CodeSpent, WrongCode
from gateway.identity.models import Contact, Invitation
from gateway.identity.principals import obtain
from gateway.notify.service import Recipient, tell
from gateway.principal import Actor, Text
from gateway.workflow import move, require_fresh


def issue(deps: Deps, session: Session, invitation: Invitation, now: datetime) -> str:
    """A fresh code of six digits on a spent invitation, valid for otp.minutes; only its keyed digest is kept."""
    code = f"{secrets.randbelow(10**6):06}"
    invitation.code_hash = _digest(deps, invitation, code)
    invitation.code_tries = 0
    invitation.code_until = now + timedelta(minutes=deps.parameters(session, now)["otp.minutes"])
    session.flush()
    return code


def new_readback_code(deps: Deps, *, actor: Actor, now: datetime) -> str:
    """Another code for a contact that waits; raises WrongState for anyone else, TooMany within otp.resend_s of the last."""
    with deps.job(actor, "contact.code", ("contact", actor.id), now) as session:
        contact = (
            session.get(Contact, actor.id) if actor.kind == "contact" and actor.mfa_at is not None else None
        )
        if contact is None or contact.state != "ENROLLED":
            raise WrongState
        invitation = _spent(session, contact.id)
        limits = deps.parameters(session, now)
        if invitation.code_until is not None:
            made = invitation.code_until - timedelta(minutes=limits["otp.minutes"])
            wait = round((made + timedelta(seconds=limits["otp.resend_s"]) - now).total_seconds())
            if wait > 0:
                raise TooMany(wait)
        record(session, "contact.code_made", actor=actor, obj=("contact", contact.id), now=now)
        return issue(deps, session, invitation, now)


def confirm_contact(
    deps: Deps, contact_id: str, code: str, *, identity_check: str, actor: Actor, now: datetime
) -> None:
    """行政部 types in what the contact told by telephone: ENROLLED → ACTIVE, verified. Needs a fresh second factor.

    Raises WrongCode("code") and counts the try, CodeSpent when the code is over or otp.tries are used up.
    """
    if identity_check not in rules.IDENTITY_CHECKS:
        raise Invalid("identity_check", Text("请选择核验方式。", "Choose how the identity was checked."))
    with deps.job(actor, "contact.confirm", ("contact", contact_id), now) as session:
        contact = obtain(session, Contact, contact_id)
        _may_confirm(deps, session, contact, actor, now)
        invitation = _spent(session, contact_id)
        right = _try(deps, session, invitation, code, now)
        if right:
            _activate(deps, session, contact, invitation, identity_check, actor, now)
        else:
            record(
                session,
                "contact.code_wrong",
                actor=actor,
                obj=("contact", contact_id),
                now=now,
                tries=invitation.code_tries,
            )
    # The failed try is committed before it is told of.
    if not right:
        raise WrongCode("code")


def _may_confirm(deps: Deps, session: Session, contact: Contact, actor: Actor, now: datetime) -> None:
    found = rules.CONTACT.find(contact.state, "confirm")
    if found is None:
        raise WrongState
    if not actor.has(*(found.who or ())):
        raise NotAllowed
    require_fresh(deps, session, actor, now)


def _try(deps: Deps, session: Session, invitation: Invitation, code: str, now: datetime) -> bool:
    tries = deps.parameters(session, now)["otp.tries"]
    if invitation.code_hash is None or invitation.code_until is None or now >= invitation.code_until:
        raise CodeSpent
    take = update(Invitation).where(Invitation.id == invitation.id, Invitation.code_tries < tries)
    taken: Any = session.execute(
        take.values(code_tries=Invitation.code_tries + 1), execution_options={"synchronize_session": False}
    )
    if taken.rowcount != 1:
        raise CodeSpent
    session.refresh(invitation)
    return secrets.compare_digest(invitation.code_hash, _digest(deps, invitation, "".join(code.split())))


def _activate(
    deps: Deps,
    session: Session,
    contact: Contact,
    invitation: Invitation,
    identity_check: str,
    actor: Actor,
    now: datetime,
) -> None:
    with session.no_autoflush:
        contact.verified_at, contact.verified_by, contact.identity_check = now, actor.id, identity_check
        move(
            deps,
            session,
            rules.CONTACT,
            contact,
            "confirm",
            actor=actor,
            now=now,
            identity_check=identity_check,
        )
    invitation.code_hash = None
    tell(session, "contact.confirmed", [Recipient("contact", contact.id)], now=now, fields={})


def _spent(session: Session, contact_id: str) -> Invitation:
    query = (
        select(Invitation)
        .where(Invitation.principal == f"contact:{contact_id}", Invitation.used_at.is_not(None))
        .order_by(Invitation.used_at.desc(), Invitation.expires_at.desc())
        .limit(1)
        .with_for_update()
    )
    found = session.scalar(query)
    if found is None:
        raise NotFound
    return found


def _digest(deps: Deps, invitation: Invitation, code: str) -> str:
    return deps.search.digest("identity.readback", f"{invitation.id} {code}")
