"""Who a principal label stands for now: read from guarded rows each time, so that an ended power ends at once."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.db import Base, locked
from gateway.errors import NotFound
from gateway.identity import rules
from gateway.identity.models import Account, Contact, Organisation, RoleGrant
from gateway.notify.service import Address, Recipient
from gateway.principal import Actor, Role

T = TypeVar("T", bound=Base)


@dataclass(frozen=True)
class Person:
    """A staff account or a contact as it stands now. `ready`: may act; `known`: may sign in (a contact also while it waits)."""

    actor: Actor
    email: str
    state: str
    known: bool
    ready: bool

    @property
    def label(self) -> str:
        """`staff:<id>` or `contact:<id>`, the key of credentials and sessions."""
        return self.actor.label


def obtain(session: Session, model: type[T], key: str) -> T:
    """The row under its lock; raises NotFound."""
    row = locked(session, model, key)
    if row is None:
        raise NotFound
    return row


def find(session: Session, label: str, now: datetime) -> Person | None:
    """The person behind a label; None when there is none. Raises TamperedRow when a row behind it was changed from outside."""
    kind, _, key = label.partition(":")
    if kind == "staff":
        account = session.get(Account, key)
        return _staff(session, account, now) if account is not None else None
    contact = session.get(Contact, key) if kind == "contact" else None
    return _contact(session, contact, now) if contact is not None else None


def by_email(session: Session, email: str, now: datetime) -> Person | None:
    """The person who signs in with a normalised address."""
    account = session.scalar(select(Account).where(Account.email == email))
    if account is not None:
        return _staff(session, account, now)
    contact = session.scalar(select(Contact).where(Contact.email == email))
    return _contact(session, contact, now) if contact is not None else None


def roles_of(session: Session, account_id: str) -> frozenset[Role]:
    """The roles in force; every row's seal is checked as it is loaded."""
    grants = session.scalars(
        select(RoleGrant).where(RoleGrant.account_id == account_id, RoleGrant.state == "ACTIVE")
    )
    return frozenset(Role(grant.role) for grant in grants)


def account_live(account: Account | None, now: datetime) -> bool:
    """Whether an account may act: active, and its last day is not over."""
    return account is not None and account.state == "ACTIVE" and not rules.has_ended(account.ends_on, now)


def contact_live(contact: Contact | None, now: datetime) -> bool:
    """Whether a contact is enabled within its from–to."""
    return contact is not None and contact.state == "ACTIVE" and _within(contact, now)


def _within(contact: Contact, now: datetime) -> bool:
    return contact.valid_from <= now and (contact.valid_to is None or now < contact.valid_to)


def _staff(session: Session, row: Account, now: datetime) -> Person:
    live = account_live(row, now)
    actor = Actor(
        kind="staff",
        id=row.id,
        name=row.name,
        roles=roles_of(session, row.id) if live else frozenset(),
        department=row.department_id,
        language=row.language,
        timezone=row.timezone,
        extra={"employment": row.employment},
    )
    return Person(actor, row.email, row.state, known=live, ready=live)


def _contact(session: Session, row: Contact, now: datetime) -> Person:
    organisation = session.get(Organisation, row.organisation_id)
    open_ = organisation is not None and organisation.state == "ACTIVE" and _within(row, now)
    ready = open_ and row.state == "ACTIVE" and row.verified_at is not None
    actor = Actor(
        kind="contact",
        id=row.id,
        name=row.name,
        roles=frozenset({Role.PTN}) if ready else frozenset(),
        organisation=row.organisation_id,
        language=row.language,
        timezone=row.timezone,
        extra={"state": row.state},
    )
    return Person(
        actor, row.email, row.state, known=open_ and row.state in ("ENROLLED", "ACTIVE"), ready=ready
    )


def holders(session: Session, role: Role, now: datetime, *, department: str | None = None) -> list[str]:
    """Ids of the live accounts that hold a role, of one department where given."""
    grants = session.scalars(
        select(RoleGrant).where(RoleGrant.role == role.value, RoleGrant.state == "ACTIVE")
    )
    accounts = [session.get(Account, grant.account_id) for grant in grants]
    live = [a for a in accounts if a is not None and account_live(a, now)]
    return [a.id for a in live if department is None or a.department_id == department]


def addresses(session: Session, recipient: Recipient) -> list[Address]:
    """Where a recipient reads mail: an account, a contact, or every active account that holds a role."""
    if recipient.kind == "contact":
        contact = session.get(Contact, recipient.id)
        return (
            [Address(contact.email, contact.language)]
            if contact is not None and contact.state != "DISABLED"
            else []
        )
    if recipient.kind == "account":
        accounts = [session.get(Account, recipient.id)]
    else:
        query = select(RoleGrant).where(RoleGrant.role == recipient.id, RoleGrant.state == "ACTIVE")
        accounts = [session.get(Account, grant.account_id) for grant in session.scalars(query)]
    return [Address(a.email, a.language) for a in accounts if a is not None and a.state != "DISABLED"]
