"""What a bundle holds and for whom, as canonical bytes under an Ed25519 signature (docs/formats.md, Manifest)."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watermark.errors import BadSignature
from watermark.report import Report

FORMAT = "sealgate-manifest-v2"
_CONTEXT = b"sealgate-manifest-signature-v1\n"


@dataclass(frozen=True, slots=True)
class NamedException:
    """Leave to release one file without a mark: why, who asked, which two or more approved, by name."""

    reason: str
    asked_by: str
    approved_by: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class BundleItem:
    """One file of a bundle: its memory file, neutral name, copy number, coverage, and the version it was made from.

    `profile` is the name of the profile it was marked by. `exception` releases a file that carries no mark.
    """

    source_fd: int
    name: str
    copy_number: str
    report: Report
    source_sha256: str
    item_version: str
    profile: str = "vector"
    exception: NamedException | None = None


@dataclass(frozen=True, slots=True)
class ManifestInput:
    """Whatever a manifest says beside its items. Times are aware; digests are hex SHA-256.

    `agreement_digest` is of the signed agreement, `decision_digest` of the whole vector of release conditions.
    """

    bundle_id: str
    share_number: str
    recipient: str
    organisation: str
    purpose: str
    agreement_number: str
    agreement_digest: str
    decision_digest: str
    issued_at: datetime
    expires_at: datetime
    agreement_version: str = ""


def _utc(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError("times in a manifest are aware")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _item(item: BundleItem) -> dict[str, Any]:
    return {
        "copy_number": item.copy_number,
        "coverage": coverage(item),
        "marked_sha256": item.exception.sha256 if item.exception else item.report.sha256_out,
        "name": item.name,
        "pages": len(item.report.pages),
        "source_sha256": item.source_sha256,
        "source_version": item.item_version,
    }


def coverage(item: BundleItem) -> dict[str, Any]:
    """What was done to one file and its parts, as the manifest, the share's page and the evidence say it."""
    report = item.report
    return {
        "exception": None if item.exception is None else _exception(item.exception),
        "kind": report.kind,
        "marked_pages": sum(page.marked for page in report.pages),
        "notes": list(report.notes),
        "parts": [
            {"kind": part.kind, "name": part.name, "pages": part.pages, "source_kind": part.source_kind}
            for part in report.items
        ],
        "profile": None if item.exception else item.profile,
        "removed": report.removed,
        "source_kind": report.source_kind or report.kind,
    }


def _exception(exception: NamedException) -> dict[str, Any]:
    return {
        "approved_by": list(exception.approved_by),
        "asked_by": exception.asked_by,
        "reason": exception.reason,
    }


def _covered(item: BundleItem) -> bool:
    """Wholly marked, or released under an exception that two people approved, neither of them who asked."""
    if item.exception is None:
        return item.report.status == "marked" and bool(item.report.sha256_out)
    others = set(item.exception.approved_by) - {item.exception.asked_by}
    return len(others) >= 2 and bool(item.exception.reason.strip())


def canonical(value: dict[str, Any]) -> bytes:
    """JSON in one spelling: UTF-8, keys sorted, no white space; only strings, whole numbers, null, lists and objects."""
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    ).encode("utf-8")


def manifest(given: ManifestInput, items: Sequence[BundleItem]) -> bytes:
    """The manifest's canonical bytes. An item neither wholly marked nor released under an exception raises ValueError."""
    if not items or not all(_covered(item) for item in items):
        raise ValueError("a manifest lists marked files, and others under an exception only")
    return canonical(
        {
            "agreement": {
                "number": given.agreement_number,
                "sha256": given.agreement_digest,
                "version": given.agreement_version,
            },
            "bundle": given.bundle_id,
            "decision_sha256": given.decision_digest,
            "expires_at": _utc(given.expires_at),
            "format": FORMAT,
            "issued_at": _utc(given.issued_at),
            "items": [_item(item) for item in items],
            "organisation": given.organisation,
            "purpose": given.purpose,
            "recipient": given.recipient,
            "share": given.share_number,
        }
    )


def key_id(key: Ed25519PublicKey) -> str:
    """The first 16 hex digits of the SHA-256 of the raw public key."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def sign_manifest(manifest: bytes, key: Ed25519PrivateKey) -> bytes:
    """The detached signature file: context line, key id, base64 of the Ed25519 signature over context and manifest."""
    signature = base64.b64encode(key.sign(_CONTEXT + manifest))
    return _CONTEXT + key_id(key.public_key()).encode("ascii") + b"\n" + signature + b"\n"


def verify_manifest(manifest: bytes, signature: bytes, public_key: Ed25519PublicKey) -> None:
    """Returns when the signature file covers exactly these bytes under this key; raises BadSignature otherwise."""
    lines = signature.split(b"\n")
    if len(lines) != 4 or lines[0] + b"\n" != _CONTEXT or lines[3]:
        raise BadSignature("not a manifest signature of this version")
    if lines[1] != key_id(public_key).encode("ascii"):
        raise BadSignature("the signature was made by another key")
    try:
        raw = base64.b64decode(lines[2], validate=True)
        if base64.b64encode(raw) != lines[2]:
            raise BadSignature("the signature is not spelled canonically")
        public_key.verify(raw, _CONTEXT + manifest)
    except (InvalidSignature, binascii.Error) as error:
        raise BadSignature("the signature does not cover this manifest") from error
