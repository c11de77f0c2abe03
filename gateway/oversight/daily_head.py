"""The log's head by mail, once a day, to the auditors: a checkpoint that lies where nobody of the portal can change it."""

from datetime import UTC, datetime

from sqlalchemy import select

from gateway.deps import Deps
from gateway.notify.models import Message
from gateway.notify.service import Recipient, tell
from gateway.principal import Role

NOTICE = "log.head"


def mail_head(deps: Deps, *, now: datetime) -> bool:
    """Tells every auditor the newest checkpoint unless that was done on this UTC day; returns whether it was done now."""
    head = deps.log.latest()
    if head is None:
        return False
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with deps.database.write() as session:
        last = select(Message.created_at).where(Message.event == NOTICE).order_by(Message.created_at.desc())
        told = session.scalar(last.limit(1))
        if told is not None and told >= today:
            return False
        fields = {"n": str(head.size), "note": head.note}
        tell(session, NOTICE, [Recipient("role", Role.AUD.value)], now=now, fields=fields)
    return True
