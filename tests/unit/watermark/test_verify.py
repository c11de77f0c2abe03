"""The check of the mark fails closed."""

import io
import os
from collections.abc import Callable
from typing import Any

import pytest
from pikepdf import Pdf
from PIL import Image, ImageDraw

from watermark import images, job, layout, memory, sanitize, stamp, verify
from watermark.errors import Refusal
from watermark.mark import Mark

Saved = Callable[..., bytes]


def _unmarked(source: bytes) -> bytes:
    with sanitize.open_pdf(source) as pdf, sanitize.rebuild(pdf).pdf as rebuilt:
        return stamp.save(rebuilt)


def _half_marked(source: bytes, mark: Mark) -> bytes:
    """As the stamper would leave the file if it forgot the last page."""
    with sanitize.open_pdf(source) as pdf:
        rebuilt = sanitize.rebuild(pdf)
        stamper = stamp.Stamper(rebuilt.pdf, mark, layout.words(mark))
        for page, geometry in list(zip(rebuilt.pdf.pages, rebuilt.geometries, strict=True))[:-1]:
            stamper.stamp(page, geometry)
        return stamp.save(rebuilt.pdf)


@pytest.fixture
def three_pages(saved: Saved, add_page: Callable[..., Any]) -> bytes:
    """Three A4 pages."""
    with Pdf.new() as pdf:
        for _ in range(3):
            add_page(pdf)
        return saved(pdf)


def test_one_page_left_out_refuses_the_file_and_is_named(three_pages: bytes, mark: Mark) -> None:
    with pytest.raises(Refusal, match="MARK_NOT_SEEN.*page 3"):
        verify.check_pdf(three_pages, _unmarked(three_pages), _half_marked(three_pages, mark), mark.opacity)


def test_a_lost_page_or_another_size_is_refused(
    three_pages: bytes, a4: bytes, mark: Mark, saved: Saved
) -> None:
    with pytest.raises(Refusal, match="number of pages"):
        verify.check_pdf(three_pages, _unmarked(three_pages), _unmarked(a4), mark.opacity)
    with Pdf.open(io.BytesIO(a4)) as pdf:
        pdf.pages[0].obj.MediaBox = [0, 0, 595, 800]
        other = saved(pdf)
    with pytest.raises(Refusal, match="size of page 1"):
        verify.check_pdf(a4, _unmarked(other), _unmarked(other), mark.opacity)


def test_no_output_when_the_mark_is_not_drawn(a4: bytes, mark: Mark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamp.Stamper, "stamp", lambda *_: None)
    source, out = memory.create("source", a4), memory.create("out")
    try:
        order = {
            "task": "mark",
            "mark": {"lines": list(mark.lines), "copy_number": mark.copy_number, "opacity": 0.12},
        }
        done = job.run(order, source, out)
        assert (done["status"], done["reason"], memory.size(out)) == ("refused", "MARK_NOT_SEEN", 0)
    finally:
        os.close(source)
        os.close(out)


def test_no_picture_when_the_mark_is_not_drawn(
    picture: Callable[..., bytes], mark: Mark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images.Veil, "over", lambda self, frame: frame.copy())
    with pytest.raises(Refusal, match="MARK_NOT_SEEN"):
        images.mark_image(picture("JPEG"), "jpeg", mark, layout.words(mark))


def test_a_picture_written_otherwise_than_meant_is_refused(picture: Callable[..., bytes]) -> None:
    with pytest.raises(Refusal, match="MARK_NOT_SEEN"):
        images._check(picture("PNG", "L"), "png", [Image.new("L", (640, 480), 90)])
    with pytest.raises(Refusal, match="number of frames"):
        images._check(picture("PNG", "L"), "png", [])


def test_regions_are_counted_where_pixels_differ() -> None:
    before = Image.new("L", (400, 400), 255)
    after = before.copy()
    assert verify.regions_seen(before, after, 4) == 0
    ImageDraw.Draw(after).rectangle((10, 10, 20, 20), fill=200)
    ImageDraw.Draw(after).rectangle((310, 310, 311, 311), fill=200)
    assert verify.regions_seen(before, after, 4) == 1
    assert verify.regions_seen(before, Image.new("L", (400, 400), 250), 4) == 16
    assert verify.NEEDED >= 3


def test_bytes_that_pdfium_cannot_read_are_refused() -> None:
    with pytest.raises(Refusal, match="BROKEN"):
        verify.open_document(b"nothing")
