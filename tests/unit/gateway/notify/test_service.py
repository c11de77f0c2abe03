"""Messages: written with the business transaction, filled without surprises, mailed with retries, links blanked."""

from __future__ import annotations

import email
import email.policy
import smtplib
import ssl
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from gateway.db import Base, Database
from gateway.notify.catalogue import CATALOGUE
from gateway.notify.errors import UnknownNotice
from gateway.notify.models import Message
from gateway.notify.service import MAX_TRIES, Address, Mailer, Outbox, Recipient, Smtp, tell
from gateway.principal import Text

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
LINK = "http://localhost/enrol/secret-token"
TO = Recipient("contact", "c1")


@dataclass
class Postman:
    """A transport that keeps what it is given, and fails when told to."""

    sent: list[EmailMessage] = field(default_factory=list)
    problem: Exception | None = None

    def send(self, message: EmailMessage) -> None:
        """Keeps the message."""
        if self.problem is not None:
            raise self.problem
        self.sent.append(message)


@dataclass
class Post:
    """A mailer with its database and postman."""

    database: Database
    postman: Postman
    mailer: Mailer

    def tell(self, event: str, *to: Recipient, **fields: str) -> list[str]:
        """Messages in a transaction of their own."""
        with self.database.write() as session:
            return tell(session, event, to or (TO,), now=NOW, fields=fields)

    def row(self, key: str) -> Message:
        """A message as it stands."""
        with self.database.read() as session:
            return session.get_one(Message, key)


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    """An empty outbox whose contact c1 reads Chinese and whose role ARC has two holders, one reading English."""
    database = Database(f"sqlite:///{tmp_path / 'a.db'}", b"m" * 32)
    Base.metadata.create_all(database.engine, tables=[Message.__table__])  # type: ignore[list-item]
    postman = Postman()
    mailer = Mailer(
        database, postman, sender="gate@invalid", company="示例公司", origin="https://gate.invalid"
    )
    known = {
        ("contact", "c1"): [Address("c1@invalid", "zh-CN")],
        ("role", "ARC"): [Address("a1@invalid", "zh-CN"), Address("a2@invalid", "en")],
    }
    mailer.resolve = lambda _session, to: known.get((to.kind, to.id), [])
    yield Post(database, postman, mailer)
    database.close()


def test_a_message_is_mailed_after_the_commit_in_the_readers_language(post: Post) -> None:
    key = post.tell("share.active", no="GX-1")[0]
    assert post.mailer.wake.is_set()
    assert post.mailer.flush(now=NOW) == 1
    mail = post.postman.sent[0]
    assert mail["To"] == "c1@invalid"
    assert mail["Subject"] == "【示例公司】您有资料待查阅 GX-1"
    assert mail.get_content() == "请登录查看：https://gate.invalid/my/shares\n"
    row = post.row(key)
    assert (row.mail, row.sent_at, row.tries) == ("SENT", NOW, 1)
    assert post.mailer.flush(now=NOW) == 0


def test_a_role_is_mailed_to_each_holder_in_their_language(post: Post) -> None:
    post.tell("approval.waiting", Recipient("role", "ARC"), type="共享", no="GX-1")
    post.mailer.flush(now=NOW)
    assert [(m["To"], m["Subject"]) for m in post.postman.sent] == [
        ("a1@invalid", "【封签】待您审批：共享 GX-1"),
        ("a2@invalid", "[SealGate] Waiting for your approval: 共享 GX-1"),
    ]


def test_nothing_is_written_or_mailed_when_the_business_fails(post: Post) -> None:
    def fail() -> None:
        with post.database.write() as session:
            tell(session, "share.active", [TO], now=NOW, fields={"no": "1"})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not post.mailer.wake.is_set()
    assert post.mailer.flush(now=NOW) == 0
    assert post.postman.sent == []


def test_the_same_person_is_told_once(post: Post) -> None:
    assert len(post.tell("share.active", TO, TO, Recipient("account", "c1"), no="1")) == 2


def test_an_event_that_the_catalogue_lacks_is_never_sent(post: Post) -> None:
    with pytest.raises(UnknownNotice):
        post.tell("share.party")


def test_a_failing_mail_system_is_tried_three_times(post: Post) -> None:
    key = post.tell("share.active", no="1")[0]
    for problem in (ConnectionRefusedError(), smtplib.SMTPServerDisconnected(), TimeoutError()):
        assert post.row(key).mail == "QUEUED"
        post.postman.problem = problem
        assert post.mailer.flush(now=NOW) == 0
    assert (post.row(key).mail, post.row(key).tries) == ("FAILED", MAX_TRIES)
    post.postman.problem = None
    assert post.mailer.flush(now=NOW) == 0
    assert post.postman.sent == []


def test_a_mail_system_that_recovers_gets_the_message(post: Post) -> None:
    key = post.tell("share.active", no="1")[0]
    post.postman.problem = OSError()
    post.mailer.flush(now=NOW)
    post.postman.problem = None
    assert post.mailer.flush(now=NOW) == 1
    assert post.row(key).mail == "SENT"


def test_who_has_no_address_is_told_in_the_portal_only(post: Post) -> None:
    key = post.tell("share.active", Recipient("contact", "nobody"), no="1")[0]
    assert post.mailer.flush(now=NOW) == 0
    assert (post.row(key).mail, post.row(key).sent_at) == ("NONE", None)


def test_a_one_time_link_is_mailed_and_then_blanked(post: Post) -> None:
    key = post.tell("invitation", link=LINK)[0]
    assert post.row(key).secret
    post.mailer.flush(now=NOW)
    assert LINK in post.postman.sent[0].get_content()
    assert post.row(key).fields == {}


def test_a_link_that_could_not_be_mailed_is_blanked_when_it_is_given_up(post: Post) -> None:
    key = post.tell("invitation", link=LINK)[0]
    post.postman.problem = OSError()
    for _ in range(MAX_TRIES):
        assert "link" in post.row(key).fields
        post.mailer.flush(now=NOW)
    assert post.row(key).fields == {}


def test_no_name_can_add_a_header(post: Post) -> None:
    post.tell("share.active", no="1\r\nBcc: x@invalid\r\n\r\nbody")
    post.mailer.flush(now=NOW)
    mail = post.postman.sent[0]
    assert mail["Bcc"] is None
    assert "\n" not in mail["Subject"]


@given(st.text(), st.text())
def test_values_are_put_in_literally(no: str, kind: str) -> None:
    mailer = Mailer.__new__(Mailer)
    mailer._company, mailer._origin = "C", "O"
    subject, _ = mailer.words(Message(event="approval.waiting", fields={"no": no, "type": kind}))
    assert subject == Text(
        f"【封签】待您审批：{kind} {no}", f"[SealGate] Waiting for your approval: {kind} {no}"
    )


ALLOWED = {"company", "link", "no", "type", "result", "copy", "codes", "state", "n", "date", "code", "note"}


@pytest.mark.parametrize("event", CATALOGUE)
def test_every_notice_says_the_same_in_both_languages(event: str) -> None:
    notice = CATALOGUE[event]
    for text in (notice.subject, notice.body):
        places = [
            {name for _, name, _, _ in string.Formatter().parse(words) if name}
            for words in (text.zh, text.en)
        ]
        assert places[0] == places[1] <= ALLOWED
    # Outside texts hold a number and a link only, under the company's name.
    assert notice.subject.zh.startswith("【{company}】" if notice.outside else "【封签】")
    assert notice.path.startswith("/")
    if notice.outside:
        assert not {"type", "codes", "result", "date", "code"} & {
            n for _, n, _, _ in string.Formatter().parse(notice.subject.zh)
        }


def test_the_embedded_outbox_keeps_readable_files_for_its_owner_only(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox")
    mail = EmailMessage()
    mail["To"], mail["Subject"] = "c1@invalid", "资料"
    mail.set_content("正文\n")
    outbox.send(mail)
    (file,) = (tmp_path / "outbox").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "outbox").stat().st_mode & 0o777 == 0o700
    read = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert (read["Subject"], read.get_content()) == ("资料", "正文\r\n")


def test_smtp_speaks_tls_before_it_signs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []

    class Server:
        def __init__(self, host: str, port: int, timeout: int) -> None:
            said.append((host, port, timeout))

        def __enter__(self) -> Server:
            return self

        def __exit__(self, *_: object) -> None:
            said.append("quit")

        def starttls(self, context: ssl.SSLContext) -> None:
            assert context.verify_mode == ssl.CERT_REQUIRED
            assert context.check_hostname
            said.append("starttls")

        def login(self, user: str, password: str) -> None:
            said.append((user, password))

        def send_message(self, message: EmailMessage) -> None:
            said.append(message["To"])

    monkeypatch.setattr(smtplib, "SMTP", Server)
    mail = EmailMessage()
    mail["To"] = "c1@invalid"
    Smtp("mail.invalid", 587, "gate", "pass", starttls=True).send(mail)
    assert said == [("mail.invalid", 587, 20), "starttls", ("gate", "pass"), "c1@invalid", "quit"]
    said.clear()
    Smtp("mail.invalid", 25, None, None, starttls=False).send(mail)
    assert said == [("mail.invalid", 25, 20), "c1@invalid", "quit"]


def test_messages_hold_when_they_were_written(post: Post) -> None:
    post.tell("share.active", no="1")
    with post.database.read() as session:
        assert session.scalars(select(Message.created_at)).one() == NOW
