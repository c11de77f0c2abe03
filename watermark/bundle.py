"""Sources, mark and recipient become one sealed file (docs/formats.md, Bundle)."""

import re
from collections.abc import Iterator, Sequence
from typing import Literal

from watermark import memory
from watermark.cover import cover
from watermark.errors import BadEntry
from watermark.manifest import BundleItem, ManifestInput, key_id, manifest, sign_manifest, verify_manifest
from watermark.seal import Entry, checked_passphrase, seal_age, seal_pdf, seal_zip

__all__ = [
    "BundleItem",
    "ManifestInput",
    "build",
    "cover",
    "file_name",
    "key_id",
    "manifest",
    "sidecars",
    "sign_manifest",
    "verify_manifest",
]

COVER, MANIFEST, SIGNATURE, RECEIPT = "cover.pdf", "manifest.json", "manifest.sig", "issue.tlog-proof"
_SUFFIX = {"pdf": ".pdf", "jpeg": ".jpg", "png": ".png", "tiff": ".tif", "webp": ".webp", "zip": ".zip"}
Format = Literal["pdf", "zip", "age"]


def file_name(copy_number: str, kind: str) -> str:
    """The neutral name of a marked file: the copy number with · as a full stop, and the suffix of its kind.

    Letters beyond ASCII become hyphens; nothing of the title, client or recipient is in it.
    """
    stem = re.sub(r"[^A-Za-z0-9._-]", "-", copy_number.replace("·", ".")).strip(".-_")
    return (stem or "copy")[:100] + _SUFFIX.get(kind, ".bin")


def sidecars(manifest: bytes, signature: bytes, cover: bytes, receipt: bytes) -> dict[str, bytes]:
    """The files that explain and prove a bundle, by their names in it."""
    return {COVER: cover, MANIFEST: manifest, SIGNATURE: signature, RECEIPT: receipt}


def build(
    format: Format,  # noqa: A002  # The word of the product for pdf, zip or age.
    items: Sequence[BundleItem],
    manifest: bytes,
    signature: bytes,
    cover: bytes,
    receipt: bytes,
    key: str,
) -> Iterator[bytes]:
    """One sealed file, streamed. `key` is the passphrase for pdf and zip, the recipient for age.

    "pdf" takes one PDF alone, whose sidecars are served apart; anything else raises BadEntry. Wrong keys raise SealError before
    the first byte. The items' memory files must stay open until the last piece is taken.
    """
    if format == "pdf":
        return _pdf(items, key)
    entries = [Entry.of_fd(item.name, item.source_fd) for item in items]
    entries += [
        Entry.of_bytes(name, data) for name, data in sidecars(manifest, signature, cover, receipt).items()
    ]
    return seal_zip(entries, key) if format == "zip" else seal_age(entries, key)


def _pdf(items: Sequence[BundleItem], passphrase: str) -> Iterator[bytes]:
    if len(items) != 1 or items[0].report.kind != "pdf":
        raise BadEntry("an encrypted PDF bundle is one PDF alone")
    return _encrypted(items[0].source_fd, checked_passphrase(passphrase))


def _encrypted(marked: int, passphrase: str) -> Iterator[bytes]:
    """Sealed when the first piece is taken, so that a bundle nobody reads leaves no descriptor open."""
    yield from memory.drained(seal_pdf(marked, passphrase))
