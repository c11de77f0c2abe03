"""The cover sheet of a bundle as PDF, zh and en: who, what, how to open it, what the marks mean, how to check the receipt."""

import json
from collections.abc import Sequence
from pathlib import Path

import typst

from watermark import faces, outlines
from watermark.errors import Refusal
from watermark.manifest import BundleItem, ManifestInput

_TEMPLATE = Path(__file__).with_name("cover.typ")


def _shown(text: str) -> str:
    """typst drops glyphs that its fonts lack; so they are spelled out before, those of letters too."""
    try:
        return outlines.substituted(text)[0]
    except Refusal:
        return "".join(_shown_alone(char) for char in text)


def _shown_alone(char: str) -> str:
    try:
        return outlines.substituted(char)[0]
    except Refusal:
        return f"[U+{ord(char):04X}]"


def cover(given: ManifestInput, items: Sequence[BundleItem]) -> bytes:
    """Set the cover sheet as PDF. Words come in as data, never as template text, so no name can be markup."""
    data = {
        "bundle": _shown(given.bundle_id),
        "share": _shown(given.share_number),
        "recipient": _shown(given.recipient),
        "organisation": _shown(given.organisation),
        "purpose": _shown(given.purpose),
        "agreement": _shown(given.agreement_number),
        "issued": given.issued_at.strftime("%Y-%m-%d %H:%M %Z"),
        "expires": given.expires_at.strftime("%Y-%m-%d %H:%M %Z"),
        "items": [[_shown(item.copy_number), item.name, str(len(item.report.pages))] for item in items],
    }
    made: bytes = typst.compile(
        _TEMPLATE,
        font_paths=faces.folders(),
        ignore_system_fonts=True,
        sys_inputs={"data": json.dumps(data, ensure_ascii=False)},
        timestamp=int(given.issued_at.timestamp()),
        pdf_standards="a-2b",
    )
    return made
