"""What the parent asks of a child: what a file is, its marked copy, one page of it as a picture, an encrypted PDF."""

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from watermark import child, memory, office
from watermark.errors import SealError
from watermark.kinds import ROUTES, Kind, refused_kind
from watermark.mark import Mark
from watermark.profiles import VECTOR, Profile
from watermark.redact import Region
from watermark.report import PageReport, Report, from_child
from watermark.routes import Marking

__all__ = ["PageReport", "Redaction", "Region", "Report", "inspect", "mark", "preview", "redact", "run_seal"]


def inspect(source: int | Path, *, deadline_s: float = 30, password: str = "") -> Kind:
    """What a file is, proved in the sandboxed child. A file that crashes or stalls its parser is a Kind to refuse."""
    with child.opened(source) as fd:
        out, done = child.run(fd, {"task": "inspect", "password": password}, deadline_s)
    os.close(out)
    if isinstance(done, str):
        return refused_kind("unknown", done)
    if "treatment" not in done:
        return refused_kind(str(done.get("kind", "unknown")), str(done.get("reason", "CRASHED")))
    kind = Kind.from_dict(done)
    needs_office = kind.treatment == "convert" and ROUTES.get(kind.code) == "office"
    return refused_kind(kind.code) if needs_office and office.found() is None else kind


def mark(
    source: int | Path,
    mark: Mark,
    *,
    deadline_s: float = 120,
    password: str = "",
    signature_loss: bool = False,
    profile: Profile = VECTOR,
) -> tuple[int | None, Report]:
    """Mark every page of a file, converted where it has no pages. Gives a sealed memory file, closed by the caller, or None.

    Never raises for a bad file and never hangs: at the deadline the child is killed. `password` opens an encrypted source;
    `signature_loss` says that a signed one may lose its signature, which the report then notes. The opacity is the mark's own,
    the rest of the look the profile's.
    """
    job = {"task": "mark", "mark": asdict(mark), "password": password, "signature_loss": signature_loss}
    job["profile"] = profile.as_json()
    with child.opened(source) as fd:
        return Marking(job, time.monotonic() + deadline_s).marked(fd)


def preview(
    source: int | Path, page: int, mark: Mark, *, dpi: int = 110, deadline_s: float = 30
) -> tuple[bytes | None, Report]:
    """Page `page` (from 1) as WebP with the mark burnt in, or None and the reason."""
    job = {"task": "preview", "page": page, "dpi": dpi, "mark": asdict(mark)}
    with child.opened(source) as fd:
        out, report = Marking(job, time.monotonic() + deadline_s).marked(fd)
    if out is None:
        return None, report
    try:
        return memory.read(out), report
    finally:
        os.close(out)


@dataclass(frozen=True, slots=True)
class Redaction:
    """What taking out came to: `reason` is None when it worked, `pages` became pictures, `found` counts each word."""

    reason: str | None
    detail: str
    pages: tuple[int, ...] = ()
    found: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    sha256_in: str = ""
    sha256_out: str | None = None


def redact(
    source: int | Path,
    regions: Sequence[Region],
    terms: Sequence[str] = (),
    *,
    deadline_s: float = 120,
    password: str = "",
    signature_loss: bool = False,
) -> tuple[int | None, Redaction]:
    """A derived file without what the regions and words showed, as a sealed memory file to be closed by the caller, or None.

    Never raises for a bad file. The result has been read again in the child: it holds none of the words as text.
    """
    job: dict[str, Any] = {
        "task": "redact",
        "regions": [asdict(region) for region in regions],
        "terms": list(terms),
    }
    job |= {"password": password, "signature_loss": signature_loss}
    with child.opened(source) as fd:
        digest = memory.sha256(fd)
        out, done = child.run(fd, job, deadline_s)
    if isinstance(done, str) or "found" not in done or memory.size(out) == 0:
        os.close(out)
        report = from_child(done, child.FAILED)
        return None, Redaction(report.reason or "CRASHED", report.detail, sha256_in=digest)
    memory.freeze(out)
    return out, Redaction(
        None, "", tuple(done["pages"]), dict(done["found"]), dict(done["removed"]), digest, memory.sha256(out)
    )


def run_seal(marked: int, passphrase: str, *, deadline_s: float = 60) -> int:
    """Encrypt a marked PDF in the child; gives a sealed memory file. SealError when the child fails."""
    with child.opened(marked) as fd:
        out, done = child.run(fd, {"task": "seal", "passphrase": passphrase}, deadline_s)
    if isinstance(done, str) or done.get("status") != "marked" or memory.size(out) == 0:
        os.close(out)
        raise SealError("the PDF could not be encrypted")
    memory.freeze(out)
    return out
