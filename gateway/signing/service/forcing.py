"""What brings a sealed agreement into force, and what it succeeds (policy.md §3.7)."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.deps import Deps
from gateway.principal import SYSTEM
from gateway.signing.models import Agreement
from gateway.signing.rules import AGREEMENT, STANDING
from gateway.workflow import move


def enter_force(deps: Deps, session: Session, row: Agreement, now: datetime) -> None:
    """COUNTERSIGNED → IN_FORCE; an older agreement of the same scope that still governs becomes RENEWED."""
    move(deps, session, AGREEMENT, row, "enter_force", actor=SYSTEM, now=now, signed_sha256=row.signed_sha256)
    query = select(Agreement).where(
        Agreement.organisation_id == row.organisation_id,
        Agreement.id != row.id,
        Agreement.state.in_(STANDING),
    )
    for other in session.scalars(query.with_for_update()).all():
        if _succeeds(row, other):
            move(deps, session, AGREEMENT, other, "renew", actor=SYSTEM, now=now, successor=row.number)


def _succeeds(row: Agreement, other: Agreement) -> bool:
    if (row.kind, row.parent_id) != (other.kind, other.parent_id):
        return False
    clients = row.clients is None or (other.clients is not None and set(other.clients) <= set(row.clients))
    return (
        clients
        and set(other.classes) <= set(row.classes)
        and set(other.purposes) <= set(row.purposes)
        and row.valid_to >= other.valid_to
    )
