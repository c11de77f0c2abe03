"""The mark on pages as they are seen: every box, turn and unit, above whatever the page draws."""

import io
from collections.abc import Callable

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, Pdf
from PIL import Image, ImageChops, ImageStat

from watermark.report import Report

Marked = Callable[..., tuple[bytes | None, Report]]
Drawn = Callable[..., Image.Image]
Saved = Callable[[Pdf], bytes]
AddPage = Callable[..., pikepdf.Page]


def _ink(image: Image.Image, box: tuple[int, int, int, int]) -> int:
    """Pixels of a part that are not white."""
    return sum(image.crop(box).histogram()[:250])


def _mean_difference(one: Image.Image, other: Image.Image) -> float:
    return float(ImageStat.Stat(ImageChops.difference(one, other.resize(one.size))).mean[0])


@pytest.fixture
def upright(marked: Marked, drawn: Drawn, saved: Saved, add_page: AddPage) -> Image.Image:
    """The mark as it looks on an empty upright A4 page."""
    with Pdf.new() as pdf:
        add_page(pdf, content=b"")
        data, _ = marked(saved(pdf))
    assert data is not None
    return drawn(data)


@pytest.mark.parametrize("turn", [0, 90, 180, 270, -90, 450])
def test_a_turned_page_shows_the_mark_upright(
    turn: int, upright: Image.Image, marked: Marked, drawn: Drawn, saved: Saved, add_page: AddPage
) -> None:
    size = (842, 595) if turn % 180 else (595, 842)
    with Pdf.new() as pdf:
        add_page(pdf, size, b"", Rotate=turn)
        data, report = marked(saved(pdf))
    assert data is not None
    assert report.pages[0].rotation == turn % 360
    assert (report.pages[0].width, report.pages[0].height) == size
    assert _mean_difference(upright, drawn(data)) < 1.0
    assert _mean_difference(upright, drawn(data).rotate(180)) > 1.2


def test_a_user_unit_does_not_change_the_look(
    upright: Image.Image, marked: Marked, drawn: Drawn, saved: Saved, add_page: AddPage
) -> None:
    with Pdf.new() as pdf:
        add_page(pdf, (297.5, 421), b"", UserUnit=2)
        data, report = marked(saved(pdf))
    assert data is not None
    assert report.pages[0].user_unit == 2
    assert (report.pages[0].width, report.pages[0].height) == (595, 842)
    assert _mean_difference(upright, drawn(data, scale=2.0)) < 1.0


def test_the_mark_stands_in_the_crop_box_and_nothing_is_hidden_outside(
    upright: Image.Image,
    marked: Marked,
    drawn: Drawn,
    saved: Saved,
    add_page: AddPage,
    array: Callable[..., Array],
) -> None:
    with Pdf.new() as pdf:
        add_page(pdf, (1595, 1842), b"0 0 400 400 re f", CropBox=array(500, 500, 1095, 1342))
        data, report = marked(saved(pdf))
    assert data is not None
    assert (report.pages[0].width, report.pages[0].height) == (595, 842)
    assert _mean_difference(upright, drawn(data)) < 1.0
    with Pdf.open(io.BytesIO(data)) as out:
        out.pages[0].obj.CropBox = out.pages[0].obj.MediaBox
        widened = drawn(saved(out))
    assert _ink(widened, (0, 1842 - 400, 400, 1842)) == 0


@pytest.mark.parametrize(
    "content",
    [
        b"Q Q Q Q 0 0 1 1 re W n",
        b"q q q q 0 0 1 1 re W n",
        b"0.001 0 0 0.001 0 0 cm",
        b"1 0 0 RG 1 1 1 rg /Gone gs",
        b"BT /F 12 Tf 3 Tr (never ended) Tj",
        b"/OC /Nowhere BDC",
        b"Q Q 0 0 0 0 0 0 cm",
        b"10 10 m 20 20 l",
    ],
)
def test_the_mark_is_the_same_whatever_the_page_leaves_behind(
    content: bytes, upright: Image.Image, marked: Marked, drawn: Drawn, saved: Saved, add_page: AddPage
) -> None:
    with Pdf.new() as pdf:
        page = add_page(pdf, content=content)
        gone = Dictionary(Type=Name.ExtGState, ca=0.0, CA=0.0)
        page.obj.Resources.ExtGState = Dictionary(Gone=gone)
        data, report = marked(saved(pdf))
    assert data is not None, report
    assert _mean_difference(upright, drawn(data)) < 0.5


def test_pages_that_share_everything_are_marked_once_each(
    upright: Image.Image, marked: Marked, drawn: Drawn, saved: Saved, add_page: AddPage
) -> None:
    with Pdf.new() as pdf:
        first = add_page(pdf, content=b"").obj
        first.Resources = pdf.make_indirect(first.Resources)
        for size in ((595, 842), (842, 595)):
            other = add_page(pdf, size).obj
            other.Contents, other.Resources = first.Contents, first.Resources
        pdf.pages.append(pdf.pages[0])
        data, report = marked(saved(pdf))
    assert data is not None
    assert [page.marked for page in report.pages] == [True] * 4
    for index in (0, 1, 3):
        assert _mean_difference(upright, drawn(data, index)) < 0.01


def test_inherited_boxes_resources_and_turns_are_kept(
    marked: Marked, drawn: Drawn, saved: Saved, add_page: AddPage
) -> None:
    with Pdf.new() as pdf:
        page = add_page(pdf, (595, 842)).obj
        tree = pdf.Root.Pages
        tree.MediaBox, tree.Resources, tree.Rotate = Array([0, 0, 300, 500]), page.Resources, 90
        del page.MediaBox, page.Resources
        source = saved(pdf)
        data, report = marked(source)
    assert data is not None
    assert (report.pages[0].width, report.pages[0].height, report.pages[0].rotation) == (300, 500, 90)
    before, after = drawn(source), drawn(data)
    assert before.size == after.size == (500, 300)
    assert ImageChops.subtract(after, before).getextrema()[1] < 255


@pytest.mark.parametrize("size", [(420, 595), (1191, 842), (1684, 2384), (2384, 3370), (200, 100)])
def test_sheets_from_small_to_a0_are_marked(
    size: tuple[int, int], marked: Marked, saved: Saved, add_page: AddPage
) -> None:
    with Pdf.new() as pdf:
        add_page(pdf, size)
        data, report = marked(saved(pdf))
    assert data is not None, report


def test_the_mark_shows_on_black_white_and_mid_grey(
    marked: Marked, drawn: Drawn, saved: Saved, add_page: AddPage
) -> None:
    for level in (0.0, 0.5, 1.0):
        with Pdf.new() as pdf:
            add_page(pdf, content=f"{level} g 0 0 595 842 re f".encode())
            data, report = marked(saved(pdf))
        assert data is not None, report
        middle = drawn(data, scale=2.0).crop((300, 600, 900, 1100))
        low, high = middle.getextrema()
        assert high - low >= 15, level


def test_the_words_are_outlines_and_no_font_is_needed(
    marked: Marked, saved: Saved, add_page: AddPage
) -> None:
    with Pdf.new() as pdf:
        page = add_page(pdf, content=b"")
        del page.obj.Resources
        data, _ = marked(saved(pdf))
    assert data is not None
    assert b"/Font" not in data


def test_contents_in_pieces_look_as_before(
    marked: Marked, drawn: Drawn, saved: Saved, add_page: AddPage
) -> None:
    with Pdf.new() as pdf:
        page = add_page(pdf).obj
        pieces = (b"q 1 0 0 1 100", b"100 cm BT /F 40 Tf (Pie", b") Tj ET Q")
        whole = add_page(pdf, content=b"\n".join(pieces)).obj
        page.Contents = Array([pdf.make_stream(piece) for piece in pieces])
        assert whole is not None
        data, _ = marked(saved(pdf))
    assert data is not None
    assert _mean_difference(drawn(data, 0), drawn(data, 1)) < 0.01


def test_a_page_too_small_to_read_is_refused(marked: Marked, saved: Saved, add_page: AddPage) -> None:
    with Pdf.new() as pdf:
        add_page(pdf)
        add_page(pdf, (20, 20))
        data, report = marked(saved(pdf))
    assert data is None
    assert report.reason == "PAGE_SIZE"
