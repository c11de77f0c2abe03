"""Stopping a share, by a person or because something it rests on ended; and the sweep that moves states on (policy.md §3.6)."""

from collections.abc import Callable, Iterable
from datetime import datetime

import structlog
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from gateway.archive.models import Client
from gateway.audit.models import Leaf
from gateway.audit.standing import require_newest
from gateway.db import locked
from gateway.deps import Deps, Event
from gateway.errors import NotAllowed, NotFound, TamperedRow
from gateway.identity.models import Contact
from gateway.notify.service import Recipient, tell
from gateway.principal import SYSTEM, Actor, Role
from gateway.sharing.models import Bundle, Collection, RevealedSecret, Share, ShareContact
from gateway.sharing.rules import BUNDLE, LIVE, REVIEWS, SHARE
from gateway.sharing.service.collecting import forget_secret
from gateway.sharing.service.drafting import may_share
from gateway.sharing.service.making import void_copies
from gateway.signing.models import Agreement
from gateway.workflow import expire, move

ENDED = ("REVOKED", "EXPIRED")
RESTORED = "restore.done"

log = structlog.get_logger()


def revoke(deps: Deps, share_id: str, reason: str, *, actor: Actor, now: datetime) -> None:
    """Ends a share at once: running downloads stop within 1 MiB, uncollected bundles are void, every contact is told."""
    with deps.job(actor, "share.revoke", ("share", share_id), now) as session:
        share = _in_reach(session, share_id, actor)
        move(deps, session, SHARE, share, "revoke", actor=actor, now=now, reason=reason)
        _stopped(deps, session, share, "REVOKED", now)


def suspend(deps: Deps, share_id: str, reason: str, *, actor: Actor, now: datetime) -> None:
    """Pauses a share; 行政部 resumes it."""
    with deps.job(actor, "share.suspend", ("share", share_id), now) as session:
        share = _found(session, share_id)
        move(deps, session, SHARE, share, "suspend", actor=actor, now=now, reason=reason)
        _tell(session, share, "暂停", now)


def resume(deps: Deps, share_id: str, reason: str, *, actor: Actor, now: datetime) -> None:
    """Lets a paused share go on; the gate still judges every condition anew."""
    with deps.job(actor, "share.resume", ("share", share_id), now) as session:
        share = _found(session, share_id)
        move(deps, session, SHARE, share, "resume", actor=actor, now=now, reason=reason)
        _tell(session, share, "恢复", now)


def sweep(deps: Deps, *, now: datetime) -> int:
    """Moves what time has ended: approvals, validity, uncollected bundles, passphrases. Idempotent; returns how many moved."""
    shares = _ids(deps, select(Share.id).where(Share.state.in_((*REVIEWS, *LIVE))))
    over = select(Bundle.id).where(Bundle.state.in_(("PREPARING", "READY")), Bundle.expires_at <= now)
    moved = sum(_swept(deps, "share", one, now, _close_share) for one in shares)
    moved += sum(_swept(deps, "bundle", one, now, _close_bundle) for one in _ids(deps, over))
    return moved + sum(_swept(deps, "bundle", one, now, _forget) for one in _to_forget(deps, now))


Sweeper = Callable[[Deps, Session, str, datetime], int]


def _swept(deps: Deps, kind: str, key: str, now: datetime, sweeper: Sweeper) -> int:
    try:
        with deps.job(SYSTEM, f"{kind}.sweep", (kind, key), now) as session:
            return sweeper(deps, session, key, now)
    except TamperedRow:
        # One altered row must not keep the others from ending; whoever opens it is refused and alarmed.
        log.critical("tampered_row", kind=kind, id=key)
        return 0


def _close_share(deps: Deps, session: Session, share_id: str, now: datetime) -> int:
    share = _found(session, share_id)
    moved = expire(deps, session, SHARE, [share], actor=SYSTEM, now=now)
    if moved and share.state == "EXPIRED":
        _abandon(deps, session, share, "EXPIRED", now)
    return moved


def _close_bundle(deps: Deps, session: Session, bundle_id: str, now: datetime) -> int:
    return _abandon_one(deps, session, bundle_id, "UNCOLLECTED", now)


def _forget(deps: Deps, session: Session, bundle_id: str, now: datetime) -> int:
    forget_secret(deps, session, bundle_id)
    return 1


def _to_forget(deps: Deps, now: datetime) -> list[str]:
    # Shown for its ten minutes, or never to be shown any more because the share has ended.
    query = (
        select(RevealedSecret.bundle_id)
        .join(Bundle, Bundle.id == RevealedSecret.bundle_id)
        .join(Share, Share.id == Bundle.share_id)
        .outerjoin(Collection, Collection.bundle_id == Bundle.id)
        .where(or_(Collection.secret_until <= now, Share.state.in_(ENDED)))
    )
    return _ids(deps, query)


def _ids(deps: Deps, query: object) -> list[str]:
    with deps.database.read() as session:
        return list(session.scalars(query))  # type: ignore[call-overload]


def _found(session: Session, share_id: str) -> Share:
    share = locked(session, Share, share_id)
    if share is None:
        raise NotFound
    return share


def _in_reach(session: Session, share_id: str, actor: Actor) -> Share:
    # Everyone of 撤销共享 in policy.md §1: A for GM, DGM, ADM and ARC; own department for HOD; own clients for BIZ.
    share = _found(session, share_id)
    everywhere = actor.has(Role.GM, Role.DGM, Role.ADM, Role.ARC)
    client = session.get(Client, share.client_id)
    if (
        not everywhere
        and share.requester != actor.id
        and not (client is not None and may_share(client, actor))
    ):
        raise NotAllowed
    return share


def _stopped(deps: Deps, session: Session, share: Share, cause: str, now: datetime) -> None:
    _abandon(deps, session, share, cause, now)
    _tell(session, share, "撤销", now)


def _abandon(deps: Deps, session: Session, share: Share, cause: str, now: datetime) -> None:
    for bundle_id in list(
        session.scalars(
            select(Bundle.id).where(Bundle.share_id == share.id, Bundle.state.in_(("PREPARING", "READY")))
        )
    ):
        _abandon_one(deps, session, bundle_id, cause, now)


def _abandon_one(deps: Deps, session: Session, bundle_id: str, cause: str, now: datetime) -> int:
    bundle = locked(session, Bundle, bundle_id)
    if bundle is None or bundle.state not in ("PREPARING", "READY"):
        return 0
    void_copies(deps, session, bundle, cause, now)
    move(deps, session, BUNDLE, bundle, "abandon", actor=SYSTEM, now=now, cause=cause)
    forget_secret(deps, session, bundle_id)
    return 1


def _tell(session: Session, share: Share, word: str, now: datetime) -> None:
    fields = {"no": share.number, "state": word}
    tell(session, "share.stopped", [Recipient("account", share.requester)], now=now, fields=fields)
    contacts = session.scalars(select(ShareContact.contact_id).where(ShareContact.share_id == share.id))
    tell(
        session, "share.stopped.outside", [Recipient("contact", c) for c in contacts], now=now, fields=fields
    )


def _of_organisation(session: Session, organisation_id: str, states: Iterable[str]) -> list[Share]:
    query = (
        select(Share.id)
        .join(ShareContact, ShareContact.share_id == Share.id)
        .join(Contact, Contact.id == ShareContact.contact_id)
        .where(Contact.organisation_id == organisation_id, Share.state.in_(tuple(states)))
        .distinct()
    )
    return [_found(session, share_id) for share_id in session.scalars(query)]


def _other_in_force(session: Session, agreement: Agreement, now: datetime) -> bool:
    query = select(Agreement.id).where(
        Agreement.organisation_id == agreement.organisation_id, Agreement.id != agreement.id, Agreement.kind == "NDA",
        Agreement.state.in_(("IN_FORCE", "EXPIRING")), Agreement.valid_from <= now, Agreement.valid_to > now,
    )  # fmt: skip
    return session.scalars(query).first() is not None


def _agreement_lapsed(deps: Deps, session: Session, event: Event) -> None:
    agreement = session.get_one(Agreement, event.object[1])
    if agreement.kind != "NDA" or _other_in_force(session, agreement, event.at):
        return
    for share in _of_organisation(session, agreement.organisation_id, ("ACTIVE",)):
        move(
            deps,
            session,
            SHARE,
            share,
            "halt",
            actor=SYSTEM,
            now=event.at,
            cause=f"agreement {agreement.number} {'to be signed again' if event.name.endswith('.demand') else 'lapsed'}",
        )
        _tell(session, share, "暂停", event.at)


def _agreement_terminated(deps: Deps, session: Session, event: Event) -> None:
    agreement = session.get_one(Agreement, event.object[1])
    if agreement.kind != "NDA" or _other_in_force(session, agreement, event.at):
        return
    for share in _of_organisation(session, agreement.organisation_id, ("APPROVED", *LIVE)):
        move(
            deps,
            session,
            SHARE,
            share,
            "withdraw",
            actor=SYSTEM,
            now=event.at,
            cause=f"agreement {agreement.number} terminated",
        )
        _stopped(deps, session, share, "REVOKED", event.at)


def _agreement_in_force(deps: Deps, session: Session, event: Event) -> None:
    agreement = session.get_one(Agreement, event.object[1])
    if agreement.kind != "NDA":
        return
    for share in _of_organisation(session, agreement.organisation_id, ("SUSPENDED",)):
        if _halted_for_agreement(session, share) and not _restored_since(session, share):
            move(
                deps,
                session,
                SHARE,
                share,
                "recover",
                actor=SYSTEM,
                now=event.at,
                cause=f"agreement {agreement.number} in force",
            )
            _tell(session, share, "恢复", event.at)


def _halted_for_agreement(session: Session, share: Share) -> bool:
    leaf = session.scalars(select(Leaf).where(Leaf.id == share.leaf)).first()
    return leaf is not None and leaf.event == "share.halt" and b'"cause":"agreement ' in leaf.body


def _restored_since(session: Session, share: Share) -> bool:
    # After a restore nothing goes on by itself: 行政部 looks at each share first.
    own = select(Leaf.arrival).where(Leaf.id == share.leaf).scalar_subquery()
    return (
        session.scalar(select(Leaf.id).where(Leaf.event == RESTORED, Leaf.arrival > own).limit(1)) is not None
    )


def _suspend_restored(deps: Deps, session: Session, event: Event) -> None:
    """Suspends every active share after a restore; one that the log knows a later entry of stays refused as it is."""
    for share_id in session.scalars(select(Share.id).where(Share.state == "ACTIVE")).all():
        try:
            share = _found(session, share_id)
            require_newest(session, ("share", share.id), (*SHARE.events(), "share.edit"), share.leaf)
        except TamperedRow:
            # It was changed after the backup: its restored image must not become the newest word on it.
            log.critical("share_behind_log", id=share_id)
            continue
        cause = f"{RESTORED} {event.object[1]}"
        move(deps, session, SHARE, share, "halt", actor=SYSTEM, now=event.at, cause=cause)
        _tell(session, share, "暂停", event.at)


def _organisation_stopped(deps: Deps, session: Session, event: Event) -> None:
    for share in _of_organisation(session, event.object[1], ("ACTIVE",)):
        move(deps, session, SHARE, share, "halt", actor=SYSTEM, now=event.at, cause="organisation stopped")
        _tell(session, share, "暂停", event.at)


SUBSCRIBERS: dict[str, Callable[[Deps, Session, Event], None]] = {
    "agreement.lapse": _agreement_lapsed,
    "agreement.demand": _agreement_lapsed,
    "agreement.terminate": _agreement_terminated,
    "agreement.partner_terminate": _agreement_terminated,
    "agreement.enter_force": _agreement_in_force,
    "organisation.suspend": _organisation_stopped,
    "organisation.disable": _organisation_stopped,
    RESTORED: _suspend_restored,
}
