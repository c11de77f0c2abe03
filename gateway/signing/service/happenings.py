"""Notes of what people did with an agreement: when, from where, in which session, by which method they had proved themselves."""

import hashlib
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from gateway.db import new_id
from gateway.principal import Actor
from gateway.signing.models import Agreement, AgreementEvent

METHOD = "totp"


def happened(
    session: Session, row: Agreement, event: str, *, actor: Actor, now: datetime, **detail: Any
) -> None:
    """Notes an event beside its log entry, so that it can be told in the evidence package."""
    noted = AgreementEvent(
        id=new_id(),
        agreement_id=row.id,
        event=event,
        detail={**circumstances(actor), **detail},
        by=actor.label,
        at=now,
    )
    session.add(noted)
    session.flush()


def circumstances(actor: Actor) -> dict[str, Any]:
    """From where and how proved: address, user agent, digest of the session, method and time of the second factor."""
    proved = None if actor.mfa_at is None else {"method": METHOD, "at": actor.mfa_at.isoformat()}
    session = hashlib.sha256(actor.session.encode()).hexdigest() if actor.session else None
    return {"ip": actor.ip, "agent": actor.agent[:512], "session_sha256": session, "authentication": proved}
