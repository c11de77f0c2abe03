"""A message with its body and attachments as items: nothing in it is fetched, nothing is shown as a web page."""

import email
import email.policy
import re
from collections.abc import Iterator
from email.message import EmailMessage
from html.parser import HTMLParser

from watermark import archives
from watermark.archives import Item
from watermark.errors import Refusal

MAX_PARTS, MAX_HEAD = 500, 65_536
_FIELD = re.compile(rb"^[A-Za-z][A-Za-z0-9-]{0,60}:")
_TELLING = {
    b"from",
    b"to",
    b"subject",
    b"date",
    b"received",
    b"mime-version",
    b"message-id",
    b"return-path",
    b"reply-to",
}
_SHOWN = ("From", "To", "Cc", "Date", "Subject")
_SILENT = frozenset({"script", "style", "head", "title"})
_BREAKS = frozenset({"p", "div", "br", "tr", "li", "h1", "h2", "h3", "h4", "table", "ul", "ol"})


_SAMPLE = (
    b"From: a\nTo: =?gb2312?B?1tA=?=, =?utf-8?Q?=E4?=\nDate: Mon, 23 Nov 2026 10:00:00 +0800\nSubject: s\nMIME-Version: 1.0\n"
    b"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/html; charset=gb18030\n"
    b"Content-Transfer-Encoding: quoted-printable\n\n<p>=D6=D0\n--x\nContent-Type: message/rfc822\n\nFrom: b\n\nc\n"
    b"--x\nContent-Disposition: attachment; filename*=utf-8''%E5\nContent-Transfer-Encoding: base64\n\nAAAA\n--x--\n"
)


def preload() -> None:
    """Read one message, so that what Python's parser loads late is there."""
    list(items(_SAMPLE))


def is_mail(data: bytes) -> bool:
    """Whether the bytes begin with a message's head: fields only, the sender's and two more of the telling ones."""
    head = re.split(rb"\r?\n\r?\n", data[:MAX_HEAD], maxsplit=1)[0]
    names: set[bytes] = set()
    for line in head.splitlines():
        if line[:1] in (b" ", b"\t") and names:
            continue
        if not _FIELD.match(line):
            return False
        names.add(line.partition(b":")[0].lower())
    return b"from" in names and len(names & _TELLING) >= 3


def parsed(data: bytes) -> EmailMessage:
    """The message as Python's parser reads it. Raises Refusal BROKEN or BUDGET_OBJECTS."""
    try:
        message = email.message_from_bytes(data, policy=email.policy.default)
        count = sum(1 for _ in message.walk())
    except (ValueError, LookupError, TypeError, AttributeError, IndexError) as error:
        raise Refusal("BROKEN", "the message does not parse") from error
    if not is_mail(data):
        raise Refusal("BROKEN", "the message has no head")
    if count > MAX_PARTS:
        raise Refusal("BUDGET_OBJECTS", f"the message has more than {MAX_PARTS} parts")
    return message


def items(data: bytes) -> Iterator[Item]:
    """The body as text, then every other part under its own name."""
    message = parsed(data)
    body, rest = [_head(message)], []
    for part in _leaves(message):
        text = _text(part)
        if text is None:
            rest.append(part)
        else:
            body.append(text)
    yield Item("message.txt", "\n".join(body).encode("utf-8"))
    for number, part in enumerate(rest, start=1):
        yield Item(_named(part, number), _content(part))


def _head(message: EmailMessage) -> str:
    lines = ["邮件 Message", ""]  # So that the body, read again, is a text and no message.
    for name in _SHOWN:
        try:
            values = message.get_all(name, [])
        except (ValueError, LookupError, TypeError, AttributeError, IndexError):
            values = ["?"]
        lines += [f"{name}: {_printable(str(value))}" for value in values]
    return "\n".join([*lines, ""])


def _printable(text: str) -> str:
    return "".join(char if char in "\n\t" or ord(char) >= 32 else " " for char in text.replace("\r\n", "\n"))


def _leaves(part: EmailMessage, *, alternative: bool = False) -> Iterator[EmailMessage]:
    """Parts that hold something; of alternatives the plain text where there is one, else all."""
    if part.get_content_type() == "message/rfc822" or not part.is_multipart():
        yield part
        return
    children = [child for child in part.iter_parts() if isinstance(child, EmailMessage)]
    if part.get_content_type() == "multipart/alternative":
        plain = [child for child in children if child.get_content_type() == "text/plain"]
        pages = [child for child in children if child.get_content_type() == "text/html"]
        children = [child for child in children if not (plain and child in pages)]
    for child in children:
        yield from _leaves(child)


def _text(part: EmailMessage) -> str | None:
    """The words of a body part; None for attachments, whatever they hold."""
    kind = part.get_content_type()
    if (
        part.get_content_disposition() == "attachment"
        or part.get_filename()
        or kind not in ("text/plain", "text/html")
    ):
        return None
    raw = part.get_payload(decode=True)
    assert isinstance(raw, bytes)
    try:
        text = raw.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        text = raw.decode("utf-8", "replace")
    return _printable(_words(text) if kind == "text/html" else text)


class _Words(HTMLParser):
    """The words of a web page, without its commands."""

    def __init__(self) -> None:
        super().__init__()
        self.out: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.silent += tag in _SILENT
        if tag in _BREAKS:
            self.out.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self.silent = max(0, self.silent - (tag in _SILENT))

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.out.append(data)


def _words(page: str) -> str:
    parser = _Words()
    try:
        parser.feed(page)
        parser.close()
    except (ValueError, AssertionError, RecursionError) as error:
        raise Refusal("BROKEN", "the message's page does not parse") from error
    return re.sub(r"\n\s*\n+", "\n\n", "".join(parser.out)).strip()


def _named(part: EmailMessage, number: int) -> str:
    try:
        name = part.get_filename()
    except (ValueError, LookupError, TypeError, AttributeError, IndexError):
        name = None
    if name:
        return archives.harmless(name.replace("/", "_"))
    return f"part-{number}.eml" if part.get_content_type() == "message/rfc822" else f"part-{number}"


def _content(part: EmailMessage) -> bytes:
    if part.get_content_type() == "message/rfc822":
        inner = part.get_payload()
        return inner[0].as_bytes() if isinstance(inner, list) and isinstance(inner[0], EmailMessage) else b""
    raw = part.get_payload(decode=True)
    return raw if isinstance(raw, bytes) else b""
