"""What identity offers the release decision: session, contact, organisation (policy.md §4 SESS, MFA, CONTACT, ORG)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from gateway.audit.standing import require_newest
from gateway.deps import Deps
from gateway.identity import principals
from gateway.identity.models import Account, Contact, LoginSession, Organisation
from gateway.identity.rules import CONTACT, ORGANISATION
from gateway.identity.service import sessions
from gateway.policy.facts import ContactFact, OrganisationFact, SessionFact
from gateway.release import Ask

# What a contact's row is written with beside the moves of its process.
ALTERED = ("contact.signer", "contact.age_registered", "contact.age_removed")


def session_fact(deps: Deps, session: Session, ask: Ask) -> Mapping[str, Any]:
    """The session that asks, read anew; while bytes are running the download itself is its activity."""
    row = session.get(LoginSession, ask.actor.session) if ask.actor.session else None
    if row is None or row.principal != ask.actor.label:
        return {}
    person = principals.find(session, row.principal, ask.now)
    live = sessions.is_live(deps, session, row, ask.now, moving=ask.stage == "live")
    live = live and person is not None and person.ready
    return {
        "session": SessionFact(row.id, live, row.mfa_at),
        "evidence": {"SESS": (row.id,), "MFA": (row.leaf,)},
    }


def contact_fact(deps: Deps, session: Session, ask: Ask) -> Mapping[str, Any]:
    """The contact that is meant, and its organisation."""
    row = session.get(Contact, ask.contact) if ask.contact else None
    if row is None:
        return {}
    organisation = session.get_one(Organisation, row.organisation_id)
    require_newest(session, ("contact", row.id), (*CONTACT.events(), *ALTERED), row.leaf)
    require_newest(session, ("organisation", organisation.id), ORGANISATION.events(), organisation.leaf)
    verified = row.verified_at is not None and row.verified_by is not None
    return {
        "contact": ContactFact(row.id, principals.contact_live(row, ask.now), verified),
        "organisation": OrganisationFact(
            organisation.id, organisation.state == "ACTIVE", organisation.abroad
        ),
        "evidence": {"CONTACT": (row.leaf,), "ORG": (organisation.leaf,)},
    }


def account_active(session: Session, account_id: str, now: datetime) -> bool:
    """Whether an account may act now: what ISSUER asks of the requester of a share."""
    return principals.account_live(session.get(Account, account_id), now)


FACTS = (session_fact, contact_fact)
