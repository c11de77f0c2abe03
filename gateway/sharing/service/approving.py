"""Deciding on a share: the department, the archive, the general manager for major matters (policy.md §3.6)."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.audit.service import record
from gateway.db import locked, new_id
from gateway.deps import Deps
from gateway.errors import NotAllowed, NotFound, WrongState
from gateway.identity.models import Contact
from gateway.notify.service import Recipient, tell
from gateway.principal import SYSTEM, Actor, Role
from gateway.sharing.models import Approval, Counter, Share, ShareContact, ShareItem
from gateway.sharing.rules import SHARE, STAGE_OF, working_days_later
from gateway.sharing.service.drafting import contents_of, own
from gateway.sharing.service.submitting import applicant_is_head
from gateway.workflow import move

CONSENT = {"DEPT_REVIEW": "consent_dept", "ARC_REVIEW": "consent_arc", "GM_REVIEW": "approve"}
WAITING = {"ARC_REVIEW": Role.ARC, "GM_REVIEW": Role.GM}


def consent(deps: Deps, share_id: str, *, version_hash: str, actor: Actor, now: datetime) -> None:
    """One stage's consent, bound to the version the approver saw; the last one activates the share at once.

    Raises WrongState when the contents are no longer those seen, NotAllowed by role, scope or separation of duties.
    """
    with deps.job(actor, "share.consent", ("share", share_id), now) as session:
        share = _reviewed(session, share_id, actor, now)
        if share.version_hash != version_hash or contents_of(session, share).digest() != version_hash:
            raise WrongState
        stage = share.state
        extras: dict[str, Any] = {
            "deciders": _deciders(session, share),
            "version_hash": version_hash,
            "major": share.major,
        }
        share.due_at = working_days_later(now, deps.parameters(session, now)["approval.expire_wd"])
        leaf = move(deps, session, SHARE, share, _event(share), actor=actor, now=now, **extras)
        _keep(session, share, STAGE_OF[stage], "CONSENT", actor, now, leaf)
        if share.state == "APPROVED":
            _activate(deps, session, share, now)
        else:
            fields = {"type": "对外共享", "no": share.number}
            tell(
                session, "approval.waiting", [Recipient("role", WAITING[share.state])], now=now, fields=fields
            )


def reject(deps: Deps, share_id: str, reason: str, *, actor: Actor, now: datetime) -> None:
    """Ends the request, with a reason the applicant sees."""
    _decline(deps, share_id, "reject", reason, actor, now)


def send_back(deps: Deps, share_id: str, reason: str, *, actor: Actor, now: datetime) -> None:
    """Returns it to the applicant as a draft, with a reason; earlier approvals no longer count."""
    _decline(deps, share_id, "return", reason, actor, now)


def take_back(deps: Deps, share_id: str, *, actor: Actor, now: datetime) -> None:
    """The applicant takes it back to edit it."""
    with deps.job(actor, "share.take_back", ("share", share_id), now) as session:
        share = own(session, share_id, actor)
        move(deps, session, SHARE, share, "take_back", actor=actor, now=now)
        _void(session, share, actor, now)


def _decline(deps: Deps, share_id: str, verb: str, reason: str, actor: Actor, now: datetime) -> None:
    with deps.job(actor, f"share.{verb}", ("share", share_id), now) as session:
        share = _reviewed(session, share_id, actor, now)
        stage = STAGE_OF[share.state]
        event = f"{verb}_{stage.lower()}"
        leaf = move(
            deps,
            session,
            SHARE,
            share,
            event,
            actor=actor,
            now=now,
            reason=reason,
            deciders=_deciders(session, share),
        )
        _keep(session, share, stage, verb.upper(), actor, now, leaf, reason=reason)
        if verb == "return":
            _void(session, share, actor, now)
        result = "驳回" if verb == "reject" else "退回修改"
        tell(
            session,
            "decided",
            [Recipient("account", share.requester)],
            now=now,
            fields={"no": share.number, "result": result},
        )


def _reviewed(session: Session, share_id: str, actor: Actor, now: datetime) -> Share:
    share = locked(session, Share, share_id)
    if share is None:
        raise NotFound
    # The deadline is read here; the sweep only moves the state that shows it.
    if share.state not in STAGE_OF or (share.due_at is not None and share.due_at <= now):
        raise WrongState
    if share.state == "DEPT_REVIEW":
        _check_department(session, share, actor, now)
    return share


def _check_department(session: Session, share: Share, actor: Actor, now: datetime) -> None:
    # The head decides for the own department; the deputy general manager where the applicant is the head, or there is none.
    if applicant_is_head(session, share, now):
        fits = actor.has(Role.DGM)
    else:
        fits = actor.has(Role.HOD) and actor.department == share.department_id
    if not fits:
        raise NotAllowed


def _event(share: Share) -> str:
    event = CONSENT[share.state]
    return "consent_arc_major" if event == "consent_arc" and share.major else event


def _current(session: Session, share: Share) -> list[Approval]:
    query = select(Approval).where(
        Approval.share_id == share.id,
        Approval.version_hash == share.version_hash,
        Approval.decision == "CONSENT",
    )
    return list(session.scalars(query))


def _deciders(session: Session, share: Share) -> tuple[str, ...]:
    return tuple(p for row in _current(session, share) for p in (row.approver, row.acting_for) if p)


def _void(session: Session, share: Share, actor: Actor, now: datetime) -> None:
    for row in _current(session, share):
        leaf = record(
            session, "approval.void", actor=actor, obj=("share", share.id), now=now, stage=row.stage
        )
        row.decision, row.leaf = "VOID", leaf
    session.flush()


def _keep(
    session: Session,
    share: Share,
    stage: str,
    decision: str,
    actor: Actor,
    now: datetime,
    leaf: str,
    *,
    reason: str = "",
) -> None:
    row = Approval(
        id=new_id(), share_id=share.id, stage=stage, decision=decision, approver=actor.id, at=now, leaf=leaf
    )
    row.version_hash, row.reason = share.version_hash, reason
    session.add(row)
    session.flush()


def _activate(deps: Deps, session: Session, share: Share, now: datetime) -> None:
    contacts = [
        row.contact_id
        for row in session.scalars(select(ShareContact).where(ShareContact.share_id == share.id))
    ]
    share.starts, share.ends = now, now + timedelta(days=share.valid_days)
    move(
        deps,
        session,
        SHARE,
        share,
        "activate",
        actor=SYSTEM,
        now=now,
        starts=share.starts.isoformat(),
        ends=share.ends.isoformat(),
        contacts=contacts,
    )
    for contact_id in contacts:
        for item in session.scalars(select(ShareItem).where(ShareItem.share_id == share.id)):
            session.add(
                Counter(
                    id=new_id(),
                    share_id=share.id,
                    contact_id=contact_id,
                    item_id=item.item_id,
                    limit=share.download_limit,
                )
            )
    session.flush()
    known = [Recipient("contact", c) for c in contacts if session.get(Contact, c) is not None]
    tell(session, "share.active", known, now=now, fields={"no": share.number})
    tell(
        session,
        "decided",
        [Recipient("account", share.requester)],
        now=now,
        fields={"no": share.number, "result": "批准并生效"},
    )
