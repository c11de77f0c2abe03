"""Preparing behind the sandbox's walls: the child's task."""

from dataclasses import asdict
from typing import Any

from watermark.errors import Refusal
from watermark.prepared import build
from watermark.prepared.format import Index, Kind
from watermark.profiles import Profile
from watermark.report import PageReport, Report


def do_prepare(job: dict[str, Any], data: bytes, out: int) -> dict[str, Any]:
    """The child's task `prepare`: the prepared document to `out`, its coverage as the result."""
    profile = Profile.from_json(job["profile"])
    if profile.hardened:
        raise Refusal(
            "NOT_MARKABLE", "a hardened document is drawn for each recipient and cannot be prepared"
        )
    prepared = build.prepare(
        data,
        profile,
        Kind(job["kind_of_copy"]),
        made_key=bytes.fromhex(job["key"]),
        password=str(job.get("password", "")),
        signature_loss=bool(job.get("signature_loss")),
    )
    prepared.write(out)
    return asdict(Report("pdf", "marked", pages=pages_of(prepared.index), removed=prepared.index.removed))


def pages_of(index: Index) -> tuple[PageReport, ...]:
    """The index's pages as lines of a coverage report."""
    return tuple(
        PageReport(number, round(page.width, 3), round(page.height, 3), page.rotation, page.user_unit, True)
        for number, page in enumerate(index.pages, start=1)
    )
