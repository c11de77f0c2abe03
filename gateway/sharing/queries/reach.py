"""Which shares a staff member may know of, which they see masked, and what they may do with one now."""

from datetime import datetime

from sqlalchemy import ColumnElement, false, or_, select, true
from sqlalchemy.orm import Session

from gateway.archive.models import Client
from gateway.identity.models import Contact
from gateway.identity.principals import holders
from gateway.principal import Actor, Role
from gateway.sharing.models import Approval, Share, ShareContact
from gateway.sharing.queries.results import Acts
from gateway.sharing.rules import SHARE
from gateway.signing.models import Agreement

EVERYWHERE = (Role.ARC, Role.GM, Role.DGM, Role.ADM, Role.AUD)
STOPPERS = (Role.GM, Role.DGM, Role.ADM, Role.ARC)


def visible_shares(actor: Actor) -> ColumnElement[bool]:
    """The condition under which a share appears in the actor's lists; default deny."""
    if actor.kind != "staff" or actor.has(Role.SYS):
        return false()
    if actor.has(*EVERYWHERE):
        return true()
    mine: list[ColumnElement[bool]] = [false()]
    if actor.has(Role.HOD, Role.BIZ):
        mine.append(Share.requester == actor.id)
    if actor.has(Role.HOD) and actor.department is not None:
        mine.append(Share.department_id == actor.department)
    return or_(*mine)


def rest_on(agreement: Agreement | None) -> ColumnElement[bool]:
    """The condition under which a share could be released by this agreement: its organisation, clients and purposes."""
    if agreement is None:
        return false()
    named = select(ShareContact.share_id).join(Contact, Contact.id == ShareContact.contact_id)
    theirs = Share.id.in_(named.where(Contact.organisation_id == agreement.organisation_id))
    covered = theirs & Share.purpose.in_(agreement.purposes)
    return covered if agreement.clients is None else covered & Share.client_id.in_(agreement.clients)


def may_see(share: Share, actor: Actor) -> bool:
    """Whether this staff member may open the share at all."""
    if actor.kind != "staff" or actor.has(Role.SYS):
        return False
    if actor.has(*EVERYWHERE):
        return True
    own = actor.has(Role.HOD, Role.BIZ) and share.requester == actor.id
    return own or heads(share, actor)


def heads(share: Share, actor: Actor) -> bool:
    """Whether the actor is a head of the share's department."""
    return actor.has(Role.HOD) and actor.department is not None and share.department_id == actor.department


def is_masked(session: Session, share: Share, actor: Actor, now: datetime) -> bool:
    """Whether titles are hidden: only the applicant, the department's head, the archive and whoever decides now read them."""
    plain = share.requester == actor.id or heads(share, actor) or actor.has(Role.ARC)
    return not plain and not decides(session, share, actor, now)


def head_is_missing(session: Session, share: Share, now: datetime) -> bool:
    """Whether the deputy general manager decides for the department: it has no head, or the head applied."""
    found = holders(session, Role.HOD, now, department=share.department_id)
    return not found or share.requester in found


def decides(session: Session, share: Share, actor: Actor, now: datetime) -> bool:
    """Whether the share waits for this person: by role, department and separation of duties."""
    if share.requester == actor.id or actor.id in _deciders(session, share):
        return False
    if share.state == "DEPT_REVIEW":
        return actor.has(Role.DGM) if head_is_missing(session, share, now) else heads(share, actor)
    return (share.state == "ARC_REVIEW" and actor.has(Role.ARC)) or (
        share.state == "GM_REVIEW" and actor.has(Role.GM)
    )


def _deciders(session: Session, share: Share) -> set[str]:
    query = select(Approval).where(
        Approval.share_id == share.id,
        Approval.version_hash == share.version_hash,
        Approval.decision == "CONSENT",
    )
    return {person for row in session.scalars(query) for person in (row.approver, row.acting_for) if person}


def acts(session: Session, share: Share, actor: Actor, now: datetime) -> Acts:
    """What the reader is offered: the process table's moves, cut to who they are."""
    offered = {move.event: move for move in SHARE.offered(share.state, actor)}
    own, deciding = share.requester == actor.id, decides(session, share, actor, now)
    consents = [
        m
        for m in offered.values()
        if m.event in ("consent_dept", "consent_arc", "consent_arc_major", "approve")
    ]
    wanted = "consent_arc_major" if share.major else "consent_arc"
    fitting = [m for m in consents if share.state != "ARC_REVIEW" or m.event == wanted]
    return Acts(
        submit=own and "submit" in offered,
        edit=own and share.state == "DRAFT" and actor.has(Role.HOD, Role.BIZ),
        take_back=own and "take_back" in offered,
        cancel=own and "cancel" in offered,
        decide=deciding,
        consent=fitting[0].button if deciding and fitting else None,
        suspend="suspend" in offered,
        resume="resume" in offered,
        revoke="revoke" in offered and _may_stop(session, share, actor),
    )


def _may_stop(session: Session, share: Share, actor: Actor) -> bool:
    if actor.has(*STOPPERS) or share.requester == actor.id:
        return True
    client = session.get(Client, share.client_id)
    if client is None:
        return False
    own = actor.has(Role.BIZ) and client.owner == actor.id
    return own or (actor.has(Role.HOD) and actor.department == client.department_id)
