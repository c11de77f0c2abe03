"""Notifications: `tell` writes messages in the business transaction; the mailer sends them after the commit, with retries."""

import smtplib
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import Literal, Protocol

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.db import Database, after_commit, new_id
from gateway.notify.catalogue import CATALOGUE, Notice
from gateway.notify.errors import UnknownNotice
from gateway.notify.models import Message
from gateway.principal import Text

MAX_TRIES = 3
log = structlog.get_logger()


@dataclass(frozen=True)
class Recipient:
    """Whom to tell: an account, a contact, or everyone who holds a role (id = the role's code)."""

    kind: Literal["account", "contact", "role"]
    id: str


@dataclass(frozen=True)
class Address:
    """Where a recipient reads mail, and in which language."""

    email: str
    language: str


Resolver = Callable[[Session, Recipient], Sequence[Address]]


def tell(
    session: Session, event: str, to: Sequence[Recipient], *, now: datetime, fields: Mapping[str, str]
) -> list[str]:
    """Writes one message per recipient; returns their ids. Raises UnknownNotice for an event the catalogue lacks.

    A field called `link` is a one-time secret: it is mailed and then blanked, and never shown in the portal's list.
    """
    if event not in CATALOGUE:
        raise UnknownNotice
    made = []
    for recipient in dict.fromkeys(to):
        row = Message(
            id=new_id(),
            event=event,
            recipient_kind=recipient.kind,
            recipient=recipient.id,
            fields=dict(fields),
            created_at=now,
        )
        row.secret = "link" in fields
        session.add(row)
        made.append(row.id)
    wake = session.info.get("mail")
    if made and wake is not None:
        after_commit(session, wake)
    return made


class Transport(Protocol):
    """A way to hand a message to the mail system; raises OSError or SMTPException when it cannot."""

    def send(self, message: EmailMessage) -> None:
        """Delivers, or raises."""


class Outbox:
    """The embedded transport: each message becomes an .eml file, 0600, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, message: EmailMessage) -> None:
        """Writes the file under a random name."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{new_id()}.eml"
        path.touch(mode=0o600)
        path.write_bytes(message.as_bytes(policy=SMTP))


class Smtp:
    """SMTP with STARTTLS and a verified certificate; a password is read once from its file by bootstrap."""

    def __init__(
        self, host: str, port: int, user: str | None, password: str | None, *, starttls: bool
    ) -> None:
        self._host, self._port, self._user, self._password, self._starttls = (
            host,
            port,
            user,
            password,
            starttls,
        )

    def send(self, message: EmailMessage) -> None:
        """One connection per message, 20 s at most."""
        with smtplib.SMTP(self._host, self._port, timeout=20) as server:
            if self._starttls:
                server.starttls(context=ssl.create_default_context())
            if self._user is not None:
                server.login(self._user, self._password or "")
            server.send_message(message)


class Mailer:
    """Sends what is queued. `company` and `origin` fill the texts; `resolve` finds addresses (set by bootstrap)."""

    def __init__(
        self, database: Database, transport: Transport, *, sender: str, company: str, origin: str
    ) -> None:
        self._database, self._transport = database, transport
        self._sender, self._company, self._origin = sender, company, origin
        self.resolve: Resolver = lambda _session, _recipient: ()
        self.wake = threading.Event()
        database.hooks["mail"] = self.wake.set

    def words(self, message: Message) -> tuple[Text, Text]:
        """Subject and body of a message, filled."""
        notice = CATALOGUE[message.event]
        fields = {"company": self._company, "link": self._origin + notice.path, **message.fields}
        return _fill(notice, fields)

    def flush(self, *, now: datetime) -> int:
        """Tries every queued message once; returns how many were sent. Failures are tried again, three times in all."""
        with self._database.read() as session:
            waiting = list(
                session.scalars(
                    select(Message.id).where(Message.mail == "QUEUED").order_by(Message.created_at).limit(200)
                )
            )
        return sum(self._send(message_id, now) for message_id in waiting)

    def _send(self, message_id: str, now: datetime) -> bool:
        with self._database.read() as session:
            message = session.get(Message, message_id)
            if message is None or message.mail != "QUEUED":
                return False
            addresses = self.resolve(session, Recipient(message.recipient_kind, message.recipient))  # type: ignore[arg-type]
            subject, body = self.words(message)
        try:
            for address in addresses:
                self._transport.send(
                    self._compose(address, subject(address.language), body(address.language), now)
                )
        except (OSError, smtplib.SMTPException):
            log.warning("mail failed", message=message_id, exc_info=True)
            self._note(message_id, now, sent=False)
            return False
        self._note(message_id, now, sent=bool(addresses), silent=not addresses)
        return bool(addresses)

    def _note(self, message_id: str, now: datetime, *, sent: bool, silent: bool = False) -> None:
        with self._database.write() as session:
            message = session.get(Message, message_id)
            if message is None:
                return
            message.tries += 1
            if sent or silent:
                message.mail, message.sent_at = ("SENT", now) if sent else ("NONE", None)
            elif message.tries >= MAX_TRIES:
                message.mail = "FAILED"
            if message.secret and message.mail != "QUEUED":
                message.fields = {k: v for k, v in message.fields.items() if k != "link"}

    def _compose(self, address: Address, subject: str, body: str, now: datetime) -> EmailMessage:
        mail = EmailMessage()
        mail["From"], mail["To"] = self._sender, address.email
        mail["Subject"] = " ".join(subject.split())
        mail["Date"], mail["Message-ID"] = format_datetime(now), make_msgid(domain="sealgate.invalid")
        mail.set_content(body + "\n")
        return mail


def _fill(notice: Notice, fields: Mapping[str, str]) -> tuple[Text, Text]:
    # Values are put in by plain replacement, so that braces inside a value stay literal.
    return _put(notice.subject, fields), _put(notice.body, fields)


def _put(text: Text, fields: Mapping[str, str]) -> Text:
    parts = [text.zh, text.en]
    out = []
    for part in parts:
        pieces = part.split("{")
        out.append(pieces[0] + "".join(_piece(p, fields) for p in pieces[1:]))
    return Text(out[0], out[1])


def _piece(piece: str, fields: Mapping[str, str]) -> str:
    name, _, rest = piece.partition("}")
    return fields.get(name, "") + rest
