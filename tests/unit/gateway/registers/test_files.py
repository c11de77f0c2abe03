"""A register as a file: whatever a cell holds, it stays a word and the file opens."""

import csv
import io
from datetime import datetime
from zoneinfo import ZoneInfo

import openpyxl
import pikepdf
import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.principal import Text
from gateway.registers.files import as_csv, as_pdf, as_xlsx, written
from gateway.registers.table import Table, Taken, footer, safe_cell

TITLE = Text("保密协议台账", "Register of agreements")
COLUMNS = (Text("协议编号", "Number"), Text("合作单位", "Organisation"))
TAKEN = Taken("档案管理员", datetime(2026, 11, 24, 9, 30, tzinfo=ZoneInfo("Asia/Shanghai")), 1234, "zh")
HOSTILE = (
    "=1+1", "＝cmd|' /C calc'!A0", "+86 10", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=2", "\0=1", "  =1+1", "|x", "%x",
)  # fmt: skip


def table(*cells: str) -> Table:
    return Table(TITLE, COLUMNS, [(cell, "某某公司") for cell in cells])


def text_of(pdf: bytes) -> str:
    with pypdfium2.PdfDocument(pdf) as document:
        return "".join(page.get_textpage().get_text_range() for page in document)


@pytest.mark.parametrize("cell", HOSTILE)
def test_no_cell_begins_a_formula(cell: str) -> None:
    made = safe_cell(cell)
    assert made.startswith("'")
    assert "\0" not in made


def test_a_plain_cell_stays_as_it_is() -> None:
    assert [safe_cell(c) for c in ("", "BM-2026-0001", "某某 = 公司")] == ["", "BM-2026-0001", "某某 = 公司"]


def test_csv_is_read_back_cell_by_cell() -> None:
    rows = list(csv.reader(io.StringIO(as_csv(table(*HOSTILE), TAKEN).decode("utf-8-sig"), newline="")))
    assert rows[0] == ["协议编号", "合作单位"]
    assert [row[0] for row in rows[1:-1]] == [safe_cell(c) for c in HOSTILE]
    assert rows[-1] == [footer(TAKEN)]


def test_xlsx_holds_words_and_no_formula() -> None:
    sheet = openpyxl.load_workbook(io.BytesIO(as_xlsx(table(*HOSTILE), TAKEN))).active
    cells = [cell for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert {cell.data_type for cell in cells} == {"s"}
    assert sheet["A2"].value == "'=1+1"
    assert sheet.page_setup.orientation == "landscape"


def test_pdf_says_what_it_is_and_who_took_it_on_each_page() -> None:
    made = as_pdf(table(*(f"BM-2026-{n:04d}" for n in range(200))), TAKEN)
    with pypdfium2.PdfDocument(made) as document:
        pages = [page.get_textpage().get_text_range() for page in document]
        assert all(page.get_width() > page.get_height() for page in document)
    assert len(pages) > 1
    assert all("档案管理员" in page and "1234" in page and "协议编号" in page for page in pages)
    assert f"1/{len(pages)}" in pages[0]
    assert "BM-2026-0199" in pages[-1]
    with pikepdf.open(io.BytesIO(made)) as pdf, pdf.open_metadata() as data:
        assert (data["pdfaid:part"], data["pdfaid:conformance"]) == ("2", "B")


def test_a_character_without_a_glyph_is_spelled_out_in_the_pdf() -> None:
    assert "[U+1F512]" in text_of(as_pdf(table("🔒 某某"), TAKEN))


def test_english_heads_for_an_english_reader() -> None:
    taken = Taken("档案管理员", TAKEN.at, None, "en")
    first = as_csv(table("x"), taken).decode("utf-8-sig").splitlines()
    assert first[0] == '"Number","Organisation"'
    assert "no checkpoint yet" in first[-1]


@settings(max_examples=25, deadline=None)
@given(
    cells=st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=60), min_size=1, max_size=5)
)
@pytest.mark.parametrize("form", ["csv", "xlsx", "pdf"])
def test_any_text_gives_a_file(form: str, cells: list[str]) -> None:
    made = written(table(*cells), TAKEN, form)
    if form == "csv":
        rows = list(csv.reader(io.StringIO(made.decode("utf-8-sig"), newline="")))
        assert len(rows) == len(cells) + 2
    elif form == "xlsx":
        assert openpyxl.load_workbook(io.BytesIO(made)).active.max_row >= len(cells) + 1
    else:
        with pypdfium2.PdfDocument(made) as document:
            assert len(document) >= 1
