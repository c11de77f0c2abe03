"""A register's table: titles and cells as words, and under what it was taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.principal import Text

# A spreadsheet reads these as the beginning of a formula, the full-width forms after its own folding.
_FORMULA = frozenset("=+-@＝＋－＠|%")
_CONTROL = frozenset("\t\r\n\0")


@dataclass(frozen=True)
class Table:
    """`rows` hold one cell per column, as words; what is not there is an empty cell."""

    title: Text
    columns: Sequence[Text]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Taken:
    """By whom and when a register was taken away, in the company's time, and how far the log had come."""

    by: str
    at: datetime
    log_size: int | None
    language: str


def safe_cell(text: str) -> str:
    """The text for a spreadsheet's cell: what could be read as a formula begins with an apostrophe; NUL never stays."""
    risky = text[:1] in _CONTROL or text.lstrip()[:1] in _FORMULA
    return ("'" if risky and text else "") + text.replace("\0", "\ufffd")


FOOTER = Text(
    "{by} 于 {at} 导出；日志位置：第 {n} 条", "Taken by {by} on {at}; position of the log: {n} entries"
)
UNLOGGED = Text("尚无检查点", "no checkpoint yet")


def footer(taken: Taken) -> str:
    """The line below a register: exporter, time with its zone, position of the log."""
    n = UNLOGGED(taken.language) if taken.log_size is None else str(taken.log_size)
    return FOOTER.format(by=taken.by, at=f"{taken.at:%Y-%m-%d %H:%M %Z}", n=n)(taken.language)
