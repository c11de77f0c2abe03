"""What explains and proves a bundle, read for its owner: cover, manifest, signature, receipts; and the checklists of pages."""

from datetime import datetime

from sqlalchemy import select

from gateway.deps import Deps
from gateway.errors import NotFound, Withheld
from gateway.policy.release import Decision
from gateway.principal import Actor
from gateway.release import Ask, decide, sidecar
from gateway.sharing.models import Bundle, Collection, Copy, Share, ShareContact, ShareItem
from gateway.sharing.rules import LIVE, REVIEWS
from gateway.sharing.service.sealing import SIDECARS, object_id
from gateway.sharing.service.submitting import submit_checklist

COLLECT_RECEIPT = "collect.tlog-proof"
OPEN_STATES = ("READY", "COLLECTED")


def read_sidecar(deps: Deps, bundle_id: str, name: str, *, actor: Actor, now: datetime) -> bytes:
    """One of a bundle's companions, for the contact it was made for, from READY on.

    Raises NotFound for anybody else, another name, or a bundle that is not ready; Withheld when an uncollected bundle's share
    no longer holds. What was collected stays provable to its owner.
    """
    with deps.database.read() as session:
        bundle = session.get(Bundle, bundle_id)
        if (
            bundle is None
            or actor.kind != "contact"
            or bundle.contact_id != actor.id
            or bundle.state not in OPEN_STATES
        ):
            raise NotFound
        found = session.scalars(select(Collection).where(Collection.bundle_id == bundle_id)).first()
        items = tuple(
            (c.item_id, c.version) for c in session.scalars(select(Copy).where(Copy.bundle_id == bundle_id))
        )
    if name == COLLECT_RECEIPT and found is not None:
        deps.log.await_checkpoint(found.collect_leaf, now=now)
        return deps.log.receipt(found.collect_leaf)
    if name not in SIDECARS:
        raise NotFound
    ask = Ask("copy", "live", actor, now, bundle.share_id, actor.id, items, "DOWNLOAD", bundle_id)
    try:
        return sidecar(deps, object_id(bundle_id), SIDECARS[name], ask=ask, collected=found is not None)
    except Withheld as refusal:
        deps.refuse(refusal, actor, "bundle.sidecar", ("bundle", bundle_id), now)
        raise


def share_checklist(deps: Deps, share_id: str, *, actor: Actor, now: datetime) -> Decision | None:
    """The live checklist of a share's page; None once the share is over. The reader was let in by the page's own query."""
    with deps.database.read() as session:
        share = session.get(Share, share_id)
        if share is None or share.state not in ("DRAFT", *REVIEWS, "APPROVED", *LIVE):
            return None
        return submit_checklist(deps, session, share, actor=actor, now=now)


def copy_checklist(deps: Deps, share_id: str, *, actor: Actor, now: datetime) -> Decision:
    """What stands between a contact and their copies of all the share's items, at the reserve stage; raises NotFound."""
    with deps.database.read() as session:
        named = select(ShareContact.id).where(
            ShareContact.share_id == share_id, ShareContact.contact_id == actor.id
        )
        if actor.kind != "contact" or session.scalars(named).first() is None:
            raise NotFound
        rows = session.scalars(select(ShareItem).where(ShareItem.share_id == share_id))
        items = tuple((row.item_id, row.version) for row in rows)
        return decide(
            deps, session, Ask("copy", "reserve", actor, now, share_id, actor.id, items, "DOWNLOAD")
        )
