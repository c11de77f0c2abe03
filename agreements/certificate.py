"""The certificate of completion: evidence and its signature as a page for people, with the recipe to check it by hand."""

import base64
import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agreements.errors import EvidenceError
from agreements.evidence import CONTEXT, Event, Evidence, key_id, verify
from agreements.render import digest
from agreements.text import refusal
from agreements.typesetting import Json, has_glyph, typeset


@dataclass(frozen=True)
class SealReference:
    """The sealed document: SHA-256 (hex) of the signed PDF, its PAdES level, whose certificate, what proves the time."""

    pdf_sha256: str
    level: str
    subject: str
    time: str


@dataclass(frozen=True)
class LogReference:
    """Where a step of the agreement stands in the log: the event, the leaf's index, its hash (hex)."""

    event: str
    index: int
    leaf_sha256: str


def certificate(
    evidence: bytes,
    signature: bytes,
    public_key: Ed25519PublicKey,
    *,
    countersigned_by: str,
    countersigned_at: datetime.datetime,
    log: Sequence[LogReference] = (),
    sealed: SealReference | None = None,
) -> bytes:
    """Return the certificate as PDF/A-2b, Chinese and English side by side; equal input gives equal bytes.

    A certificate is only made of evidence whose signature verifies. Characters that the embedded font lacks, as a
    browser's name may hold, are written as \\u{…}.

    Raises:
        EvidenceError: the signature does not verify, or `countersigned_at` is not UTC.
        RenderError: the document could not be set.
    """
    facts = verify(evidence, signature, public_key)
    if countersigned_at.utcoffset() != datetime.timedelta(0):
        raise EvidenceError("countersigned_at: not UTC")
    data: dict[str, Json] = {
        "title": "签署完成证明 Certificate of completion",
        "number": printable(facts.agreement_no),
        "parts": [
            _part("协议 Agreement", _document_rows(facts)),
            _part("签署人 Signer", _signer_rows(facts)),
            _part("签署 Signing", _signing_rows(facts)),
            _part("会签 Countersignature", _countersign_rows(countersigned_by, countersigned_at)),
            _part("经过 Events", [_event_row(event) for event in facts.events]),
            _part("签章 Sealed document", _sealed_rows(sealed) if sealed is not None else []),
            _part("日志 Log", [_log_row(entry) for entry in log]),
            _part("封签 Seal", _seal_rows(evidence, signature, public_key)),
        ],
        "recipe": _recipe(),
        "evidence": printable(evidence.decode()),
    }
    return typeset("certificate.typ", data, countersigned_at.date())


def printable(text: str) -> str:
    """Return `text` with each character that would not be seen, or would disturb others, written as \\u{…}."""
    return "".join(c if has_glyph(c) and not refusal(c) else f"\\u{{{ord(c):x}}}" for c in text)


Row = tuple[str, str]


def _part(heading: str, rows: Sequence[Row]) -> Json:
    shown: list[Json] = [[label, printable(value)] for label, value in rows]
    return {"heading": heading, "rows": shown}


def _time(at: datetime.datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def _document_rows(e: Evidence) -> list[Row]:
    return [
        ("编号 Number", e.agreement_no),
        ("模板 Template", e.template_version),
        ("文件摘要 PDF SHA-256", e.pdf_sha256),
        ("文本摘要 Text SHA-256", e.text_sha256),
    ]


def _signer_rows(e: Evidence) -> list[Row]:
    return [
        ("姓名（本人所填） Name as typed", e.signer.name),
        ("职务 Title", e.signer.title),
        ("单位 Organisation", e.signer.organisation),
        ("统一社会信用代码 USCC", e.signer.uscc),
        ("联系人编号 Contact", e.signer.contact_id),
        ("手写签名摘要 Drawing SHA-256", e.drawing_sha256 or "未手写 not drawn"),
    ]


def _signing_rows(e: Evidence) -> list[Row]:
    return [
        ("时间 Time", _time(e.signed_at)),
        ("同意内容 Consent", f"{e.consent.text}（{e.consent.version}）"),
        ("身份验证 Authentication", f"{e.authentication.method}, {_time(e.authentication.at)}"),
        ("网络地址 Address", e.access.ip),
        ("浏览器 User agent", e.access.user_agent),
        ("会话摘要 Session SHA-256", e.access.session_sha256),
    ]


def _countersign_rows(by: str, at: datetime.datetime) -> list[Row]:
    return [("会签人 By", by), ("时间 Time", _time(at))]


def _sealed_rows(sealed: SealReference) -> list[Row]:
    return [
        ("签章文件摘要 Signed PDF SHA-256", sealed.pdf_sha256),
        ("签名级别 PAdES level", sealed.level),
        ("签章证书 Certificate", sealed.subject),
        ("时间依据 Evidence of time", sealed.time),
    ]


def _event_row(event: Event) -> Row:
    pages = "、".join(str(page) for page in event.pages)
    return _time(event.at), event.kind + (f"，页 pages {pages}" if pages else "")


def _log_row(entry: LogReference) -> Row:
    return entry.event, f"#{entry.index} {entry.leaf_sha256}"


def _seal_rows(evidence: bytes, signature: bytes, public_key: Ed25519PublicKey) -> list[Row]:
    raw = public_key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return [
        ("证据摘要 Evidence SHA-256", digest(evidence)),
        ("算法 Algorithm", "Ed25519"),
        ("密钥编号 Key id", key_id(public_key).hex()),
        ("公钥 Public key (base64)", base64.b64encode(raw).decode()),
        ("签名 Signature (base64)", base64.b64encode(signature).decode()),
    ]


def _recipe() -> list[Json]:
    """The steps use coreutils, OpenSSL 3 and poppler's pdfsig alone, so that nothing of the gateway need be trusted."""
    context = CONTEXT.decode().strip()
    return [
        "sha256sum agreement.pdf    # = PDF SHA-256",
        "sha256sum agreement-signed.pdf    # = Signed PDF SHA-256",
        "pdfsig agreement-signed.pdf    # Signature is Valid",
        "sha256sum evidence.json    # = Evidence SHA-256",
        f"(echo {context}; cat evidence.json) > signed.bin",
        "tail -c 64 evidence.sig > raw.sig",
        "(echo MCowBQYDK2VwAyEA | base64 -d; echo PUBLIC_KEY | base64 -d) > key.der",
        "openssl pkeyutl -verify -rawin -pubin -inkey key.der -keyform DER -in signed.bin -sigfile raw.sig",
    ]
