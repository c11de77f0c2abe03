"""The entry of the log: canonical JSON, its strict reading, salted commitments (docs/formats.md, Log entry)."""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias, Union

from gateway.audit.errors import MalformedEntry

JSON: TypeAlias = Union[
    bool, int, str, "list[JSON]", "tuple[JSON, ...]", "dict[str, JSON]", "Mapping[str, JSON]", None
]

VERSION = 1
MAX_ENTRY_BYTES = 65_535
MAX_INTEGER = 2**53 - 1
SALT_BYTES = 32
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_HEX32 = re.compile(r"[0-9a-f]{32}")
_HEX64 = re.compile(r"[0-9a-f]{64}")
_FIELDS = {"v", "id", "at", "event", "object", "from", "to", "actor", "data", "personal"}


@dataclass(frozen=True)
class Entry:
    """What one entry says in clear.

    `actor` is a principal's kind; `personal` maps a field's name to its commitment, 64 hex digits.
    """

    id: str
    at: datetime
    event: str
    object: tuple[str, str]
    actor: str
    source: str | None = None
    target: str | None = None
    data: Mapping[str, JSON] = field(default_factory=dict)
    personal: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The one canonical form; raises MalformedEntry when it would reach 64 KiB or holds what JSON here may not."""
        body = canonical(
            {
                "v": VERSION,
                "id": self.id,
                "at": stamp(self.at),
                "event": self.event,
                "object": list(self.object),
                "from": self.source,
                "to": self.target,
                "actor": self.actor,
                "data": self.data,
                "personal": self.personal,
            }
        )
        if len(body) > MAX_ENTRY_BYTES:
            raise MalformedEntry("the entry would reach 64 KiB")
        return body


def stamp(at: datetime) -> str:
    """A UTC time with microseconds, e.g. 2026-11-23T08:00:00.000000Z."""
    return at.astimezone(UTC).strftime(_TIME)


def storable(text: str) -> str:
    """The text with NUL and lone surrogates replaced, so that every database can hold it: no input can stop an entry."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def canonical(value: JSON) -> bytes:
    """UTF-8 JSON, keys sorted by code point, no spaces, integers within ±(2**53 - 1), no fractions; raises MalformedEntry."""
    try:
        plain = _plain(value)
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise MalformedEntry("nested too deeply") from error


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return storable(str(value))
    if isinstance(value, int):
        return _integer(int(value))
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {_key(k): _plain(v) for k, v in value.items()}
    raise MalformedEntry(f"{type(value).__name__} cannot stand in an entry")


def _integer(value: int) -> int:
    if abs(value) > MAX_INTEGER:
        raise MalformedEntry("integer out of range")
    return value


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise MalformedEntry("keys are strings")
    return storable(key)


def parse(body: bytes) -> Entry:
    """Reads an entry and refuses (MalformedEntry) anything but its one canonical form of this version."""
    value = parse_canonical(body)
    if len(body) > MAX_ENTRY_BYTES or not isinstance(value, dict) or set(value) != _FIELDS:
        raise MalformedEntry("not an entry of this version")
    if value["v"] != VERSION or isinstance(value["v"], bool):
        raise MalformedEntry("unknown entry version")
    kind, identifier = _pair(value["object"])
    return Entry(
        id=_match(_HEX32, value["id"]),
        at=parse_time(value["at"]),
        event=_text(value["event"]),
        object=(kind, identifier),
        actor=_text(value["actor"]),
        source=None if value["from"] is None else _text(value["from"]),
        target=None if value["to"] is None else _text(value["to"]),
        data=_mapping(value["data"]),
        personal={k: _match(_HEX64, v) for k, v in _mapping(value["personal"]).items()},
    )


def parse_canonical(body: bytes) -> JSON:
    """Reads canonical JSON; raises MalformedEntry for any other spelling of the same value."""
    try:
        value: JSON = json.loads(body.decode("utf-8"), parse_float=_refuse, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise MalformedEntry("not JSON as it is written here") from error
    # Writing it again is the whole test: order, spaces, escapes and doubled keys all show.
    if canonical(value) != body:
        raise MalformedEntry("not the canonical form")
    return value


def _refuse(_: str) -> JSON:
    raise ValueError("fractions do not occur")


def _text(value: JSON) -> str:
    if not isinstance(value, str):
        raise MalformedEntry("a string is missing")
    return value


def _match(pattern: re.Pattern[str], value: JSON) -> str:
    if not pattern.fullmatch(_text(value)):
        raise MalformedEntry("a hex field is wrong")
    return _text(value)


def _pair(value: JSON) -> tuple[str, str]:
    if not isinstance(value, list) or len(value) != 2:
        raise MalformedEntry("the object is not a pair")
    return _text(value[0]), _text(value[1])


def _mapping(value: JSON) -> dict[str, JSON]:
    if not isinstance(value, dict):
        raise MalformedEntry("a mapping is missing")
    return value


def parse_time(value: JSON) -> datetime:
    """Reads a time in its one form; raises MalformedEntry."""
    try:
        at = datetime.strptime(_text(value), _TIME).replace(tzinfo=UTC)
    except ValueError as error:
        raise MalformedEntry("the time is wrong") from error
    if stamp(at) != value:
        raise MalformedEntry("the time is not in its one form")
    return at


def commitment(salt: bytes, name: str, value: str) -> str:
    """HMAC-SHA-256 under the salt over the field's name and its value; without the salt it says nothing of the value."""
    message = b"sealgate personal v1\0" + name.encode() + b"\0" + value.encode()
    return hmac.new(salt, message, hashlib.sha256).hexdigest()
