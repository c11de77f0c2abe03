"""How agreements end: by time, by either side; and the sweep that moves states and reminds (policy.md §3.7)."""

from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.db import locked
from gateway.deps import Deps
from gateway.errors import NotFound, TamperedRow
from gateway.identity.models import Contact
from gateway.notify.service import Recipient, tell
from gateway.principal import SYSTEM, Actor, Role
from gateway.signing.errors import NotTheSigner
from gateway.signing.models import Agreement, AgreementEvent
from gateway.signing.rules import AGREED, AGREEMENT, GOVERNING, OPEN, STANDING, days_left
from gateway.signing.service.forcing import enter_force
from gateway.signing.service.happenings import happened
from gateway.signing.service.packing import repack
from gateway.signing.service.sealing import resume
from gateway.signing.visibility import of_theirs
from gateway.workflow import expire, move

_log = structlog.get_logger("gateway.signing")


def terminate(deps: Deps, agreement_id: str, reason: str, *, actor: Actor, now: datetime) -> None:
    """The company ends it; shares that rest on it alone are withdrawn in the same transaction."""
    with deps.job(actor, "agreement.terminate", ("agreement", agreement_id), now) as session:
        row = locked(session, Agreement, agreement_id)
        if row is None:
            raise NotFound
        move(deps, session, AGREEMENT, row, "terminate", actor=actor, now=now, reason=reason)
        happened(session, row, "terminated", actor=actor, now=now)


def partner_terminate(deps: Deps, agreement_id: str, reason: str, *, actor: Actor, now: datetime) -> None:
    """The partner's signer ends it, with the same effect."""
    with deps.job(actor, "agreement.partner_terminate", ("agreement", agreement_id), now) as session:
        row = locked(session, Agreement, agreement_id)
        if row is None or not of_theirs(session, row, actor):
            raise NotFound
        if not session.get_one(Contact, actor.id).signer:
            raise NotTheSigner
        move(deps, session, AGREEMENT, row, "partner_terminate", actor=actor, now=now, reason=reason)
        happened(session, row, "terminated", actor=actor, now=now)


def sweep(deps: Deps, *, now: datetime) -> int:
    """Moves what time has ended or begun and sends the 30/7/1-day reminders, each once. Idempotent; returns how many moved."""
    watched = (*OPEN, "PROCESSING", *AGREED, *STANDING)
    with deps.database.read() as session:
        ids = list(session.scalars(select(Agreement.id).where(Agreement.state.in_(watched))))
    return sum(_swept(deps, agreement_id, now) for agreement_id in ids)


def _swept(deps: Deps, agreement_id: str, now: datetime) -> int:
    try:
        return _sweep_one(deps, agreement_id, now)
    except TamperedRow:
        # One altered row must not keep the others from ending; whoever opens it is refused and alarmed.
        _log.critical("tampered_row", agreement=agreement_id)
        return 0


def _sweep_one(deps: Deps, agreement_id: str, now: datetime) -> int:
    with deps.job(SYSTEM, "agreement.sweep", ("agreement", agreement_id), now) as session:
        row = locked(session, Agreement, agreement_id)
        if row is None:
            return 0
        if row.state == "PROCESSING":
            return resume(deps, session, row, now=now)
        if row.sealed_sha256 is not None:
            repack(session, row, now=now)
        if row.state in AGREED:
            if row.valid_from > now:
                return 0
            enter_force(deps, session, row, now)
            return 1
        moved = expire(deps, session, AGREEMENT, [row], actor=SYSTEM, now=now)
        return moved or _remind(deps, session, row, now)


def _remind(deps: Deps, session: Session, row: Agreement, now: datetime) -> int:
    if row.state not in GOVERNING:
        return 0
    left = days_left(row.valid_to, now)
    due = [d for d in deps.parameters(session, now, row.parameters).days("nda.remind_days") if left <= d]
    if not due:
        return 0
    mark = f"reminded-{min(due)}"
    sent = select(AgreementEvent).where(AgreementEvent.agreement_id == row.id, AgreementEvent.event == mark)
    if session.scalars(sent).first() is not None:
        return 0
    session.add(AgreementEvent(agreement_id=row.id, event=mark, detail={}, by=SYSTEM.label, at=now))
    if row.state == "IN_FORCE":
        move(deps, session, AGREEMENT, row, "near_end", actor=SYSTEM, now=now)
    tell(
        session,
        "agreement.due",
        [Recipient("contact", row.signer_id)],
        now=now,
        fields={"no": row.number, "n": str(left)},
    )
    inside = {"no": row.number, "state": f"{left} 天后到期"}
    tell(
        session,
        "agreement.inside",
        [Recipient("role", Role.ADM), Recipient("account", row.drafted_by)],
        now=now,
        fields=inside,
    )
    return 1
