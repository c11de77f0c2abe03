"""The partner's own shares, bundles and record; anything of somebody else's is NotFound."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.archive.models import Item, ItemVersion
from gateway.audit import queries as log
from gateway.deps import Deps
from gateway.errors import NotFound
from gateway.identity.models import Contact, Organisation
from gateway.jobs.service import view
from gateway.principal import Actor
from gateway.sharing.models import (
    Bundle,
    Collection,
    Copy,
    Counter,
    RevealedSecret,
    Share,
    ShareContact,
    ShareItem,
    Transfer,
)
from gateway.sharing.queries.results import (
    BundlePage,
    BundleRow,
    CopyRow,
    Making,
    MyHome,
    MyItem,
    MyRecord,
    MyShare,
    Receipt,
    RecordRow,
    TicketFile,
)
from gateway.sharing.rules import BUNDLE, PURPOSES, SHARE
from gateway.signing.models import Agreement
from gateway.signing.rules import GOVERNING
from gateway.signing.service import pledging

SHOWN = ("ACTIVE", "SUSPENDED", "REVOKED", "EXPIRED")
MOST = 200


def my_shares(deps: Deps, *, actor: Actor, now: datetime) -> MyHome:
    """The shares that name this contact and were in force at some time, live ones first;
    and what they still have to sign."""
    with deps.database.read() as session:
        query = (
            select(Share)
            .join(ShareContact, ShareContact.share_id == Share.id)
            .where(ShareContact.contact_id == actor.id, Share.state.in_(SHOWN))
            .order_by(Share.ends, Share.number)
            .limit(MOST)
        )
        shares = [_share(session, row, actor, now) for row in session.scalars(query)]
        covered, pledge = _standing(session, actor, now)
        waiting = select(Agreement.number).where(
            Agreement.signer_id == actor.id, Agreement.state.in_(("SENT", "VIEWED"))
        )
        return MyHome(
            live=tuple(s for s in shares if s.live),
            ended=tuple(reversed([s for s in shares if not s.live])),
            to_sign=tuple(session.scalars(waiting.order_by(Agreement.number))),
            covered=covered,
            pledge=pledge,
        )


def _standing(session: Session, actor: Actor, now: datetime) -> tuple[bool, bool]:
    query = select(Agreement.id).where(
        Agreement.organisation_id == actor.organisation,
        Agreement.state.in_(GOVERNING),
        Agreement.valid_from <= now,
        Agreement.valid_to > now,
    )
    current = list(session.scalars(query))
    return bool(current), bool(current) and not any(pledging.pledged(session, actor.id, a) for a in current)


def my_share(deps: Deps, share_id: str, *, actor: Actor, now: datetime) -> MyShare:
    """One share; raises NotFound unless it names this contact and was in force at some time."""
    with deps.database.read() as session:
        named = select(ShareContact.id).where(
            ShareContact.share_id == share_id, ShareContact.contact_id == actor.id
        )
        share = session.get(Share, share_id)
        if share is None or share.state not in SHOWN or session.scalars(named).first() is None:
            raise NotFound
        return _share(session, share, actor, now)


def _share(session: Session, share: Share, actor: Actor, now: datetime) -> MyShare:
    contact = session.get_one(Contact, actor.id)
    items = tuple(_items(session, share, actor))
    state = SHARE.states[share.state]
    hours, left = _hours(share, now)
    bundles = (
        select(Bundle)
        .where(Bundle.share_id == share.id, Bundle.contact_id == actor.id)
        .order_by(Bundle.prepared_at.desc())
    )
    return MyShare(
        id=share.id,
        number=share.number,
        purpose=PURPOSES[share.purpose],
        state=share.state,
        text=state.text,
        tone=state.tone,
        starts=share.starts,
        ends=share.ends,
        items=items,
        bundles=tuple(bundle_row(session, row) for row in session.scalars(bundles.limit(MOST))),
        formats=_formats([i.kind for i in items], has_key=contact.age_recipient is not None),
        limit=share.download_limit,
        hours=hours,
        hours_left=left,
        organisation=session.get_one(Organisation, contact.organisation_id).name,
    )


def _hours(share: Share, now: datetime) -> tuple[int, int]:
    if share.starts is None or share.ends is None:
        return 1, 0
    whole, left = share.ends - share.starts, share.ends - now
    return max(1, int(whole.total_seconds() // 3600)), max(0, int(left.total_seconds() // 3600))


def _items(session: Session, share: Share, actor: Actor) -> list[MyItem]:
    counters = select(Counter).where(Counter.share_id == share.id, Counter.contact_id == actor.id)
    spent = {row.item_id: (row.used, row.limit) for row in session.scalars(counters)}
    query = (
        select(Item, ItemVersion)
        .join(ShareItem, ShareItem.item_id == Item.id)
        .join(ItemVersion, (ItemVersion.item_id == Item.id) & (ItemVersion.version == ShareItem.version))
        .where(ShareItem.share_id == share.id)
        .order_by(Item.case_id, Item.number)
    )
    return [
        MyItem(
            item.id, item.title, row.kind or "", row.pages or 0, row.size or 0, *spent.get(item.id, (0, 0))
        )
        for item, row in session.execute(query)
    ]


def _formats(kinds: Sequence[str], *, has_key: bool) -> tuple[str, ...]:
    offered = [""]
    if len(kinds) > 1 and set(kinds) == {"pdf"}:
        offered.append("pdf")
    if list(kinds) == ["pdf"]:
        offered.append("zip")
    return (*offered, "age") if has_key else tuple(offered)


def bundle_row(session: Session, bundle: Bundle) -> BundleRow:
    """A bundle with its copies' numbers."""
    state = BUNDLE.states[bundle.state]
    return BundleRow(
        id=bundle.id,
        state=bundle.state,
        text=state.text,
        tone=state.tone,
        format=bundle.format,
        copies=copies_of(session, bundle.id),
        prepared_at=bundle.prepared_at,
        expires_at=bundle.expires_at,
        size=bundle.size,
    )


def copies_of(session: Session, bundle_id: str) -> tuple[CopyRow, ...]:
    """The copies in a bundle by number."""
    query = (
        select(Copy, Item.title)
        .join(Item, Item.id == Copy.item_id)
        .where(Copy.bundle_id == bundle_id)
        .order_by(Copy.number)
    )
    return tuple(
        CopyRow(
            copy.number,
            *parts(copy.number),
            title,
            copy.file_name,
            len((copy.report or {}).get("pages") or []),
        )
        for copy, title in session.execute(query)
    )


def parts(number: str) -> tuple[str, str]:
    """A copy number as its item's number and the copy's suffix."""
    base, mark, suffix = number.rpartition("_")
    return (base, mark + suffix) if mark else (number, "")


def bundle_page(deps: Deps, bundle_id: str, *, actor: Actor, now: datetime) -> BundlePage:
    """One bundle of this contact; NotFound for anyone else's."""
    with deps.database.read() as session:
        bundle = session.get(Bundle, bundle_id)
        if bundle is None or bundle.contact_id != actor.id or actor.kind != "contact":
            raise NotFound
        share = session.get_one(Share, bundle.share_id)
        found = session.scalars(select(Collection).where(Collection.bundle_id == bundle.id)).first()
        left, limit = _left(session, bundle)
        return BundlePage(
            row=bundle_row(session, bundle),
            share_id=share.id,
            share_number=share.number,
            share_state=share.state,
            purpose=PURPOSES[share.purpose],
            file_name=bundle.file_name,
            sha256=bundle.sha256 or "",
            failure=bundle.failure or "",
            making=_making(session, bundle),
            left=left,
            limit=limit,
            collected_at=found.at if found else None,
            window_until=found.window_until if found else None,
            receipt=receipt(session, found.collect_leaf) if found else None,
            secret=_secret(session, bundle, found, actor, now),
            secret_shown_at=found.secret_shown_at if found else None,
            secret_until=found.secret_until if found else None,
        )


def _left(session: Session, bundle: Bundle) -> tuple[int, int]:
    query = (
        select(Counter)
        .join(Copy, Copy.item_id == Counter.item_id)
        .where(
            Copy.bundle_id == bundle.id,
            Counter.share_id == bundle.share_id,
            Counter.contact_id == bundle.contact_id,
        )
    )
    rows = list(session.scalars(query))
    return min((max(0, r.limit - r.used) for r in rows), default=0), min((r.limit for r in rows), default=0)


def _making(session: Session, bundle: Bundle) -> Making:
    job = view(session, bundle.job_id) if bundle.job_id and bundle.state == "PREPARING" else None
    if job is None or job.total < 3:
        return Making(-1, 0, 0)
    # The job counts one for each item, then the log, then the encryption.
    items = job.total - 2
    return Making(max(0, job.done - items + 1) if job.done >= items else 0, min(job.done, items), items)


def _secret(session: Session, bundle: Bundle, found: Collection | None, actor: Actor, now: datetime) -> str:
    if bundle.format == "age" or found is None:
        return "none"
    if session.get(RevealedSecret, bundle.id) is None or found.acknowledged_at is not None:
        return "gone"
    if found.secret_until is None:
        return "waiting"
    if now >= found.secret_until:
        return "gone"
    return "again" if found.secret_session == actor.session else "elsewhere"


def receipt(session: Session, leaf: str) -> Receipt:
    """Where an entry stands in the log."""
    entry = log.find(session, leaf)
    return Receipt(leaf, entry.seq if entry else None, entry.checkpoint if entry else None)


def ticket_file(deps: Deps, ticket: str, *, actor: Actor, now: datetime) -> TicketFile:
    """Size and digest behind a ticket, to answer a range by;
    NotFound for one of another session or contact, or past its window."""
    digest = hashlib.sha256(ticket.encode()).hexdigest()
    with deps.database.read() as session:
        found = session.scalars(select(Collection).where(Collection.ticket_hash == digest)).first()
        if (
            found is None
            or found.contact_id != actor.id
            or found.session_id != actor.session
            or now >= found.window_until
        ):
            raise NotFound
        bundle = session.get_one(Bundle, found.bundle_id)
        return TicketFile(bundle.size, bundle.sha256 or "")


def my_record(deps: Deps, *, actor: Actor, now: datetime) -> MyRecord:
    """This contact's own collections, newest first."""
    with deps.database.read() as session:
        query = (
            select(Collection, Bundle, Share)
            .join(Bundle, Bundle.id == Collection.bundle_id)
            .join(Share, Share.id == Bundle.share_id)
            .where(Collection.contact_id == actor.id)
            .order_by(Collection.at.desc())
            .limit(MOST)
        )
        return MyRecord(tuple(_record_row(session, *row) for row in session.execute(query)))


def _record_row(session: Session, found: Collection, bundle: Bundle, share: Share) -> RecordRow:
    transfers = select(Transfer.outcome).where(Transfer.collection_id == found.id)
    outcomes = set(session.scalars(transfers))
    return RecordRow(
        bundle_id=bundle.id,
        share_number=share.number,
        copies=copies_of(session, bundle.id),
        format=bundle.format,
        size=bundle.size,
        sha256=bundle.sha256 or "",
        at=found.at,
        outcome="COMPLETED"
        if "COMPLETED" in outcomes
        else "ABORTED"
        if "ABORTED" in outcomes
        else "RUNNING"
        if "RUNNING" in outcomes
        else "",
        receipt=receipt(session, found.collect_leaf),
    )
