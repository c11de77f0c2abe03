"""From any file to its marked copy: straight, over a conversion, or item by item. Each step is a child of its own."""

import os
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from watermark import archives, child, kinds, memory, office, typesetting
from watermark.errors import Refusal
from watermark.report import ItemReport, PageReport, Report, from_child, refused

MAX_DEPTH, MAX_ITEMS = 3, 500
_SUFFIX = {
    "pdf": ".pdf",
    "jpeg": ".jpg",
    "png": ".png",
    "tiff": ".tif",
    "webp": ".webp",
    "bmp": ".bmp",
    "zip": ".zip",
}
_SAME_SUFFIX = {".jpeg": ".jpg", ".tiff": ".tif"}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # A ZIP's times say nothing of the sources.


@dataclass(frozen=True, slots=True)
class Marked:
    """One item's marked copy: a name, a memory file that `done` owns, its report."""

    name: str
    fd: int
    report: Report


class Marking:
    """One job for one source and everything in it, under one deadline (monotonic seconds)."""

    def __init__(self, job: dict[str, Any], last: float) -> None:
        self.job, self.last, self.items = job, last, 0

    def left(self) -> float:
        """Seconds that remain. Raises Refusal TIMEOUT when none do."""
        remaining = self.last - time.monotonic()
        if remaining <= 0:
            raise Refusal("TIMEOUT", child.FAILED["TIMEOUT"])
        return remaining

    def marked(self, source: int, depth: int = 0) -> tuple[int | None, Report]:
        """The marked copy as a frozen memory file, or None and the reason; never raises for a bad file."""
        digest = memory.sha256(source)
        try:
            out, report = self._way(source, depth)
        except Refusal as refusal:
            return None, refused(refusal.code, refusal.detail).hashed(digest, None)
        if out is None:
            return None, report.hashed(digest, None)
        memory.freeze(out)
        return out, report.hashed(digest, memory.sha256(out))

    def _way(self, source: int, depth: int) -> tuple[int | None, Report]:
        out, done = child.run(source, self.job, self.left())
        route = _route(done)
        if route is None:
            return accepted(out, done)
        os.close(out)
        kind, removed = route
        if kinds.ROUTES[kind] == "items":
            return self._container(source, kind, depth)
        converted, further = self._converted(source, kind)
        try:
            made, report = self._way(converted, MAX_DEPTH)
        finally:
            os.close(converted)
        total = Counter(report.removed) + Counter(removed) + Counter(further)
        if made is None:
            return None, replace(report, source_kind=kind)
        return made, replace(
            report, source_kind=kind, notes=("CONVERTED", *report.notes), removed=dict(sorted(total.items()))
        )

    def _converted(self, source: int, kind: str) -> tuple[int, dict[str, int]]:
        """A PDF in the source's place, to be closed by the caller, and what the conversion removed."""
        if kinds.ROUTES[kind] == "office":
            return office.convert(source, kind, deadline_s=self.left()), {}
        out, done = child.run(source, {"task": "set"}, self.left(), walls=typesetting.WALLS)
        if isinstance(done, str) or done.get("kind") != kind or memory.size(out) == 0:
            os.close(out)
            report = from_child(done, child.FAILED)
            raise Refusal(report.reason or "CRASHED", report.detail)
        return out, _counts(done.get("removed"))

    def _container(self, source: int, kind: str, depth: int) -> tuple[int | None, Report]:
        """A ZIP of the marked items. One that is refused refuses the whole: nothing leaves unmarked or is left out in silence."""
        if self.job["task"] != "mark":
            raise Refusal("NOT_MARKABLE", "a container has no pages of its own; look at its items")
        if depth >= MAX_DEPTH:
            raise Refusal("BUDGET_OBJECTS", "containers lie too deep in each other")
        with ExitStack() as held:
            done: list[Marked] = []
            for name, item in self._unpacked(source):
                held.callback(os.close, item)
                out, report = self.marked(item, depth + 1)
                if out is None:
                    detail = f"{name}: {report.reason}: {report.detail}"
                    return None, refused("ITEM_REFUSED", detail[:1000], kind)
                held.callback(os.close, out)
                done.append(Marked(name, out, report))
            report = _together(done, kind)
            if not report.pages or not all(page.marked for page in report.pages):
                return None, refused("MARK_NOT_SEEN", "the container holds nothing that was marked", kind)
            return _zipped(done), report

    def _unpacked(self, source: int) -> Iterator[tuple[str, int]]:
        """Each item's name and its bytes as a memory file, to be closed by the caller."""
        out, done = child.run(source, {"task": "unpack"}, self.left())
        try:
            if isinstance(done, str) or "status" in done or not isinstance(done.get("items"), list):
                report = from_child(done, child.FAILED)
                raise Refusal(report.reason or "CRASHED", report.detail)
            for item in done["items"]:
                self.items += 1
                if self.items > MAX_ITEMS:
                    raise Refusal("BUDGET_OBJECTS", f"the containers hold more than {MAX_ITEMS} items")
                yield (
                    archives.harmless(str(item["name"])),
                    _slice(out, int(item["offset"]), int(item["size"])),
                )
        except (KeyError, TypeError, ValueError) as error:
            raise Refusal("CRASHED", child.FAILED["CRASHED"]) from error
        finally:
            os.close(out)


def _slice(fd: int, offset: int, size: int) -> int:
    if offset < 0 or size < 0 or offset + size > memory.size(fd):
        raise ValueError("an item lies outside what was unpacked")
    made, end = memory.create("item"), offset + size
    while offset < end:
        piece = os.pread(fd, min(memory.CHUNK, end - offset), offset)
        memory.write_all(made, piece)
        offset += len(piece)
    return made


def _route(done: dict[str, Any] | str) -> tuple[str, dict[str, int]] | None:
    """The kind that has to be converted first; what a child says of it is checked for form."""
    if isinstance(done, str) or "route" not in done:
        return None
    kind = str(done.get("kind"))
    return (kind, _counts(done.get("removed"))) if kind in kinds.ROUTES else None


def _counts(value: object) -> dict[str, int]:
    found = value.items() if isinstance(value, dict) else ()
    return {str(name): count for name, count in found if isinstance(count, int)}


def accepted(out: int, done: dict[str, Any] | str) -> tuple[int | None, Report]:
    """The child's output and report when they agree that every page is marked; otherwise the output is closed."""
    report = from_child(done, child.FAILED)
    if report.status == "marked" and memory.size(out) == 0:
        report = refused("CRASHED", child.FAILED["CRASHED"])
    if report.status == "refused":
        os.close(out)
        return None, report
    return out, report


def _together(done: list[Marked], kind: str) -> Report:
    """One report over all items: pages counted on, removals added up."""
    pages: list[PageReport] = []
    items: list[ItemReport] = []
    removed: Counter[str] = Counter()
    for item, name in zip(done, _names(done), strict=True):
        report = item.report
        pages += [
            replace(page, number=len(pages) + number) for number, page in enumerate(report.pages, start=1)
        ]
        removed.update(report.removed)
        inner = [replace(part, name=f"{name}/{part.name}") for part in report.items]
        own = ItemReport(
            name,
            report.source_kind or report.kind,
            report.kind,
            len(report.pages),
            report.removed,
            report.notes,
        )
        items += inner or [own]
    return Report(
        "zip",
        "marked",
        pages=tuple(pages),
        removed=dict(sorted(removed.items())),
        source_kind=kind,
        items=tuple(items),
    )


def _names(done: list[Marked]) -> list[str]:
    """Items keep their names; one that became another kind gets that kind's ending after its own."""
    taken: set[str] = set()
    names = []
    for item in done:
        wanted = _SUFFIX.get(item.report.kind, ".bin")
        ending = PurePosixPath(item.name).suffix.lower()
        fits = _SAME_SUFFIX.get(ending, ending) == wanted
        names.append(archives.unique(item.name if fits else item.name + wanted, taken))
    return names


def _zipped(done: list[Marked]) -> int:
    out = memory.create("items")
    with os.fdopen(os.dup(out), "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for item, name in zip(done, _names(done), strict=True):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o600 << 16
            with archive.open(entry, "w", force_zip64=memory.size(item.fd) >= 1 << 31) as member:
                for piece in memory.chunks(item.fd):
                    member.write(piece)
    return out
