"""What the share form offers: cases with shareable items, the items of one client, contacts of active
organisations."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.archive.models import Case, Item
from gateway.archive.service import ShareableItem, items_for_share
from gateway.deps import Deps
from gateway.errors import NotFound
from gateway.identity.models import Contact, Organisation
from gateway.principal import Actor
from gateway.sharing.models import Share, ShareContact, ShareItem


@dataclass(frozen=True)
class CaseChoice:
    """A case with items that may be shared."""

    id: str
    number: str
    title: str
    items: int


@dataclass(frozen=True)
class ContactChoice:
    """A contact that may be named in a share."""

    id: str
    name: str
    organisation: str


@dataclass(frozen=True)
class WizardChoices:
    """The items of the case's client, those of the case itself first, and the contacts."""

    items: tuple[ShareableItem, ...]
    contacts: tuple[ContactChoice, ...]
    valid_days: int
    download_limit: int


@dataclass(frozen=True)
class DraftValues:
    """A draft as it stands, to fill the form; `case` is one of its items' cases."""

    number: str
    case: str
    title: str
    items: tuple[str, ...]
    contacts: tuple[str, ...]
    purpose: str
    purpose_note: str
    relation: str
    valid_days: int
    download_limit: int


def case_choices(deps: Deps, *, actor: Actor, now: datetime) -> tuple[CaseChoice, ...]:
    """Cases from which the actor may share something, by number."""
    counts: dict[str, int] = {}
    for item in items_for_share(deps, actor=actor, now=now):
        counts[item.case_id] = counts.get(item.case_id, 0) + 1
    with deps.database.read() as session:
        cases = sorted((session.get_one(Case, i) for i in counts), key=lambda c: c.number or "")
        return tuple(CaseChoice(c.id, c.number or c.temp_no, c.title, counts[c.id]) for c in cases)


def wizard_choices(deps: Deps, case_id: str, *, actor: Actor, now: datetime) -> WizardChoices:
    """What may be put into a share that starts from a case; raises NotFound when nothing of it may be shared
    by the actor."""
    with deps.database.read() as session:
        case = session.get(Case, case_id)
        client = case.client_id if case is not None else None
    items = items_for_share(deps, actor=actor, now=now, client_id=client) if client else []
    if not any(item.case_id == case_id for item in items):
        raise NotFound
    with deps.database.read() as session:
        parameters = deps.parameters(session, now)
        return WizardChoices(
            items=tuple(sorted(items, key=lambda i: (i.case_id != case_id, i.number))),
            contacts=tuple(_contacts(session)),
            valid_days=parameters["share.valid_days"],
            download_limit=parameters["share.download_limit"],
        )


def _contacts(session: Session) -> list[ContactChoice]:
    query = (
        select(Contact.id, Contact.name, Organisation.name)
        .join(Organisation, Organisation.id == Contact.organisation_id)
        .where(Contact.state.in_(("ACTIVE", "ENROLLED", "INVITED")), Organisation.state == "ACTIVE")
        .order_by(Organisation.name, Contact.name)
    )
    return [ContactChoice(*row) for row in session.execute(query)]


def draft_values(deps: Deps, share_id: str, *, actor: Actor, now: datetime) -> DraftValues:
    """A draft of the actor's own; NotFound for any other share."""
    with deps.database.read() as session:
        share = session.get(Share, share_id)
        if share is None or share.requester != actor.id or share.state != "DRAFT":
            raise NotFound
        items = tuple(session.scalars(select(ShareItem.item_id).where(ShareItem.share_id == share.id)))
        contacts = tuple(
            session.scalars(select(ShareContact.contact_id).where(ShareContact.share_id == share.id))
        )
        return DraftValues(
            number=share.number,
            case=_case(session, items),
            title=share.title,
            items=items,
            contacts=contacts,
            purpose=share.purpose,
            purpose_note=share.purpose_note,
            relation=share.relation,
            valid_days=share.valid_days,
            download_limit=share.download_limit,
        )


def _case(session: Session, items: tuple[str, ...]) -> str:
    return session.get_one(Item, items[0]).case_id
