"""Files that pikepdf cannot repair but pdfium can show: marked as pictures, and said so."""

import io
from collections.abc import Callable

import pikepdf
import pytest

from watermark import kinds, pictures, sanitize
from watermark.errors import Refusal
from watermark.report import Report

Marked = Callable[..., tuple[bytes | None, Report]]


@pytest.fixture
def broken() -> bytes:
    """A page tree whose array of pages is never closed: one reader gives up, the other still finds the page."""
    with pikepdf.Pdf.new() as pdf:
        pdf.add_blank_page(page_size=(595, 842))
        pdf.pages[0].Contents = pdf.make_stream(b"0.5 g 0 0 300 400 re f")
        out = io.BytesIO()
        pdf.save(out)
    data = out.getvalue()
    end = data.index(b"]", data.index(b"/Kids ["))
    return data[:end] + b"\xfe" + data[end + 1 :]


def test_a_file_that_only_one_reader_can_show_is_marked_as_pictures(
    broken: bytes, marked: Marked, drawn: Callable[..., object]
) -> None:
    with pytest.raises(Refusal, match="BROKEN"):
        sanitize.open_pdf(broken)
    assert kinds.identify(broken) == kinds.Kind("pdf", "application/pdf", "stamp", None, 1)
    out, report = marked(broken)
    assert out is not None, report
    assert report.notes == ("DRAWN_AS_PICTURES",)
    assert [(page.width, page.height, page.marked) for page in report.pages] == [(595.0, 842.0, True)]
    with pikepdf.Pdf.open(io.BytesIO(out)) as pdf:
        image = pdf.pages[0].Resources.XObject["/C0"].Resources.XObject["/P"]
        assert (image.Width, image.Height) == (1653, 2339)


def test_what_neither_reader_can_show_is_refused() -> None:
    with pytest.raises(Refusal, match="BROKEN"):
        pictures.drawn_pdf(b"%PDF-1.7 nothing")
    with pytest.raises(Refusal, match="BROKEN"):
        pictures.count(b"%PDF-1.7 nothing")


def test_pictures_have_a_budget(broken: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_ALL", 1_000_000)
    with pytest.raises(Refusal, match="BUDGET_PIXELS"):
        pictures.drawn_pdf(broken)
