"""A table as a file: CSV (RFC 4180, UTF-8 with a mark), XLSX (ECMA-376), PDF/A-2b on A4 across."""

import csv
import io
import json
import unicodedata
from pathlib import Path
from typing import Literal

import typst
import xlsxwriter
from pylopdf_fonts_zh_cn import serif_path

from agreements.typesetting import has_glyph
from gateway.registers.table import Table, Taken, footer, safe_cell

Form = Literal["csv", "xlsx", "pdf"]

MIME: dict[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
}
_LAYOUT = Path(__file__).with_name("register.typ")
_WIDEST = 42


def written(table: Table, taken: Taken, form: Form) -> bytes:
    """The whole register as one file of this form."""
    return {"csv": as_csv, "xlsx": as_xlsx, "pdf": as_pdf}[form](table, taken)


def as_csv(table: Table, taken: Taken) -> bytes:
    """Every cell quoted and safe against formulas; the last line says by whom and when it was taken."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(_heads(table, taken))
    writer.writerows([safe_cell(cell) for cell in row] for row in table.rows)
    writer.writerow([safe_cell(footer(taken))])
    return out.getvalue().encode("utf-8-sig")


def as_xlsx(table: Table, taken: Taken) -> bytes:
    """One sheet, every cell a string and never a formula; kept in memory, so that nothing in clear reaches a disk."""
    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(out, options) as book:
        # The zone is part of the footer's words; the file format's own time has none.
        book.set_properties({"title": table.title(taken.language), "created": taken.at.replace(tzinfo=None)})
        bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1})
        plain = book.add_format({"text_wrap": True, "valign": "top"})
        sheet = book.add_worksheet()
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.freeze_panes(1, 0)
        for column, head in enumerate(_heads(table, taken)):
            sheet.write_string(0, column, head, bold)
            sheet.set_column(column, column, _width(table, column, head))
        for number, row in enumerate(table.rows, start=1):
            for column, cell in enumerate(row):
                sheet.write_string(number, column, safe_cell(cell), plain)
        sheet.write_string(len(table.rows) + 2, 0, safe_cell(footer(taken)))
    return out.getvalue()


def as_pdf(table: Table, taken: Taken) -> bytes:
    """PDF/A-2b, A4 across, page n of N; a character that the font lacks is spelled out as its code point."""
    data = {
        "title": _shown(table.title(taken.language)),
        "columns": [_shown(head) for head in _heads(table, taken)],
        "rows": [[_shown(cell) for cell in row] for row in table.rows],
        "footer": _shown(footer(taken)),
        "lang": "en" if taken.language == "en" else "zh",
    }
    made: bytes = typst.compile(
        _LAYOUT,
        font_paths=[serif_path().parent],
        ignore_system_fonts=True,
        sys_inputs={"data": json.dumps(data, ensure_ascii=False)},
        timestamp=int(taken.at.timestamp()),
        pdf_standards="a-2b",
    )
    return made


def _heads(table: Table, taken: Taken) -> list[str]:
    return [column(taken.language) for column in table.columns]


def _width(table: Table, column: int, head: str) -> int:
    # A Chinese character takes two columns of a spreadsheet's width.
    texts = [head, *(row[column] for row in table.rows[:200])]
    return min(_WIDEST, max(8, *(sum(1 if ord(c) < 0x2E80 else 2 for c in text) + 2 for text in texts)))


def _shown(text: str) -> str:
    # The typesetter drops or refuses what its font lacks, and a mark alone has no place to stand.
    return "".join(c if _drawn(c) else f"[U+{ord(c):04X}]" for c in " ".join(text.split()))


def _drawn(char: str) -> bool:
    return has_glyph(char) and not unicodedata.category(char).startswith(("M", "C"))
