"""The export file as the verifier reads it: a header line with the checkpoint, then one canonical JSON line an entry."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.audit import note
from gateway.audit.errors import AuditError, MalformedProof
from gateway.audit.leaf import JSON, canonical, parse_canonical

EXPORT_FORMAT = "sealgate-log-export"
EXPORT_VERSION = 1
MAX_LINE_BYTES = 8 << 20
_SALT = re.compile(r"(?:[0-9a-f]{2})+")


@dataclass(frozen=True)
class Header:
    """The checkpoint the entries are proved against (None: the log was empty) and whether all entries are there."""

    checkpoint: str | None
    complete: bool


@dataclass(frozen=True)
class Line:
    """One entry: its bytes, its index (None: it still waited), its own proof (None: proved with all others), opened values."""

    entry: bytes
    seq: int | None
    proof: tuple[bytes, ...] | None
    opened: dict[str, tuple[bytes, str]]


def read(lines: Iterable[bytes]) -> tuple[Header, Iterator[Line]]:
    """The header, and the entries one by one as they are asked for; raises MalformedProof."""
    rest = iter(lines)
    try:
        header = _header(_object(next(rest, b"")))
    except AuditError as error:
        raise MalformedProof("not an export") from error
    return header, (_line(_object(line)) for line in rest)


def _object(line: bytes) -> dict[str, JSON]:
    if len(line) > MAX_LINE_BYTES or not line.endswith(b"\n"):
        raise MalformedProof("a line of the export is cut off")
    value = parse_canonical(line[:-1])
    if not isinstance(value, dict):
        raise MalformedProof("a line of the export is not an object")
    return value


def _header(value: dict[str, JSON]) -> Header:
    checkpoint, complete = value.get("checkpoint"), value.get("complete")
    known = set(value) == {"format", "v", "checkpoint", "complete"}
    if not known or value["format"] != EXPORT_FORMAT or value["v"] != EXPORT_VERSION or value["v"] is True:
        raise MalformedProof("not an export of this version")
    if not isinstance(complete, bool) or not (checkpoint is None or isinstance(checkpoint, str)):
        raise MalformedProof("the export's header is wrong")
    return Header(checkpoint, complete)


def _line(value: dict[str, JSON]) -> Line:
    seq, personal, proof = value.get("seq"), value.get("personal"), value.get("proof")
    if not {"entry", "personal", "seq"} <= set(value) <= {"entry", "personal", "seq", "proof"}:
        raise MalformedProof("a line of the export has other fields")
    if isinstance(seq, bool) or not (seq is None or (isinstance(seq, int) and seq >= 0)):
        raise MalformedProof("an index is wrong")
    if not isinstance(personal, dict):
        raise MalformedProof("opened values are wrong")
    opened = {name: _opening(opening) for name, opening in personal.items()}
    return Line(canonical(value["entry"]), seq, None if proof is None else _hashes(proof), opened)


def _opening(value: JSON) -> tuple[bytes, str]:
    salt = value.get("salt") if isinstance(value, dict) else None
    text = value.get("value") if isinstance(value, dict) else None
    if not isinstance(salt, str) or not isinstance(text, str):
        raise MalformedProof("an opened value is wrong")
    # bytes.fromhex alone would take capitals and spaces: another spelling of the same salt.
    if not _SALT.fullmatch(salt):
        raise MalformedProof("a salt is wrong")
    return bytes.fromhex(salt), text


def _hashes(value: JSON) -> tuple[bytes, ...]:
    if not isinstance(value, list):
        raise MalformedProof("a proof is wrong")
    return tuple(note.unbase64(h) if isinstance(h, str) else b"" for h in value)
