"""Evidence of one signing: who agreed to which bytes, when, how authenticated, in which words.

The canonical bytes and the detached signature are specified in docs/formats.md, section Evidence, and frozen in
tests/vectors/agreements.
"""

import datetime
import hashlib
import ipaddress
import json
import re
import unicodedata
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agreements.errors import EvidenceError

VERSION = 1
# The signed bytes begin with this line: a signature made for another purpose by the same key never counts here.
CONTEXT = b"sealgate.agreement.evidence.v1\n"
SIGNATURE_VERSION = 1
SIGNATURE_BYTES = 73
MAX_BYTES = 64 * 1024
MAX_USER_AGENT = 512

CONSENT_VERSION = "consent-1"
CONSENT_ZH = (
    "本人已阅读本页所示《客户信息保密协议》全文，有权代表所列单位签署，"
    "同意以电子签名方式签署；所填姓名即本人签名，与手写签名或盖章具有同等法律效力。"
)
CONSENT_EN = (
    "I have read the whole agreement shown on this page, I am authorised to sign for the organisation named, "
    "and I agree to sign electronically. The name I typed is my signature, equal to a handwritten signature or seal."
)
PLEDGE_VERSION = "pledge-1"
PLEDGE_ZH = (
    "本人已阅读《客户信息保密协议》{nda_no}，仅为{purpose}使用资料，"
    "不复制、不转交、不去除标记，并知悉访问记录与追踪标记。"
)
PLEDGE_EN = (
    "I have read the Client Information NDA {nda_no}. I use the material only for {purpose}; I do not copy it, "
    "pass it on or remove marks; I know that access is logged and that copies bear tracing marks."
)

_SHA256 = re.compile(r"[0-9a-f]{64}")
_USCC = re.compile(r"[0-9A-HJ-NPQRTUWXY]{18}")


@dataclass(frozen=True)
class Signer:
    """The person who signed: `name` as typed, and the organisation signed for with its 统一社会信用代码."""

    contact_id: str
    name: str
    title: str
    organisation: str
    uscc: str


@dataclass(frozen=True)
class Consent:
    """The exact words agreed to, in the language in which they were shown."""

    version: str
    language: Literal["zh", "en"]
    text: str


@dataclass(frozen=True)
class Access:
    """From where the signing came; the session only as SHA-256 (hex) of its id."""

    ip: str
    user_agent: str
    session_sha256: str

    @classmethod
    def of(cls, *, ip: str, user_agent: str, session_id: str) -> "Access":
        """Build it from what a request says: a hostile agent string is cut and its control characters are replaced.

        Raises:
            EvidenceError: `ip` is not an address.
        """
        shown = unicodedata.normalize("NFC", user_agent)[:MAX_USER_AGENT]
        shown = "".join("?" if unicodedata.category(c) in {"Cc", "Cs"} else c for c in shown)
        try:
            address = str(ipaddress.ip_address(ip))
        except ValueError:
            raise EvidenceError("access.ip: not an address") from None
        return cls(address, shown, hashlib.sha256(session_id.encode()).hexdigest())


@dataclass(frozen=True)
class Authentication:
    """The fresh second factor: its method ("totp") and when it was accepted (UTC)."""

    method: str
    at: datetime.datetime


@dataclass(frozen=True)
class Event:
    """Something that happened before the signing, such as "viewed" with the `pages` (from 1) that were fetched."""

    kind: str
    at: datetime.datetime
    pages: tuple[int, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """All that is kept of one signing; digests are SHA-256 in hex.

    `drawing_sha256` is that of the normalised drawn signature, None where none was drawn.
    """

    agreement_no: str
    template_version: str
    pdf_sha256: str
    text_sha256: str
    signer: Signer
    consent: Consent
    signed_at: datetime.datetime
    access: Access
    authentication: Authentication
    drawing_sha256: str | None = None
    events: tuple[Event, ...] = ()
    version: int = VERSION


def canonical(evidence: Evidence) -> bytes:
    """Return the one byte form of this evidence.

    Raises:
        EvidenceError: a member is of the wrong shape; the message names it and holds no value.
    """
    _check(evidence)
    data = json.dumps(
        _plain(asdict(evidence)), ensure_ascii=False, sort_keys=True, separators=(",", ":")
    ).encode()
    if len(data) > MAX_BYTES:
        raise EvidenceError("the evidence is too long")
    return data


def parse(data: bytes) -> Evidence:
    """Read canonical bytes back. Anything but the one byte form is refused.

    Raises:
        EvidenceError: not evidence of a known version, or not canonical.
    """
    try:
        evidence = _rebuilt(json.loads(data.decode("utf-8", "strict")))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise EvidenceError("not evidence of a known form") from None
    if canonical(evidence) != data:
        raise EvidenceError("the evidence is not canonical")
    return evidence


def key_id(public_key: Ed25519PublicKey) -> bytes:
    """Return the 8 bytes that name a key: the first of the SHA-256 of its 32 raw bytes."""
    return hashlib.sha256(public_key.public_bytes(Encoding.Raw, PublicFormat.Raw)).digest()[:8]


def sign(evidence: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return the detached signature of canonical evidence: version byte, key id (8), Ed25519 signature (64).

    Raises:
        EvidenceError: the bytes are not canonical evidence.
    """
    parse(evidence)
    return bytes([SIGNATURE_VERSION]) + key_id(key.public_key()) + key.sign(CONTEXT + evidence)


def verify(evidence: bytes, signature: bytes, public_key: Ed25519PublicKey) -> Evidence:
    """Return the evidence if `signature` is this key's over these very bytes.

    Raises:
        EvidenceError: another key, a changed byte, an unknown form.
    """
    if len(signature) != SIGNATURE_BYTES or signature[0] != SIGNATURE_VERSION:
        raise EvidenceError("not a signature of a known form")
    if signature[1:9] != key_id(public_key):
        raise EvidenceError("the signature is by another key")
    try:
        public_key.verify(signature[9:], CONTEXT + evidence)
    except InvalidSignature:
        raise EvidenceError("the signature does not fit the evidence") from None
    return parse(evidence)


def pledge(agreement_no: str, purpose: str) -> tuple[str, str]:
    """Return the personal undertaking 个人承诺 (policy.md §8) in Chinese and English for one agreement and purpose."""
    values = {"{nda_no}": agreement_no, "{purpose}": purpose}

    def put(text: str) -> str:
        return re.sub(r"\{nda_no\}|\{purpose\}", lambda match: values[match[0]], text)

    return put(PLEDGE_ZH), put(PLEDGE_EN)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    return value


def _rebuilt(data: Any) -> Evidence:
    if set(data) != {field.name for field in fields(Evidence)}:
        raise ValueError
    authentication, events = data["authentication"], data["events"]
    return Evidence(
        **{
            **data,
            "signer": Signer(**data["signer"]),
            "consent": Consent(**data["consent"]),
            "access": Access(**data["access"]),
            "authentication": Authentication(**{**authentication, "at": _moment(authentication["at"])}),
            "events": tuple(Event(e["kind"], _moment(e["at"]), tuple(e["pages"])) for e in events),
            "signed_at": _moment(data["signed_at"]),
        }
    )


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.UTC)


def _check(e: Evidence) -> None:
    if type(e.version) is not int or e.version != VERSION:
        raise EvidenceError("version: unknown")
    for part in (e, e.signer, e.consent, e.access, e.authentication, *e.events):
        _check_texts(part)
    _require("pdf_sha256", _is_digest(e.pdf_sha256))
    _require("text_sha256", _is_digest(e.text_sha256))
    _require("session_sha256", _is_digest(e.access.session_sha256))
    _require("drawing_sha256", e.drawing_sha256 is None or _is_digest(e.drawing_sha256))
    for at in (e.signed_at, e.authentication.at, *(event.at for event in e.events)):
        _require("a time", at.utcoffset() == datetime.timedelta(0))
    _require("signer.uscc", bool(_USCC.fullmatch(e.signer.uscc)))
    _require("consent.language", e.consent.language in ("zh", "en"))
    _require("access.ip", _is_address(e.access.ip))
    pages = [page for event in e.events for page in event.pages]
    _require("events.pages", all(type(page) is int and 1 <= page <= 10_000 for page in pages))


def _require(name: str, holds: bool) -> None:
    if not holds:
        raise EvidenceError(f"{name}: not of the form asked for")


def _check_texts(part: Any) -> None:
    """Every text is there, in NFC and free of control characters and lone surrogates; so it has one byte form."""
    for field in fields(part):
        if field.type is str:
            _require(field.name, _is_text(getattr(part, field.name), may_be_empty=field.name == "user_agent"))


def _is_text(value: object, *, may_be_empty: bool) -> bool:
    if not isinstance(value, str) or not (value.strip() or may_be_empty):
        return False
    barred = any(unicodedata.category(character) in {"Cc", "Cs"} for character in value)
    return not barred and unicodedata.normalize("NFC", value) == value


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and bool(_SHA256.fullmatch(value))


def _is_address(text: str) -> bool:
    try:
        return str(ipaddress.ip_address(text)) == text
    except ValueError:
        return False
