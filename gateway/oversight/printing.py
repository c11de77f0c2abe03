"""A report from the log as PDF/A-2b, with the checkpoint it is proved by and what it does not prove."""

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import typst
from pylopdf_fonts_zh_cn import serif_path

from agreements.typesetting import has_glyph
from gateway.audit import leaf, tree
from gateway.audit.rows import LogEntry
from gateway.oversight import statements, words
from gateway.principal import Text

_LAYOUT = Path(__file__).with_name("report.typ")
ERASED = Text("已抹除", "erased")
COLUMNS = (
    Text("序号", "No."),
    Text("时间", "Time"),
    Text("事件", "Event"),
    Text("主体", "Actor"),
    Text("对象与内容", "Object and content"),
    Text("叶摘要", "Leaf hash"),
)


@dataclass(frozen=True)
class Printed:
    """One entry with its bytes, as a line of a report."""

    entry: LogEntry
    body: bytes


@dataclass(frozen=True)
class Report:
    """What a report says. `facts` are values about its subject; with `more`, other entries fit and are in the files beside it."""

    title: Text
    facts: Sequence[tuple[Text, str]]
    lines: Sequence[Printed]
    checkpoint: str
    vkey: str
    cosigners: Sequence[str]
    by: str
    at: datetime
    zone: str
    more: bool = False


def pdf(report: Report, language: str) -> bytes:
    """The report for people, in one language, set from its values alone."""
    made: bytes = typst.compile(
        _LAYOUT,
        font_paths=[serif_path().parent],
        ignore_system_fonts=True,
        sys_inputs={"data": json.dumps(_data(report, language), ensure_ascii=False)},
        timestamp=int(report.at.timestamp()),
        pdf_standards="a-2b",
    )
    return made


def _data(report: Report, language: str) -> dict[str, object]:
    zone = ZoneInfo(report.zone)
    entries = Text("所列记录", "Entries")
    if report.more:
        entries = Text("所列记录（其余见同附的文件）", "Entries (the others are in the files beside this)")
    footer = Text("{by} 于 {at} 导出", "Taken by {by} on {at}")
    return {
        "title": _shown(report.title(language)),
        "lang": "en" if language == "en" else "zh",
        "footer": _shown(
            footer.format(by=report.by, at=f"{report.at.astimezone(zone):%Y-%m-%d %H:%M %Z}")(language)
        ),
        "facts": [[_shown(name(language)), _shown(value)] for name, value in report.facts],
        "parts": [
            _part(Text("本报告证明", "What this proves"), statements.proves(report.cosigners), language),
            _part(
                Text("本报告不证明", "What this does not prove"),
                statements.leaves_open(report.cosigners),
                language,
            ),
        ],
        "checkpoint_heading": Text("检查点与公钥", "Checkpoint and key")(language),
        "checkpoint": [_shown(line) for line in (*report.checkpoint.splitlines(), report.vkey) if line],
        "entries_heading": entries(language),
        "columns": [column(language) for column in COLUMNS],
        "rows": [[_shown(cell) for cell in _row(line, zone, language)] for line in report.lines],
    }


def _part(heading: Text, lines: Sequence[Text], language: str) -> dict[str, object]:
    return {"heading": heading(language), "lines": [_shown(line(language)) for line in lines]}


def _row(line: Printed, zone: ZoneInfo, language: str) -> list[str]:
    entry = line.entry
    content = leaf.canonical(dict(entry.data)).decode() if entry.data else ""
    return [
        "" if entry.seq is None else str(entry.seq),
        f"{entry.at.astimezone(zone):%Y-%m-%d %H:%M:%S}",
        words.event_text(entry.event)(language),
        who(entry, language),
        f"{' '.join(entry.object)} {content}",
        tree.leaf_hash(line.body).hex(),
    ]


def who(entry: LogEntry, language: str) -> str:
    """Who acted, by name where it can still be told; erased people as erased."""
    known = entry.personal.get("actor.name") or entry.personal.get("actor.label")
    if known:
        return known
    return ERASED(language) if "actor.name" in entry.erased or "actor.label" in entry.erased else entry.actor


def _shown(text: str) -> str:
    # The typesetter drops or refuses what its font lacks, and a mark alone has no place to stand.
    return "".join(c if _drawn(c) else f"[U+{ord(c):04X}]" for c in " ".join(text.split()))


def _drawn(char: str) -> bool:
    return has_glyph(char) and not unicodedata.category(char).startswith(("M", "C"))
