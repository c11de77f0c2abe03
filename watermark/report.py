"""What was done to a file, page by page: the value that the child hands back."""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self


@dataclass(frozen=True, slots=True)
class PageReport:
    """One page or frame: `width`, `height` of the visible box in points (pixels for images), as stored, before rotation."""

    number: int
    width: float
    height: float
    rotation: int
    user_unit: float
    marked: bool


@dataclass(frozen=True, slots=True)
class ItemReport:
    """One item of a container: its name in the output, what it was and is, how many of the report's pages are its own."""

    name: str
    source_kind: str
    kind: str
    pages: int
    removed: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """The coverage of one file: every page, what was removed, or why the file was refused.

    `reason` is a stable code, None when marked. `removed` counts what the output no longer holds. `sha256_*` are hex.
    `source_kind` is what a converted file was, empty when `kind` is that of the source too; `notes` are stable codes of what was
    done beyond marking (CONVERTED, DRAWN_AS_PICTURES, SIGNATURE_LOST …); `items` are those of a container, in its order.
    """

    kind: str
    status: Literal["marked", "refused"]
    reason: str | None = None
    detail: str = ""
    pages: tuple[PageReport, ...] = ()
    removed: dict[str, int] = field(default_factory=dict)
    sha256_in: str = ""
    sha256_out: str | None = None
    source_kind: str = ""
    notes: tuple[str, ...] = ()
    items: tuple[ItemReport, ...] = ()

    def as_json(self) -> str:
        """The report as one line of JSON, keys in order."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `as_json` wrote; anything else raises ValueError, KeyError or TypeError."""
        values: dict[str, Any] = json.loads(text)
        values["pages"] = tuple(PageReport(**page) for page in values["pages"])
        values["notes"] = tuple(map(str, values.get("notes", ())))
        values["items"] = tuple(
            ItemReport(**{**item, "notes": tuple(map(str, item["notes"]))})
            for item in values.get("items", ())
        )
        if values["status"] not in ("marked", "refused"):
            raise ValueError("unknown status")
        return cls(**values)

    def hashed(self, sha256_in: str, sha256_out: str | None) -> Self:
        """The same report with the digests that the parent computed itself."""
        return replace(self, sha256_in=sha256_in, sha256_out=sha256_out)


def refused(code: str, detail: str, kind: str = "unknown") -> Report:
    """A report of a file that was not marked."""
    return Report(kind=kind, status="refused", reason=code, detail=detail)


def from_child(done: dict[str, Any] | str, failed: dict[str, str]) -> Report:
    """A report out of what a child said, checked for form: a child taken over by its file must not break the parent.

    `failed` words the codes of children that said nothing. A page that is not marked refuses the whole file.
    """
    if isinstance(done, str):
        return refused(done, failed[done])
    try:
        report = Report.from_json(json.dumps(done))
    except (ValueError, KeyError, TypeError, AttributeError):
        return refused("CRASHED", failed["CRASHED"])
    covered = bool(report.pages) and all(page.marked for page in report.pages)
    if report.status == "refused" or covered:
        return report
    return refused("MARK_NOT_SEEN", "a page was left out", report.kind)
