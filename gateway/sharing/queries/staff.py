"""The register 对外提供登记表, one share with everything about it, and what waits for the reader."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gateway.archive import service as archive
from gateway.archive.models import Case, Client, Item, ItemVersion
from gateway.archive.rules import item_number
from gateway.archive.subjects import mask_title
from gateway.deps import Deps
from gateway.errors import NotFound
from gateway.identity.models import Account, Contact, Department, Organisation
from gateway.principal import Actor, Role
from gateway.sharing.models import Approval, Bundle, Collection, Copy, Counter, Share, ShareContact, ShareItem
from gateway.sharing.queries.partner import parts
from gateway.sharing.queries.reach import acts, decides, is_masked, may_see, rest_on, visible_shares
from gateway.sharing.queries.results import (
    ApprovalLine,
    ContactLine,
    CopyLine,
    ItemLine,
    ShareFilter,
    ShareList,
    SharePage,
    ShareRow,
)
from gateway.sharing.queries.timeline import timeline
from gateway.sharing.rules import COPY, PURPOSES, REVIEWS, SHARE, STAGE_OF, stages
from gateway.signing.models import Agreement
from gateway.signing.rows import entrustment
from gateway.signing.rules import GOVERNING

MOST = 200
STAGES = ("DEPT", "ARC", "GM")


def share_list(deps: Deps, asked: ShareFilter, *, actor: Actor, now: datetime) -> ShareList:
    """The newest shares the reader may know of; titles masked as policy.md §1 says."""
    query = (
        select(Share)
        .where(visible_shares(actor))
        .order_by(Share.created_at.desc(), Share.number.desc())
        .limit(MOST)
    )
    if asked.state:
        query = query.where(Share.state == asked.state)
    if asked.purpose:
        query = query.where(Share.purpose == asked.purpose)
    if asked.organisation:
        named = select(ShareContact.share_id).join(Contact, Contact.id == ShareContact.contact_id)
        query = query.where(Share.id.in_(named.where(Contact.organisation_id == asked.organisation)))
    with deps.database.read() as session:
        if asked.agreement:
            query = query.where(rest_on(session.get(Agreement, asked.agreement)))
        rows = tuple(_row(session, share, actor, now) for share in session.scalars(query))
        names = select(Organisation.id, Organisation.name).order_by(Organisation.name)
        return ShareList(rows, tuple((i, name) for i, name in session.execute(names)))


def waiting(deps: Deps, *, actor: Actor, now: datetime) -> tuple[ShareRow, ...]:
    """Shares that wait for this person's decision, the most urgent first."""
    with deps.database.read() as session:
        return tuple(_row(session, share, actor, now) for share in _waiting(session, actor, now))


def waiting_count(deps: Deps, *, actor: Actor, now: datetime) -> int:
    """How many shares wait for this person."""
    with deps.database.read() as session:
        return len(_waiting(session, actor, now))


def _waiting(session: Session, actor: Actor, now: datetime) -> list[Share]:
    if not actor.has(Role.HOD, Role.DGM, Role.ARC, Role.GM):
        return []
    query = (
        select(Share)
        .where(Share.state.in_(REVIEWS), visible_shares(actor))
        .order_by(Share.due_at, Share.number)
    )
    return [share for share in session.scalars(query) if decides(session, share, actor, now)]


def share_page(deps: Deps, share_id: str, *, actor: Actor, now: datetime) -> SharePage:
    """One share; raises NotFound for one out of the reader's knowledge."""
    with deps.database.read() as session:
        share = session.get(Share, share_id)
        if share is None or not may_see(share, actor):
            raise NotFound
        masked = is_masked(session, share, actor, now)
        contacts = tuple(_contacts(session, share, now))
        states = [line for contact in contacts for line in contact.copies]
        return SharePage(
            row=_row(session, share, actor, now),
            relation=share.relation,
            note="" if masked else share.purpose_note,
            valid_days=share.valid_days,
            download_limit=share.download_limit,
            starts=share.starts,
            submitted_at=share.submitted_at,
            created_at=share.created_at,
            version_hash=share.version_hash,
            major=tuple(share.major),
            items=tuple(_items(session, share, actor, now, masked=masked)),
            contacts=contacts,
            approvals=tuple(_approvals(session, share)),
            timeline=timeline(session, share.id, _bundles(session, share.id)),
            acts=acts(session, share, actor, now),
            masked=masked,
            own=share.requester == actor.id,
            uncollected=sum(
                1 for line in states if line.collected_at is None and line.tone in ("ok", "wait")
            ),
            collected=sum(1 for line in states if line.collected_at is not None),
        )


def _row(session: Session, share: Share, actor: Actor, now: datetime) -> ShareRow:
    state = SHARE.states[share.state]
    client = session.get(Client, share.client_id)
    return ShareRow(
        id=share.id,
        number=share.number,
        title=mask_title(share.title) if is_masked(session, share, actor, now) else share.title,
        state=share.state,
        text=state.text,
        tone=state.tone,
        purpose=share.purpose,
        purpose_text=PURPOSES[share.purpose],
        organisations=_organisations(session, share.id),
        client_no=client.client_no if client is not None else "",
        items=_count(session, ShareItem, share.id),
        copies=_count(session, Copy, share.id),
        requester=_name(session, share.requester),
        department=_department(session, share.department_id),
        ends=share.ends,
        due=share.due_at if share.state in REVIEWS else None,
    )


def _count(session: Session, model: type[ShareItem] | type[Copy], share_id: str) -> int:
    return session.scalar(select(func.count()).select_from(model).where(model.share_id == share_id)) or 0


def _organisations(session: Session, share_id: str) -> tuple[str, ...]:
    query = (
        select(Organisation.name)
        .join(Contact, Contact.organisation_id == Organisation.id)
        .join(ShareContact, ShareContact.contact_id == Contact.id)
        .where(ShareContact.share_id == share_id)
        .distinct()
        .order_by(Organisation.name)
    )
    return tuple(session.scalars(query))


def _name(session: Session, account: str) -> str:
    row = session.get(Account, account)
    return row.name if row is not None else ""


def _department(session: Session, department: str) -> str:
    row = session.get(Department, department)
    return row.name if row is not None else ""


def _items(session: Session, share: Share, actor: Actor, now: datetime, *, masked: bool) -> list[ItemLine]:
    query = (
        select(ShareItem.version, Item, Case, ItemVersion)
        .join(Item, Item.id == ShareItem.item_id)
        .join(Case, Case.id == Item.case_id)
        .join(ItemVersion, (ItemVersion.item_id == Item.id) & (ItemVersion.version == ShareItem.version))
        .where(ShareItem.share_id == share.id)
        .order_by(Case.number, Item.number)
    )

    def hidden(item: Item) -> bool:
        # An applicant reads of an item what the archive lets them read, here as there.
        return share.requester == actor.id and not archive.may_see(session, actor, item, now).titles

    return [
        ItemLine(
            id=item.id,
            number=item_number(case.number or case.temp_no, item.number),
            version=version,
            title=mask_title(item.title) if masked or hidden(item) else item.title,
            level=item.level,
            classes=tuple(item.classes),
            kind=row.kind or "",
            pages=row.pages,
            newest=item.version == version,
        )
        for version, item, case, row in session.execute(query)
    ]


def _contacts(session: Session, share: Share, now: datetime) -> list[ContactLine]:
    query = (
        select(Contact, Organisation)
        .join(Organisation, Organisation.id == Contact.organisation_id)
        .join(ShareContact, ShareContact.contact_id == Contact.id)
        .where(ShareContact.share_id == share.id)
        .order_by(Organisation.name, Contact.name)
    )
    return [
        _contact(session, share, contact, organisation, now)
        for contact, organisation in session.execute(query)
    ]


def _contact(
    session: Session, share: Share, contact: Contact, organisation: Organisation, now: datetime
) -> ContactLine:
    agreements = select(Agreement).where(
        Agreement.organisation_id == organisation.id,
        Agreement.kind == "NDA",
        Agreement.state.in_(GOVERNING),
        Agreement.valid_from <= now,
        Agreement.valid_to > now,
    )
    held = session.scalars(agreements.order_by(Agreement.created_at.desc())).first()
    counters = list(
        session.scalars(select(Counter).where(Counter.share_id == share.id, Counter.contact_id == contact.id))
    )
    return ContactLine(
        id=contact.id,
        name=contact.name,
        organisation=organisation.name,
        state=contact.state,
        organisation_id=organisation.id,
        agreement=held.number if held else "",
        agreement_id=held.id if held else "",
        agreement_to=held.valid_to if held else None,
        entrustment=entrustment(held) if held else (),
        used=max((c.used for c in counters), default=0),
        limit=share.download_limit,
        copies=tuple(_copies(session, share.id, contact.id)),
    )


def _copies(session: Session, share_id: str, contact_id: str) -> list[CopyLine]:
    query = (
        select(Copy, Bundle, Collection)
        .join(Bundle, Bundle.id == Copy.bundle_id)
        .outerjoin(Collection, Collection.bundle_id == Bundle.id)
        .where(Copy.share_id == share_id, Copy.contact_id == contact_id)
        .order_by(Copy.created_at.desc(), Copy.number)
    )
    return [_copy(copy, bundle, found) for copy, bundle, found in session.execute(query)]


def _copy(copy: Copy, bundle: Bundle, found: Collection | None) -> CopyLine:
    state = COPY.states[copy.state]
    return CopyLine(
        *parts(copy.number),
        text=state.text,
        tone=state.tone,
        format=bundle.format,
        at=copy.created_at,
        collected_at=found.at if found is not None else None,
        shown_at=found.secret_shown_at if found is not None else None,
        secret=bundle.format != "age",
    )


def _approvals(session: Session, share: Share) -> list[ApprovalLine]:
    query = select(Approval).where(Approval.share_id == share.id).order_by(Approval.at)
    lines = [
        ApprovalLine(a.stage, a.decision, _name(session, a.approver), a.at, a.reason)
        for a in session.scalars(query)
    ]
    if share.state not in REVIEWS:
        return lines
    needed = stages(share.major)
    return lines + [
        ApprovalLine(s, "", "", None, "")
        for s in STAGES[STAGES.index(STAGE_OF[share.state]) :]
        if s in needed
    ]


def _bundles(session: Session, share_id: str) -> Sequence[str]:
    query = select(Bundle.id).where(Bundle.share_id == share_id).order_by(Bundle.prepared_at.desc()).limit(30)
    return list(session.scalars(query))
