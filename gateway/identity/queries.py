"""What the pages of identity show: frozen values, read in one go."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.deps import Deps
from gateway.errors import NotAllowed, NotFound
from gateway.identity import principals, rules
from gateway.identity.models import Account, Contact, Department, Organisation, RecoveryCode, RoleGrant
from gateway.principal import ROLE_TEXT, Actor, Role, Text
from gateway.workflow import Move, Process, State

addresses = principals.addresses

STAFF_READERS = (Role.SYS, Role.ADM, Role.GM)
PARTNER_READERS = (Role.ADM, Role.HOD, Role.BIZ, Role.GM, Role.DGM, Role.ARC)


@dataclass(frozen=True)
class GrantRow:
    """One role of an account: in force, or waiting for the general manager."""

    id: str
    account_id: str
    account_name: str
    role: Role
    state: State
    state_name: str
    proposed_by: str
    at: datetime

    @property
    def text(self) -> Text:
        """The role's words."""
        return ROLE_TEXT[self.role]


@dataclass(frozen=True)
class AccountRow:
    """One account in the list."""

    id: str
    name: str
    email: str
    department: str
    department_id: str | None
    employment: str
    employment_text: Text
    ends_on: date | None
    state: State
    state_name: str
    ended: bool
    roles: tuple[GrantRow, ...]


@dataclass(frozen=True)
class AccountPage:
    """One account with the roles that could still be proposed and the moves that the reader may make."""

    row: AccountRow
    proposable: tuple[Role, ...]
    moves: tuple[str, ...]


@dataclass(frozen=True)
class DepartmentRow:
    """One department, its head, and who could be it."""

    id: str
    code: str
    name: str
    head: str | None
    head_name: str
    candidates: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ContactRow:
    """One contact of an organisation."""

    id: str
    name: str
    title: str
    mobile: str
    email: str
    state: State
    state_name: str
    signer: bool
    verified_at: datetime | None
    verified_by: str
    identity_check: Text | None
    valid_to: datetime | None
    age_key: bool
    organisation_id: str
    organisation: str


@dataclass(frozen=True)
class OrganisationRow:
    """One organisation in the list."""

    id: str
    name: str
    uscc: str
    category: Text
    state: State
    state_name: str
    abroad: bool | None
    verified_how: str | None
    contacts: int


@dataclass(frozen=True)
class OrganisationPage:
    """One organisation with its contacts and the moves that the reader may make."""

    row: OrganisationRow
    contacts: tuple[ContactRow, ...]
    moves: tuple[Move, ...]


@dataclass(frozen=True)
class ContactPage:
    """One contact and the moves that the reader may make."""

    row: ContactRow
    moves: tuple[Move, ...]


@dataclass(frozen=True)
class OwnPage:
    """What people see of themselves."""

    name: str
    email: str
    organisation: str | None
    age_recipient: str | None
    recovery_left: int
    language: str
    timezone: str


def account_list(deps: Deps, *, actor: Actor, now: datetime) -> list[AccountRow]:
    """Every account, by name; for SYS, ADM and GM."""
    _readers(actor, STAFF_READERS)
    with deps.database.read() as session:
        accounts = session.scalars(select(Account).order_by(Account.name, Account.id)).all()
        return [_account(session, account, now) for account in accounts]


def account_page(deps: Deps, account_id: str, *, actor: Actor, now: datetime) -> AccountPage:
    """One account; raises NotFound."""
    _readers(actor, STAFF_READERS)
    with deps.database.read() as session:
        account = session.get(Account, account_id)
        if account is None:
            raise NotFound
        row = _account(session, account, now)
        moves = tuple(m.event for m in rules.ACCOUNT.offered(account.state, actor))
        return AccountPage(row, _proposable(deps, row), moves)


def grants_waiting(deps: Deps, *, actor: Actor, now: datetime) -> list[GrantRow]:
    """Role proposals that wait for the general manager."""
    _readers(actor, STAFF_READERS)
    with deps.database.read() as session:
        grants = session.scalars(
            select(RoleGrant).where(RoleGrant.state == "PROPOSED").order_by(RoleGrant.at)
        ).all()
        return [_grant(session, grant) for grant in grants]


def department_list(deps: Deps, *, actor: Actor, now: datetime) -> list[DepartmentRow]:
    """Every department with its possible heads; for any staff member."""
    if actor.kind != "staff":
        raise NotFound
    with deps.database.read() as session:
        rows = session.scalars(select(Department).order_by(Department.code)).all()
        return [_department(session, row, now) for row in rows]


def _account(session: Session, account: Account, now: datetime) -> AccountRow:
    department = session.get(Department, account.department_id) if account.department_id else None
    grants = session.scalars(
        select(RoleGrant)
        .where(RoleGrant.account_id == account.id, RoleGrant.state != "ENDED")
        .order_by(RoleGrant.at)
    )
    return AccountRow(
        id=account.id,
        name=account.name,
        email=account.email,
        department=department.name if department else "",
        department_id=account.department_id,
        employment=account.employment,
        employment_text=rules.EMPLOYMENT[account.employment].text,
        ends_on=account.ends_on,
        state=rules.ACCOUNT.states[account.state],
        state_name=account.state,
        ended=rules.has_ended(account.ends_on, now),
        roles=tuple(_grant(session, grant) for grant in grants),
    )


def _grant(session: Session, grant: RoleGrant) -> GrantRow:
    return GrantRow(
        id=grant.id,
        account_id=grant.account_id,
        account_name=_name(session, grant.account_id),
        role=Role(grant.role),
        state=rules.GRANT_STATES[grant.state],
        state_name=grant.state,
        proposed_by=_name(session, grant.proposed_by),
        at=grant.at,
    )


def _proposable(deps: Deps, row: AccountRow) -> tuple[Role, ...]:
    held = [grant.role for grant in row.roles]
    return tuple(
        role for role in Role if role not in held and _fits(held, role, small=deps.settings.small_company)
    )


def _fits(held: Sequence[Role], role: Role, *, small: bool) -> bool:
    try:
        rules.check_roles(held, role, small=small)
    except NotAllowed:
        return False
    return True


def _department(session: Session, row: Department, now: datetime) -> DepartmentRow:
    heads = principals.holders(session, Role.HOD, now, department=row.id)
    named = tuple((key, _name(session, key)) for key in heads)
    return DepartmentRow(row.id, row.code, row.name, row.head, _name(session, row.head), named)


def _name(session: Session, account_id: str | None) -> str:
    account = session.get(Account, account_id) if account_id else None
    return account.name if account is not None else ""


def organisation_list(deps: Deps, *, actor: Actor, now: datetime) -> list[OrganisationRow]:
    """Every organisation, by name."""
    _readers(actor, PARTNER_READERS)
    with deps.database.read() as session:
        rows = session.scalars(select(Organisation).order_by(Organisation.name, Organisation.id)).all()
        return [_organisation(session, row) for row in rows]


def organisation_page(deps: Deps, organisation_id: str, *, actor: Actor, now: datetime) -> OrganisationPage:
    """One organisation; raises NotFound."""
    _readers(actor, PARTNER_READERS)
    with deps.database.read() as session:
        row = session.get(Organisation, organisation_id)
        if row is None:
            raise NotFound
        query = (
            select(Contact).where(Contact.organisation_id == row.id).order_by(Contact.created_at, Contact.id)
        )
        contacts = tuple(_contact(session, contact) for contact in session.scalars(query).all())
        return OrganisationPage(
            _organisation(session, row), contacts, _moves(rules.ORGANISATION, row.state, actor)
        )


def contact_page(deps: Deps, contact_id: str, *, actor: Actor, now: datetime) -> ContactPage:
    """One contact; raises NotFound."""
    _readers(actor, PARTNER_READERS)
    with deps.database.read() as session:
        row = session.get(Contact, contact_id)
        if row is None:
            raise NotFound
        return ContactPage(_contact(session, row), _moves(rules.CONTACT, row.state, actor))


def _moves(process: Process, state: str, actor: Actor) -> tuple[Move, ...]:
    return tuple(m for m in process.offered(state, actor) if m.event in ("suspend", "resume", "disable"))


def _organisation(session: Session, row: Organisation) -> OrganisationRow:
    contacts = session.scalars(select(Contact.id).where(Contact.organisation_id == row.id)).all()
    return OrganisationRow(
        id=row.id,
        name=row.name,
        uscc=row.uscc,
        category=rules.CATEGORIES[row.category],
        state=rules.ORGANISATION.states[row.state],
        state_name=row.state,
        abroad=row.abroad,
        verified_how=row.verified_how,
        contacts=len(contacts),
    )


def _contact(session: Session, row: Contact) -> ContactRow:
    return ContactRow(
        id=row.id,
        name=row.name,
        title=row.title,
        mobile=row.mobile,
        email=row.email,
        state=rules.CONTACT.states[row.state],
        state_name=row.state,
        signer=row.signer,
        verified_at=row.verified_at,
        verified_by=_name(session, row.verified_by),
        identity_check=rules.IDENTITY_CHECKS.get(row.identity_check or ""),
        valid_to=row.valid_to,
        age_key=row.age_recipient is not None,
        organisation_id=row.organisation_id,
        organisation=session.get_one(Organisation, row.organisation_id).name,
    )


def own_page(deps: Deps, *, actor: Actor, now: datetime) -> OwnPage:
    """The actor's own settings; raises NotFound when the person is gone."""
    with deps.database.read() as session:
        person = principals.find(session, actor.label, now)
        if person is None:
            raise NotFound
        codes = select(RecoveryCode).where(
            RecoveryCode.principal == actor.label, RecoveryCode.used_at.is_(None)
        )
        contact = session.get(Contact, actor.id) if actor.kind == "contact" else None
        organisation = (
            session.get_one(Organisation, contact.organisation_id).name if contact is not None else None
        )
        return OwnPage(
            name=person.actor.name,
            email=person.email,
            organisation=organisation,
            age_recipient=contact.age_recipient if contact is not None else None,
            recovery_left=len(session.scalars(codes).all()),
            language=person.actor.language,
            timezone=person.actor.timezone,
        )


def _readers(actor: Actor, roles: Sequence[Role]) -> None:
    if not actor.has(*roles):
        raise NotAllowed
