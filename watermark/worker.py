"""What the parent asks of a child: what a file is, its marked copy, one page of it as a picture, an encrypted PDF."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from watermark import child, memory
from watermark.errors import SealError
from watermark.kinds import Kind, refused_kind
from watermark.mark import Mark
from watermark.report import PageReport, Report, refused

__all__ = ["PageReport", "Report", "inspect", "mark", "preview", "run_seal"]


def inspect(source: int | Path, *, deadline_s: float = 30) -> Kind:
    """What a file is, proved in the sandboxed child. A file that crashes or stalls its parser is a Kind to refuse."""
    with child.opened(source) as fd:
        out, done = child.run(fd, {"task": "inspect"}, deadline_s)
    os.close(out)
    if isinstance(done, str):
        return refused_kind("unknown", done)
    if "treatment" not in done:
        return refused_kind(str(done.get("kind", "unknown")), str(done.get("reason", "CRASHED")))
    return Kind.from_dict(done)


def mark(source: int | Path, mark: Mark, *, deadline_s: float = 120) -> tuple[int | None, Report]:
    """Mark every page of a file. Gives a sealed memory file, to be closed by the caller, or None and the reason.

    Never raises for a bad file and never hangs: at the deadline the child's process group is killed.
    """
    return _marked(source, {"task": "mark", "mark": _words(mark)}, deadline_s)


def preview(
    source: int | Path, page: int, mark: Mark, *, dpi: int = 110, deadline_s: float = 30
) -> tuple[bytes | None, Report]:
    """Page `page` (from 1) as WebP with the mark burnt in, or None and the reason."""
    fd, report = _marked(
        source, {"task": "preview", "page": page, "dpi": dpi, "mark": _words(mark)}, deadline_s
    )
    if fd is None:
        return None, report
    try:
        return memory.read(fd), report
    finally:
        os.close(fd)


def _words(mark: Mark) -> dict[str, Any]:
    return asdict(mark)


def _marked(source: int | Path, job: dict[str, Any], deadline_s: float) -> tuple[int | None, Report]:
    with child.opened(source) as fd:
        digest = memory.sha256(fd)
        out, done = child.run(fd, job, deadline_s)
    report = _report(done)
    if report.status == "refused" or memory.size(out) == 0:
        os.close(out)
        return None, report.hashed(digest, None) if report.status == "refused" else refused(
            "CRASHED", child.FAILED["CRASHED"]
        )
    memory.freeze(out)
    return out, report.hashed(digest, memory.sha256(out))


def _report(done: dict[str, Any] | str) -> Report:
    """The child's word is checked for form: a child taken over by its file must not break the parent."""
    if isinstance(done, str):
        return refused(done, child.FAILED[done])
    try:
        report = Report.from_json(json.dumps(done))
    except (ValueError, KeyError, TypeError):
        return refused("CRASHED", child.FAILED["CRASHED"])
    covered = bool(report.pages) and all(page.marked for page in report.pages)
    return (
        report
        if report.status == "refused" or covered
        else refused("MARK_NOT_SEEN", "a page was left out", report.kind)
    )


def run_seal(marked: int, passphrase: str, *, deadline_s: float = 60) -> int:
    """Encrypt a marked PDF in the child; gives a sealed memory file. SealError when the child fails."""
    with child.opened(marked) as fd:
        out, done = child.run(fd, {"task": "seal", "passphrase": passphrase}, deadline_s, sealing=True)
    if isinstance(done, str) or done.get("status") != "marked" or memory.size(out) == 0:
        os.close(out)
        raise SealError("the PDF could not be encrypted")
    memory.freeze(out)
    return out
