"""What signing offers to the release decision: the organisation's agreements and the contact's undertaking."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.audit.standing import require_newest
from gateway.deps import Deps
from gateway.identity.models import Contact
from gateway.policy.facts import AgreementFact
from gateway.release import Ask
from gateway.signing.models import Agreement
from gateway.signing.rules import AGREEMENT, GOVERNING, in_force
from gateway.signing.service.pledging import pledged, terms_accepted
from gateway.signing.service.stored import intact


def agreement_facts(deps: Deps, session: Session, ask: Ask) -> Mapping[str, Any]:
    """Agreements of the contact's organisation with scope and dates; whether the contact accepted the undertaking under one.

    The stored bytes are read and hashed at reserve and collect only: the live check asks for state and dates.
    """
    contact = session.get(Contact, ask.contact) if ask.contact is not None else None
    if contact is None:
        return {}
    rows = list(
        session.scalars(
            select(Agreement).where(
                Agreement.organisation_id == contact.organisation_id, Agreement.state.in_(GOVERNING)
            )
        )
    )
    for row in rows:
        require_newest(session, ("agreement", row.id), AGREEMENT.events(), row.leaf)
    rows = [row for row in rows if _counts(session, row, ask.now)]
    reads = ask.stage in ("reserve", "collect") and ask.exit == "copy"
    facts = tuple(_fact(deps, row, reads=reads) for row in rows)
    current = [row for row in rows if in_force(row, ask.now)]
    return {
        "agreements": facts,
        "pledge": any(pledged(session, contact.id, row.id) for row in current)
        and terms_accepted(session, contact.id),
        "evidence": {
            "NDA": tuple(row.leaf for row in current),
            "COVER": tuple(row.number for row in current),
        },
    }


def _counts(session: Session, row: Agreement, now: datetime) -> bool:
    # An entrusted-processing agreement is no promise of secrecy, and a supplement stands and falls with what it supplements.
    if row.kind != "SUPPLEMENT":
        return row.kind == "NDA"
    parent = session.get(Agreement, row.parent_id) if row.parent_id else None
    if parent is None or not in_force(parent, now):
        return False
    require_newest(session, ("agreement", parent.id), AGREEMENT.events(), parent.leaf)
    return True


def _fact(deps: Deps, row: Agreement, *, reads: bool) -> AgreementFact:
    return AgreementFact(
        id=row.id,
        number=row.number,
        in_force=row.state in GOVERNING,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        clients=frozenset(row.clients) if row.clients is not None else None,
        classes=frozenset(row.classes),
        purposes=frozenset(row.purposes),
        intact=intact(deps, row) if reads else False,
        family=row.parent_id or "",
    )


FACTS = (agreement_facts,)
