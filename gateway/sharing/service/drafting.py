"""Making a share: draft, edit, the live checklist, submit, cancel."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.archive.models import Case, Client, Item, ItemVersion
from gateway.archive.numbering import next_in
from gateway.audit.service import record
from gateway.db import locked, new_id
from gateway.deps import Deps
from gateway.errors import NotFound
from gateway.identity.models import Account, Contact
from gateway.identity.rules import EMPLOYMENT
from gateway.policy.parameters import Parameters
from gateway.principal import Actor, Role, Text
from gateway.sharing.errors import BadShare, NotDraft, NotForStaff
from gateway.sharing.models import Share, ShareContact, ShareItem
from gateway.sharing.rules import PURPOSES, SHARE, Contents
from gateway.workflow import move

RELATIONS = frozenset({"ENTRUST", "PROVIDE", "NOPI"})
RIGHTS = frozenset({"DOWNLOAD"})


@dataclass(frozen=True)
class Wish:
    """What a share is to hold: item ids (their newest ready versions are taken), contact ids, purpose code, days, downloads."""

    title: str
    items: tuple[str, ...]
    contacts: tuple[str, ...]
    purpose: str
    purpose_note: str = ""
    valid_days: int = 7
    download_limit: int = 3
    relation: str = "ENTRUST"
    rights: tuple[str, ...] = ("DOWNLOAD",)


def draft(deps: Deps, wish: Wish, *, actor: Actor, now: datetime) -> str:
    """Makes a draft and returns its id. Raises Invalid for a bad field, NotFound for items or contacts out of sight."""
    with deps.job(actor, "share.draft", ("share", "new"), now) as session:
        require_employment(session, actor)
        parameters = deps.parameters(session, now)
        listed = _checked(session, wish, actor, parameters)
        share = Share(
            id=new_id(),
            state="",
            number=_number(session, now),
            requester=actor.id,
            created_at=now,
            major=[],
            parameters=parameters.version,
        )
        _fill(share, wish, listed)
        move(deps, session, SHARE, share, "draft", actor=actor, now=now, number=share.number)
        _list(session, share, wish, listed, actor, now)
        return share.id


def edit(deps: Deps, share_id: str, wish: Wish, *, actor: Actor, now: datetime) -> None:
    """Replaces a draft's contents. Raises NotDraft when it was submitted, NotFound when it is somebody else's."""
    with deps.job(actor, "share.edit", ("share", share_id), now) as session:
        share = own(session, share_id, actor)
        if share.state != "DRAFT":
            raise NotDraft
        listed = _checked(session, wish, actor, deps.parameters(session, now))
        # What is changed on the row reaches the database only together with the entry that is written here.
        with session.no_autoflush:
            _fill(share, wish, listed)
            digest = share.version_hash
            share.leaf = record(
                session, "share.edit", actor=actor, obj=("share", share.id), now=now, version_hash=digest
            )
        for row in [*items_of(session, share.id), *contacts_of(session, share.id)]:
            session.delete(row)
        session.flush()
        _list(session, share, wish, listed, actor, now)


def cancel(deps: Deps, share_id: str, *, actor: Actor, now: datetime) -> None:
    """Ends a draft or a share under review."""
    with deps.job(actor, "share.cancel", ("share", share_id), now) as session:
        move(deps, session, SHARE, own(session, share_id, actor), "cancel", actor=actor, now=now)


def require_employment(session: Session, actor: Actor) -> None:
    """Raises NotForStaff unless the actor's employment type may share with the outside."""
    account = session.get(Account, actor.id)
    if account is None or not EMPLOYMENT[account.employment].external_share:
        raise NotForStaff


def own(session: Session, share_id: str, actor: Actor) -> Share:
    """The locked share of this applicant; NotFound for anyone else's."""
    share = locked(session, Share, share_id)
    if share is None or share.requester != actor.id:
        raise NotFound
    return share


def contents_of(session: Session, share: Share) -> Contents:
    """The share's contents as the approvals bind to them."""
    return Contents(
        items=tuple(sorted((row.item_id, row.version) for row in items_of(session, share.id))),
        contacts=tuple(sorted(row.contact_id for row in contacts_of(session, share.id))),
        client=share.client_id,
        purpose=share.purpose,
        rights=tuple(sorted(share.rights)),
        valid_days=share.valid_days,
        download_limit=share.download_limit,
        relation=share.relation,
    )


def items_of(session: Session, share_id: str) -> list[ShareItem]:
    return list(
        session.scalars(select(ShareItem).where(ShareItem.share_id == share_id).order_by(ShareItem.item_id))
    )


def contacts_of(session: Session, share_id: str) -> list[ShareContact]:
    return list(
        session.scalars(
            select(ShareContact).where(ShareContact.share_id == share_id).order_by(ShareContact.contact_id)
        )
    )


@dataclass(frozen=True)
class _Listed:
    """The wish against the archive: item versions, their one client and department."""

    versions: tuple[tuple[str, int], ...]
    client: str
    department: str


def _checked(session: Session, wish: Wish, actor: Actor, parameters: Parameters) -> _Listed:
    _check_fields(wish, parameters)
    for contact_id in wish.contacts:
        contact = session.get(Contact, contact_id)
        if contact is None or contact.state not in ("ACTIVE", "ENROLLED", "INVITED"):
            raise BadShare("contacts", Text("联系人不可用。", "This contact cannot be chosen."))
    rows = [_newest(session, item_id) for item_id in dict.fromkeys(wish.items)]
    cases = {case.id: case for _, case, _ in rows}
    clients = {case.client_id for case in cases.values()}
    if len(clients) != 1:
        raise BadShare(
            "items", Text("一次共享只能含一位客户的文件。", "A share holds items of one client only.")
        )
    client = session.get(Client, clients.pop())
    if client is None or not may_share(client, actor):
        raise NotFound
    return _Listed(
        tuple((item.id, version.version) for item, _, version in rows), client.id, client.department_id
    )


def may_share(client: Client, actor: Actor) -> bool:
    """Capability 对外共享申请: the head for the own department, business staff for their own clients (policy.md §1)."""
    if actor.has(Role.HOD) and actor.department == client.department_id:
        return True
    return actor.has(Role.BIZ) and client.owner == actor.id


def _check_fields(wish: Wish, parameters: Parameters) -> None:
    if not 1 <= len(wish.title.strip()) <= 100:
        raise BadShare("title", Text("请填写题名，100 字以内。", "Give a title of up to 100 characters."))
    if wish.purpose not in PURPOSES:
        raise BadShare("purpose", Text("请选择用途。", "Choose a purpose."))
    if wish.purpose == "P99" and len(wish.purpose_note.strip()) < 10:
        raise BadShare(
            "purpose_note",
            Text("其他用途须说明，至少 10 字。", "Explain the other purpose in at least 10 characters."),
        )
    if not 1 <= len(wish.items) <= parameters["share.items"]:
        raise BadShare(
            "items",
            Text(
                f"请选 1 到 {parameters['share.items']} 个文件。",
                f"Choose 1 to {parameters['share.items']} items.",
            ),
        )
    if not 1 <= len(wish.contacts) <= parameters["share.contacts"]:
        raise BadShare(
            "contacts",
            Text(
                f"请选 1 到 {parameters['share.contacts']} 位联系人。",
                f"Choose 1 to {parameters['share.contacts']} contacts.",
            ),
        )
    if not 1 <= wish.valid_days <= 30:
        raise BadShare("valid_days", Text("期限请填 1 到 30 天。", "Validity is 1 to 30 days."))
    if not 1 <= wish.download_limit <= 10:
        raise BadShare("download_limit", Text("下载次数请填 1 到 10。", "Downloads are 1 to 10."))
    if wish.relation not in RELATIONS or not set(wish.rights) <= RIGHTS or not wish.rights:
        raise BadShare("relation", Text("请选择合作关系与权限。", "Choose a relation and rights."))


def _newest(session: Session, item_id: str) -> tuple[Item, Case, ItemVersion]:
    item = session.get(Item, item_id)
    case = session.get(Case, item.case_id) if item is not None else None
    query = (
        select(ItemVersion)
        .where(ItemVersion.item_id == item_id, ItemVersion.state == "READY")
        .order_by(ItemVersion.version.desc())
    )
    version = session.scalars(query.limit(1)).first()
    if item is None or case is None:
        raise NotFound
    if version is None:
        raise BadShare(
            "items",
            Text(f"文件还没有可用的版本：{item.title}", f"This item has no ready version: {item.title}"),
        )
    return item, case, version


def _fill(share: Share, wish: Wish, listed: _Listed) -> None:
    share.title, share.purpose, share.purpose_note = (
        wish.title.strip(),
        wish.purpose,
        wish.purpose_note.strip(),
    )
    share.client_id, share.department_id = listed.client, listed.department
    share.valid_days, share.download_limit = wish.valid_days, wish.download_limit
    share.relation, share.rights = wish.relation, sorted(wish.rights)
    contents = Contents(
        listed.versions, tuple(sorted(set(wish.contacts))), listed.client, wish.purpose, tuple(sorted(wish.rights)),
        wish.valid_days, wish.download_limit, wish.relation,
    )  # fmt: skip
    share.version_hash = contents.digest()


def _list(session: Session, share: Share, wish: Wish, listed: _Listed, actor: Actor, now: datetime) -> None:
    leaf = record(
        session,
        "share.contents",
        actor=actor,
        obj=("share", share.id),
        now=now,
        version_hash=share.version_hash,
    )
    for item_id, version in listed.versions:
        session.add(ShareItem(id=new_id(), share_id=share.id, item_id=item_id, version=version, leaf=leaf))
    for contact_id in dict.fromkeys(wish.contacts):
        session.add(ShareContact(id=new_id(), share_id=share.id, contact_id=contact_id, leaf=leaf))
    session.flush()


def _number(session: Session, now: datetime) -> str:
    series = f"GX-{now:%Y}"
    return f"{series}-{next_in(session, series):04d}"
