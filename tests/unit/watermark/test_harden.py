"""Hardened pages are pictures: nothing to lift off, the same size, the mark in them."""

import io
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import pypdfium2
import pytest
from pikepdf import Name, Pdf

from watermark import harden, layout, sanitize, stamp, verify
from watermark.errors import Refusal
from watermark.mark import Mark
from watermark.profiles import HARDENED

Saved = Callable[[Pdf], bytes]
AddPage = Callable[..., Any]
Hardened = Callable[..., bytes]


@pytest.fixture
def hardened(mark: Mark) -> Hardened:
    """A source marked and hardened."""

    def make(source: bytes, words: bool = True, profile: Any = HARDENED) -> bytes:
        with sanitize.open_pdf(source) as pdf:
            rebuilt = sanitize.rebuild(pdf)
            unmarked = stamp.save(rebuilt.pdf)
            if words:
                stamp.stamp_all(rebuilt.pdf, rebuilt.geometries, mark, layout.words(mark), profile)
            marked = stamp.save(rebuilt.pdf)
        return harden.marked_and_hardened(source, unmarked, marked, rebuilt.geometries, profile, "C-1")

    return make


@pytest.fixture
def sheets(add_page: AddPage, saved: Saved) -> bytes:
    """A photo-like page that is turned, and one of black and white."""
    with Pdf.new() as pdf:
        add_page(
            pdf, content=b"0.6 0.2 0.1 rg 0 0 595 842 re f BT /F 24 Tf 60 400 Td (Drawing) Tj ET", Rotate=90
        )
        add_page(pdf, (842, 595), b"0 g 100 100 300 200 re f", UserUnit=2)
        return saved(pdf)


def test_pages_are_pictures_of_the_same_size_and_hold_no_text(hardened: Hardened, sheets: bytes) -> None:
    made = hardened(sheets)
    with closing(pypdfium2.PdfDocument(sheets)) as before, closing(pypdfium2.PdfDocument(made)) as after:
        assert len(before) == len(after)
        for index in range(len(before)):
            assert before.get_page_size(index) == pytest.approx(after.get_page_size(index), abs=0.1)
            assert after[index].get_textpage().get_text_range() == ""
    with Pdf.open(io.BytesIO(made)) as pdf:
        for page in pdf.pages:
            assert list(page.obj.Resources.keys()) == ["/XObject"]
            assert page.obj.Resources.XObject.P.Subtype == Name.Image
        assert pdf.pages[0].obj.Resources.XObject.P.Width == round(842 * 200 / 72)


def test_colour_is_jpeg_and_black_and_white_is_group_4(hardened: Hardened, sheets: bytes) -> None:
    with Pdf.open(io.BytesIO(hardened(sheets))) as pdf:
        filters = [page.obj.Resources.XObject.P.Filter for page in pdf.pages]
    assert filters[0] == Name.DCTDecode
    assert filters[1] in (Name.CCITTFaxDecode, Name.DCTDecode)


def test_group_4_reads_back_as_it_was(sheets: bytes) -> None:
    with closing(verify.open_document(sheets)) as document, closing(document[1]) as page:
        dots = verify.draw(page, 0.5).convert("1")
    with Pdf.new() as pdf:
        pdf.add_blank_page()
        made = harden._stream(pdf, dots.size, harden._group4(dots), Name.CCITTFaxDecode, Name.DeviceGray, 1)
        made.DecodeParms = {"/K": -1, "/Columns": dots.width, "/Rows": dots.height, "/BlackIs1": True}
        harden._add(pdf, made, (float(dots.width), float(dots.height)), 1.0)
        out = io.BytesIO()
        pdf.save(out)
    with closing(pypdfium2.PdfDocument(out.getvalue())) as document:
        drawn = document[1].render(scale=1).to_pil().convert("1")
    assert drawn.tobytes() == dots.tobytes()


def test_a_hardened_page_without_its_mark_is_refused(hardened: Hardened, sheets: bytes) -> None:
    with pytest.raises(Refusal, match="MARK_NOT_SEEN"):
        hardened(sheets, words=False)


def test_too_many_pixels_are_refused(
    hardened: Hardened, sheets: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harden, "MAX_PIXELS", 1_000_000)
    with pytest.raises(Refusal, match="BUDGET_PIXELS"):
        hardened(sheets)
    monkeypatch.undo()
    monkeypatch.setattr(harden, "MAX_BYTES", 10_000)
    with pytest.raises(Refusal, match="BUDGET_BYTES"):
        hardened(sheets, profile=replace(HARDENED, dpi=150))
