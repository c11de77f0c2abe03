"""From marked files to the sealed bundle: manifest, ISSUE entry and its receipt, encryption, storage."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from gateway.audit.service import JSON, record
from gateway.deps import Deps
from gateway.principal import SYSTEM
from gateway.sharing.models import Bundle
from gateway.sharing.rules import PURPOSES
from storage.errors import NotFound
from storage.sealed import SealedStore
from watermark import bundle as bundling
from watermark.report import Report
from watermark.seal import new_passphrase

if TYPE_CHECKING:
    from gateway.sharing.service.making import Plan

# The sealed file is version 1 of its object; what explains and proves it stands beside it.
FILE = 1
SIDECARS = {"cover.pdf": 2, "manifest.json": 3, "manifest.sig": 4, "issue.tlog-proof": 5}


@dataclass(frozen=True)
class Sources:
    """The marked files of one bundle, as memory files and their coverage, in the order of its copies."""

    handles: tuple[int, ...]
    reports: tuple[Report, ...]


@dataclass(frozen=True)
class Issued:
    """The manifest with what proves it; `leaf` is the ISSUE entry that commits to its digest."""

    items: tuple[bundling.BundleItem, ...]
    manifest: bytes
    manifest_sha256: str
    signature: bytes
    cover: bytes
    receipt: bytes
    leaf: str


@dataclass(frozen=True)
class Sealed:
    """What was stored: digest and size of the bytes a partner will get, the file's name, the wrapped
    passphrase if there is one."""

    sha256: str
    size: int
    name: str
    secret: bytes | None


def object_id(bundle_id: str) -> str:
    """The object of a bundle in the bundle store."""
    return f"bundle-{bundle_id}"


def secret_owner(bundle_id: str) -> str:
    """The owner of the key that wraps a bundle's passphrase."""
    return f"bundle:{bundle_id}"


def vector_digest(vector: list[Any]) -> str:
    """SHA-256 over the canonical JSON of a stored decision, hex."""
    return hashlib.sha256(
        json.dumps(vector, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    ).hexdigest()


def issue(deps: Deps, plan: "Plan", sources: Sources, *, now: datetime) -> Issued:
    """Writes the manifest and the ISSUE entry that commits to it, and waits for the checkpoint that holds the
    entry."""
    items = tuple(_items(plan, sources))
    given = _given(plan, now)
    manifest = bundling.manifest(given, items)
    digest = hashlib.sha256(manifest).hexdigest()
    numbers: list[JSON] = [copy.number for copy in plan.copies]
    with deps.job(SYSTEM, "bundle.issue", ("bundle", plan.bundle.id), now) as session:
        leaf = record(
            session,
            "bundle.issue",
            actor=SYSTEM,
            obj=("bundle", plan.bundle.id),
            now=now,
            manifest_sha256=digest,
            copies=numbers,
        )
    deps.log.await_checkpoint(leaf, now=deps.clock())
    return Issued(
        items=items,
        manifest=manifest,
        manifest_sha256=digest,
        signature=bundling.sign_manifest(manifest, deps.manifest_key),
        cover=bundling.cover(given, items),
        receipt=deps.log.receipt(leaf),
        leaf=leaf,
    )


def _items(plan: "Plan", sources: Sources) -> Iterator[bundling.BundleItem]:
    for copy, version, handle, report in zip(
        plan.copies, plan.versions, sources.handles, sources.reports, strict=True
    ):
        yield bundling.BundleItem(
            handle, copy.file_name, copy.number, report, version.sha256 or "", f"v{version.version}"
        )


def _given(plan: "Plan", now: datetime) -> bundling.ManifestInput:
    words = PURPOSES[plan.share.purpose]
    return bundling.ManifestInput(
        bundle_id=plan.bundle.id,
        share_number=plan.share.number,
        recipient=plan.contact.name,
        organisation=plan.organisation.name,
        purpose=f"{plan.share.purpose} {words.zh} {words.en}",
        agreement_number=plan.agreement_number,
        agreement_digest=plan.agreement_digest,
        decision_digest=vector_digest(plan.copies[0].vector),
        issued_at=now,
        expires_at=plan.share.ends or plan.bundle.expires_at,
    )


def seal_and_store(deps: Deps, plan: "Plan", issued: Issued) -> Sealed:
    """Encrypts to the passphrase or the age key and stores the result; a crashed earlier try is written over."""
    bundle = plan.bundle
    key = plan.contact.age_recipient if bundle.format == "age" else new_passphrase()
    assert key is not None
    kind = cast(Literal["pdf", "zip", "age"], bundle.format)
    pieces = bundling.build(
        kind, issued.items, issued.manifest, issued.signature, issued.cover, issued.receipt, key
    )
    meter = _Meter(pieces)
    _put(deps.bundles, object_id(bundle.id), FILE, meter)
    for name, data in bundling.sidecars(
        issued.manifest, issued.signature, issued.cover, issued.receipt
    ).items():
        _put(deps.bundles, object_id(bundle.id), SIDECARS[name], iter([data]))
    secret = None if bundle.format == "age" else deps.fields.seal(secret_owner(bundle.id), "passphrase", key)
    return Sealed(meter.sha256, meter.size, _name(plan, bundle), secret)


def _name(plan: "Plan", bundle: Bundle) -> str:
    if bundle.format == "pdf":
        return plan.copies[0].file_name
    ending = "zip" if bundle.format == "zip" else "zip.age"
    return f"{plan.share.number}-{bundle.id[:8]}.{ending}"


def _put(store: SealedStore, key: str, version: int, pieces: Iterator[bytes]) -> None:
    try:
        store.delete(key, version)
    except NotFound:
        pass
    store.put(key, version, pieces)


class _Meter:
    """Passes pieces through, counting and hashing them."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._hash, self.size = pieces, hashlib.sha256(), 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = next(self._pieces)
        self._hash.update(piece)
        self.size += len(piece)
        return piece

    @property
    def sha256(self) -> str:
        """Hex digest of everything that went through."""
        return self._hash.hexdigest()
