"""Partner organisations and their contacts: proposed, verified, invited, suspended (policy.md §2.9)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.audit.service import record
from gateway.db import new_id
from gateway.deps import Deps, Event
from gateway.errors import Invalid, NotAllowed, WrongState
from gateway.identity import entries, rules
from gateway.identity.models import Contact, Organisation
from gateway.identity.principals import obtain
from gateway.identity.service import enrol, sessions
from gateway.identity.service.accounts import Invited, free_email
from gateway.notify.service import Recipient, tell
from gateway.principal import Actor, Role, Text
from gateway.workflow import move

# What others are told when a process of identity takes someone's power away.
_ENDING = {"suspend": "suspended", "disable": "disabled"}
_BY_HAND = frozenset({"suspend", "resume", "disable"})


def propose_organisation(
    deps: Deps, *, name: str, uscc: str, category: str, actor: Actor, now: datetime, demo: bool = False
) -> str:
    """A new organisation, PENDING until 行政部 verified it; returns its id.

    Raises Invalid for a field or a code that is known already. `demo` is for the demo loader alone: it stores a code that fails
    its check (policy.md §9).
    """
    with deps.job(actor, "organisation.propose", ("organisation", "new"), now) as session:
        if category not in rules.CATEGORIES:
            raise Invalid("category", Text("请选择类别。", "Choose a category."))
        code = uscc if demo and deps.settings.demo else entries.check_uscc(uscc)
        known = select(Organisation.id).where(Organisation.uscc == code, Organisation.state != "DISABLED")
        if code.strip("0") and session.scalar(known) is not None:
            raise Invalid("uscc", Text("这家单位已经登记。", "This organisation is already registered."))
        row = Organisation(
            id=new_id(),
            name=entries.plain_text(name, "name", 100, 2),
            uscc=code,
            category=category,
            proposed_by=actor.id,
            created_at=now,
        )
        move(deps, session, rules.ORGANISATION, row, "propose", actor=actor, now=now)
        if not actor.has(Role.ADM):
            fields = {"type": "合作单位", "no": row.name}
            tell(session, "approval.waiting", [Recipient("role", Role.ADM.value)], now=now, fields=fields)
        return row.id


def verify_organisation(
    deps: Deps, organisation_id: str, *, how: str, abroad: bool, actor: Actor, now: datetime
) -> None:
    """行政部 has verified an organisation: PENDING → ACTIVE. `how` says by what evidence, `abroad` what it declared."""
    with deps.job(actor, "organisation.verify", ("organisation", organisation_id), now) as session:
        row = obtain(session, Organisation, organisation_id)
        evidence = entries.plain_text(how, "how", 200, 2)
        with session.no_autoflush:
            row.verified_how, row.abroad = evidence, abroad
            move(deps, session, rules.ORGANISATION, row, "verify", actor=actor, now=now, abroad=abroad)


def change_organisation_state(
    deps: Deps, organisation_id: str, event: str, *, reason: str, actor: Actor, now: datetime
) -> None:
    """`suspend`, `resume` or `disable` of an organisation, with a reason.

    The first and the last end every session of its contacts and publish `organisation.suspended` or `.disabled`.
    """
    with deps.job(actor, f"organisation.{event}"[:40], ("organisation", organisation_id), now) as session:
        _by_hand(event)
        row = obtain(session, Organisation, organisation_id)
        leaf = move(deps, session, rules.ORGANISATION, row, event, actor=actor, now=now, reason=reason)
        if event in _ENDING:
            for contact in _contacts(session, organisation_id):
                sessions.end_all(session, f"contact:{contact.id}", actor=actor, now=now, cause="organisation")
            deps.publish(
                session, Event(f"organisation.{_ENDING[event]}", ("organisation", row.id), now, actor, leaf)
            )


@dataclass(frozen=True)
class NewContact:
    """What 行政部 enters of a contact. `mobile` is the number it knows to be theirs and will call."""

    name: str
    email: str
    mobile: str
    title: str = ""
    signer: bool = False
    valid_to: datetime | None = None


def invite_contact(
    deps: Deps, organisation_id: str, *, actor: Actor, now: datetime, mail: bool = True, **entered: Any
) -> Invited:
    """A contact of an active organisation, invited by a one-time link, mailed or to be shown once.

    `entered` are the fields of NewContact. Raises Invalid for a field, WrongState while the organisation is not active.
    """
    given = NewContact(**entered)
    with deps.job(actor, "contact.invite", ("organisation", organisation_id), now) as session:
        if obtain(session, Organisation, organisation_id).state != "ACTIVE":
            raise WrongState
        row = _contact(session, organisation_id, given, now)
        move(deps, session, rules.CONTACT, row, "invite", actor=actor, now=now, organisation=organisation_id)
        label, personal = f"contact:{row.id}", {"name": row.name, "email": row.email}
        record(
            session,
            "contact.named",
            actor=actor,
            obj=("contact", row.id),
            now=now,
            personal=personal,
            subject=label,
            signer=given.signer,
        )
        token = enrol.invite(deps, session, label, actor=actor, now=now, mail=mail)
        return Invited(row.id, token, enrol.link(deps, token))


def _contact(session: Session, organisation_id: str, given: NewContact, now: datetime) -> Contact:
    if given.valid_to is not None and given.valid_to <= now:
        raise Invalid("valid_to", Text("截止时间不能早于现在。", "The end may not lie in the past."))
    return Contact(
        id=new_id(),
        organisation_id=organisation_id,
        name=entries.person_name(given.name),
        title=entries.plain_text(given.title, "title", 60, 0),
        mobile=entries.check_mobile(given.mobile),
        email=free_email(session, given.email),
        signer=given.signer,
        valid_from=now,
        valid_to=given.valid_to,
        created_at=now,
    )


def reinvite_contact(
    deps: Deps, contact_id: str, *, actor: Actor, now: datetime, mail: bool = True
) -> Invited:
    """A new link: whoever enrolled before enrols anew and is verified anew; sessions and earlier links end."""
    with deps.job(actor, "contact.reinvite", ("contact", contact_id), now) as session:
        row = obtain(session, Contact, contact_id)
        with session.no_autoflush:
            row.verified_at, row.verified_by, row.identity_check = None, None, None
            move(deps, session, rules.CONTACT, row, "reinvite", actor=actor, now=now)
        sessions.end_all(session, f"contact:{contact_id}", actor=actor, now=now, cause="reinvited")
        token = enrol.invite(deps, session, f"contact:{contact_id}", actor=actor, now=now, mail=mail)
        return Invited(contact_id, token, enrol.link(deps, token))


def change_contact_state(
    deps: Deps, contact_id: str, event: str, *, reason: str, actor: Actor, now: datetime
) -> None:
    """`suspend`, `resume` or `disable` of a contact, with a reason.

    The first and the last end its sessions and publish `contact.suspended` or `.disabled`.
    """
    with deps.job(actor, f"contact.{event}"[:40], ("contact", contact_id), now) as session:
        _by_hand(event)
        row = obtain(session, Contact, contact_id)
        leaf = move(deps, session, rules.CONTACT, row, event, actor=actor, now=now, reason=reason)
        if event in _ENDING:
            sessions.end_all(session, f"contact:{contact_id}", actor=actor, now=now, cause="suspended")
            data = {"organisation": row.organisation_id}
            deps.publish(
                session, Event(f"contact.{_ENDING[event]}", ("contact", row.id), now, actor, leaf, data)
            )


def set_signer(deps: Deps, contact_id: str, *, signer: bool, actor: Actor, now: datetime) -> None:
    """行政部 notes whether a contact may sign agreements for its organisation."""
    with deps.job(actor, "contact.signer", ("contact", contact_id), now) as session:
        row = obtain(session, Contact, contact_id)
        if rules.CONTACT.find(row.state, "disable") is None:
            raise WrongState
        if not actor.has(Role.ADM):
            raise NotAllowed
        with session.no_autoflush:
            row.signer = signer
            row.leaf = record(
                session, "contact.signer", actor=actor, obj=("contact", contact_id), now=now, signer=signer
            )
        session.flush()


def _contacts(session: Session, organisation_id: str) -> list[Contact]:
    return list(session.scalars(select(Contact).where(Contact.organisation_id == organisation_id)))


def _by_hand(event: str) -> None:
    # Every other event of these processes has its own verb with its own checks.
    if event not in _BY_HAND:
        raise WrongState
