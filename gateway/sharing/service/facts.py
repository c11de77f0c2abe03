"""What sharing offers to the release decision."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gateway.audit.models import Leaf
from gateway.audit.standing import require_newest
from gateway.deps import Deps
from gateway.identity.service import account_active
from gateway.policy.facts import ApprovalFact, ShareFact
from gateway.release import Ask
from gateway.sharing.models import Approval, Bundle, Copy, Counter, Share, ShareContact, ShareItem
from gateway.sharing.rules import SHARE, stages
from gateway.sharing.service.drafting import contents_of


def share_facts(deps: Deps, session: Session, ask: Ask) -> Mapping[str, Any]:
    """The share, its approvals, this contact's counters and recent downloads, and whether the bundle's marks were read back."""
    share = session.get(Share, ask.share) if ask.share is not None else None
    if share is None:
        return {}
    require_newest(session, ("share", share.id), (*SHARE.events(), "share.edit"), share.leaf)
    found: dict[str, Any] = {"share": _fact(session, share, ask), "place_ok": True}
    if ask.stage == "live":
        return found
    found["approvals"] = tuple(
        ApprovalFact(row.stage, row.approver, row.acting_for, row.version_hash)
        for row in session.scalars(
            select(Approval).where(Approval.share_id == share.id, Approval.decision == "CONSENT")
        )
    )
    found["issuer_active"] = account_active(session, share.requester, ask.now)
    if ask.contact is not None:
        found["recent_downloads"] = _recent(session, ask)
    if ask.bundle is not None:
        found["marked"], found["sealed"] = _read_back(session, ask.bundle)
    found["evidence"] = {"STATE": (share.leaf,), "APPROVAL": tuple(_leaves(session, share))}
    return found


def _fact(session: Session, share: Share, ask: Ask) -> ShareFact:
    items = {
        row.item_id: row.version
        for row in session.scalars(select(ShareItem).where(ShareItem.share_id == share.id))
    }
    contacts = frozenset(
        session.scalars(select(ShareContact.contact_id).where(ShareContact.share_id == share.id))
    )
    return ShareFact(
        id=share.id,
        number=share.number,
        state=share.state,
        requester=share.requester,
        purpose=share.purpose,
        starts=share.starts,
        ends=share.ends,
        # Taken from the contents as they stand: a listed row put back by hand is not what the approvals were given for.
        version_hash=contents_of(session, share).digest(),
        stages=stages(share.major),
        rights=frozenset(share.rights),
        contacts=contacts,
        items=items,
        counters=_counters(session, share, ask.contact) if ask.contact and ask.stage != "live" else {},
    )


def _counters(session: Session, share: Share, contact: str) -> dict[str, tuple[int, int]]:
    # The log's own collect entries are the floor: a counter that was set back in the database gains nothing.
    logged = dict(session.execute(_logged(share.id, contact)).all())
    rows = session.scalars(select(Counter).where(Counter.share_id == share.id, Counter.contact_id == contact))
    return {
        row.item_id: (max(row.used, logged.get(row.item_id, 0)), min(row.limit, share.download_limit))
        for row in rows
    }


def _logged(share_id: str, contact: str) -> Any:
    return (
        select(Copy.item_id, func.count())
        .join(
            Leaf, (Leaf.object_id == Copy.id) & (Leaf.object_kind == "copy") & (Leaf.event == "copy.collect")
        )
        .where(Copy.share_id == share_id, Copy.contact_id == contact)
        .group_by(Copy.item_id)
    )


def _recent(session: Session, ask: Ask) -> int:
    query = (
        select(func.count())
        .select_from(Copy)
        .join(
            Leaf, (Leaf.object_id == Copy.id) & (Leaf.object_kind == "copy") & (Leaf.event == "copy.collect")
        )
        .where(Copy.contact_id == ask.contact, Leaf.at > ask.now - timedelta(hours=1))
    )
    return session.scalar(query) or 0


def _read_back(session: Session, bundle_id: str) -> tuple[bool, bool]:
    copies = list(session.scalars(select(Copy).where(Copy.bundle_id == bundle_id)))
    bundle = session.get(Bundle, bundle_id)
    marked = bool(copies) and all(_all_marked(copy) for copy in copies)
    return marked, bool(bundle and bundle.sha256 and bundle.state in ("READY", "COLLECTED"))


def _all_marked(copy: Copy) -> bool:
    report = copy.report or {}
    pages = report.get("pages") or []
    return (
        report.get("status") == "marked" and bool(pages) and all(page.get("marked") is True for page in pages)
    )


def _leaves(session: Session, share: Share) -> list[str]:
    query = select(Approval.leaf).where(
        Approval.share_id == share.id, Approval.version_hash == share.version_hash
    )
    return list(session.scalars(query))


FACTS = (share_facts,)
