"""Reads for the pages of messages."""

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from gateway.deps import Deps
from gateway.notify.catalogue import CATALOGUE
from gateway.notify.models import Message
from gateway.oversight.results import MessageLine, MessagePage
from gateway.oversight.rules import own_addresses
from gateway.principal import ROLE_TEXT, Actor, Role, Text

MESSAGES = 50


def messages(deps: Deps, before: str | None = None, *, actor: Actor) -> MessagePage:
    """The reader's own messages and those to their roles, newest first."""
    with deps.database.read() as session:
        query = select(Message).where(_mine(actor)).order_by(Message.created_at.desc(), Message.id.desc())
        start = session.get(Message, before) if before else None
        if start is not None:
            older = and_(Message.created_at == start.created_at, Message.id < start.id)
            query = query.where(or_(Message.created_at < start.created_at, older))
        rows = session.scalars(query.limit(MESSAGES + 1)).all()
        count = _unread(session, actor)
    shown = rows[:MESSAGES]
    last = shown[-1].id if len(rows) > MESSAGES else None
    return MessagePage(tuple(_message(deps, row) for row in shown), count, last)


def unread(deps: Deps, *, actor: Actor) -> int:
    """How many messages the reader has not read."""
    with deps.database.read() as session:
        return _unread(session, actor)


def _unread(session: Session, actor: Actor) -> int:
    query = select(func.count()).select_from(Message).where(_mine(actor), Message.read_at.is_(None))
    return session.scalar(query) or 0


def _mine(actor: Actor) -> ColumnElement[bool]:
    own = sorted(own_addresses(actor))
    return or_(*((Message.recipient_kind == kind) & (Message.recipient == key) for kind, key in own))


def _message(deps: Deps, row: Message) -> MessageLine:
    notice = CATALOGUE.get(row.event)
    # A one-time link is a secret of the mail: the words shown here are filled without it.
    bare = Message(event=row.event, fields={k: v for k, v in row.fields.items() if k != "link"})
    subject = deps.mailer.words(bare)[0] if notice is not None else Text(row.event, row.event)
    return MessageLine(
        id=row.id,
        subject=subject,
        path=None if notice is None or row.secret or notice.path == "/" else notice.path,
        secret=row.secret,
        role=ROLE_TEXT[Role(row.recipient)] if row.recipient_kind == "role" else None,
        at=row.created_at,
        read_at=row.read_at,
    )
