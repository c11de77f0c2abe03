"""Plain text and tables of values: how their bytes are read, and how they are set as pages by typst.

The text goes in as data and is shown as it stands: nothing in it is a command to typst.
"""

import csv
import io
import json
import unicodedata
from dataclasses import dataclass

from watermark import typesetting
from watermark.errors import Refusal

MAX_TEXT = 4 << 20
MAX_LINES = 30_000
MAX_COLUMNS, MAX_CELLS = 12, 60_000
MEASURE = 92  # Columns of a line; a Han character takes two.
_PLAIN = "\t\n\r\f"
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


def decoded(data: bytes) -> str | None:
    """The text of bytes, or None when they are none: by byte order mark, else UTF-8, else GB18030; no control characters."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _strict(data[len(mark) :], encoding)
    if b"\0" in data:
        return None
    text = _strict(data, "utf-8")
    return text if text is not None and not mistaken(text) else _chinese(data) or text


def mistaken(text: str) -> bool:
    """Whether UTF-8 fits by chance: some Han characters of GB18030 are also pairs that make odd letters below U+0800."""
    foreign = [char for char in text if ord(char) > 127]
    usual = ("\u00a0" <= char <= "\u017f" or "\u0391" <= char <= "\u045f" for char in foreign)
    return bool(foreign) and max(foreign) < "\u0800" and not all(usual)


def _strict(data: bytes, encoding: str) -> str | None:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    broken = any(ord(char) < 32 and char not in _PLAIN for char in text) or "\ufffe" in text
    return None if broken else text


def _chinese(data: bytes) -> str | None:
    """GB18030 decodes almost anything; so most of what is beyond ASCII has to be Han characters or their punctuation."""
    text = _strict(data, "gb18030")
    if text is None:
        return None
    foreign = [char for char in text if ord(char) > 127]
    likely = sum(
        "\u4e00" <= char <= "\u9fff" or "\u3000" <= char <= "\u303f" or "\uff00" <= char <= "\uffef"
        for char in foreign
    )
    return text if likely >= 0.8 * len(foreign) else None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of values, all of one length."""

    rows: tuple[tuple[str, ...], ...]


def table(text: str) -> Table | None:
    """The text as a table when every line has the same number of values, at least two, in at least two lines."""
    start = text.lstrip("\ufeff")
    for delimiter in (",", "\t", ";"):
        if delimiter not in start[:4096]:
            continue
        try:
            rows = [
                tuple(row)
                for row in csv.reader(io.StringIO(start, newline=""), delimiter=delimiter, strict=True)
                if row
            ]
        except csv.Error:
            continue
        if len(rows) >= 2 and len(rows[0]) >= 2 and len({len(row) for row in rows}) == 1:
            return Table(tuple(rows))
    return None


def _weighed(data: bytes) -> str:
    if len(data) > MAX_TEXT:
        raise Refusal("BUDGET_BYTES", "the text is longer than the budget")
    text = decoded(data)
    if text is None:
        raise Refusal("BROKEN", "the text is in no encoding that is known here")
    return text


def _width(char: str) -> int:
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(line: str, measure: int = MEASURE) -> list[str]:
    """A line in pieces that fit the page: nothing runs off its edge."""
    pieces, piece, width = [], "", 0
    for char in line:
        width += _width(char)
        if width > measure:
            pieces.append(piece)
            piece, width = "", _width(char)
        piece += char
    return [*pieces, piece]


def text_pdf(data: bytes) -> bytes:
    """Pages of a text as PDF. Raises Refusal BROKEN, BUDGET_BYTES."""
    text = _weighed(data).expandtabs(8)
    lines = [piece for line in text.splitlines() or [""] for piece in cut(typesetting.shown(line))]
    if len(lines) > MAX_LINES:
        raise Refusal("BUDGET_PAGES", f"the text has more than {MAX_LINES} lines")
    return typesetting.pages("text.typ", json.dumps({"lines": lines}, ensure_ascii=False))


def table_pdf(data: bytes) -> bytes:
    """Pages of a table of values; one too broad for a page is set as text, so that nothing is cut off."""
    found = table(_weighed(data))
    if found is None:
        raise Refusal("BROKEN", "the text is no table")
    columns = len(found.rows[0])
    if columns > MAX_COLUMNS or columns * len(found.rows) > MAX_CELLS:
        return text_pdf(data)
    measure = max(4, 110 // columns)
    rows = [["\n".join(cut(typesetting.shown(value), measure)) for value in row] for row in found.rows]
    return typesetting.pages("table.typ", json.dumps({"columns": columns, "rows": rows}, ensure_ascii=False))
