"""Profiles: their bounds, their honest labels, their one spelling; and the receipt's code."""

import io
from contextlib import closing
from dataclasses import replace

import pypdfium2
import pytest
import segno
from pikepdf import Dictionary, Pdf
from PIL import Image

from watermark import layout, qr, stamp
from watermark.errors import BadMark, Refusal
from watermark.geometry import Geometry
from watermark.mark import Mark
from watermark.profiles import HARDENED, VECTOR, Profile, default_for


@pytest.mark.parametrize(
    "changes",
    [
        {"styles": ()},
        {"styles": ("footer",)},
        {"styles": ("tiled", "odd")},
        {"opacity": 0.05},
        {"opacity": float("nan")},
        {"density": 3.0},
        {"colour": (0.0, 0.0, 1.1)},
        {"dpi": 20},
        {"tile_bytes": 16},
        {"footer_bytes": 1 << 21},
    ],
)
def test_a_profile_out_of_bounds_is_refused(changes: dict) -> None:
    with pytest.raises(BadMark):
        replace(VECTOR, **changes)


def test_a_profile_is_read_as_written() -> None:
    for profile in (VECTOR, HARDENED, replace(VECTOR, styles=("diagonal",), colour=(0.5, 0.0, 0.0), qr=True)):
        assert Profile.from_json(profile.as_json()) == profile
    for text in ("", "[]", "{}", '{"name":"x"}', VECTOR.as_json().replace("name", "other")):
        with pytest.raises(BadMark):
            Profile.from_json(text)


def test_labels_promise_no_more_than_they_hold() -> None:
    assert "可威慑" in VECTOR.label[0]
    assert "strip" in VECTOR.label[1]
    assert "能够去除" in VECTOR.label[0]
    assert "加固" in HARDENED.label[0]


def test_secret_items_and_photos_are_hardened() -> None:
    assert default_for(3, "document") is HARDENED
    assert default_for(1, "photo") is HARDENED
    assert default_for(2, "document") is VECTOR


def _drawn(profile: Profile, address: str = "", fill: float = 1.0) -> Image.Image:
    mark = Mark(("示例建材供应商 联系人s1", "C-1 2026-11-23"), "C-1", profile.opacity, address)
    with Pdf.new() as pdf:
        pdf.add_blank_page(page_size=(595, 842))
        page = pdf.pages[0].obj
        page.Resources = Dictionary(XObject=Dictionary())
        page.Contents = pdf.make_stream(f"{fill} g 0 0 595 842 re f\n".encode())
        box = (0.0, 0.0, 595.0, 842.0)
        stamp.Stamper(pdf, mark, layout.words(mark), profile).stamp(pdf.pages[0], Geometry(box, box, 0, 1.0))
        out = io.BytesIO()
        pdf.save(out)
    with closing(pypdfium2.PdfDocument(out.getvalue())) as document:
        return document[0].render(scale=2.0).to_pil().convert("RGB").copy()


def test_styles_colour_and_density_change_the_look() -> None:
    looks = {
        _drawn(profile).tobytes()
        for profile in (
            VECTOR,
            replace(VECTOR, styles=("tiled",)),
            replace(VECTOR, styles=("diagonal", "footer")),
            replace(VECTOR, colour=(0.8, 0.0, 0.0)),
            replace(VECTOR, density=2.0),
            replace(VECTOR, opacity=0.3),
        )
    }
    assert len(looks) == 6
    sparse, dense = (len(list(layout.tiles((595, 842), density))) for density in (0.5, 2.0))
    assert sparse < len(list(layout.tiles((595, 842)))) < dense


@pytest.mark.parametrize("fill", [0.0, 0.25, 0.5, 1.0])
def test_the_mark_stands_out_on_dark_and_light(fill: float) -> None:
    low, high = _drawn(VECTOR, fill=fill).convert("L").crop((300, 300, 900, 1200)).getextrema()
    assert high - low >= 15


def test_the_receipts_code_is_drawn_module_by_module() -> None:
    address = "https://example.cn/r/7F3K"
    picture = _drawn(replace(VECTOR, qr=True), address).convert("L")
    matrix = layout.code_box((595, 842), layout.footer((595, 842)).height)
    side, left, bottom = matrix[0] * 1000, matrix[4], matrix[5]
    wanted = [list(row) for row in segno.make(address, error="m", micro=False).matrix]
    count = len(wanted) + 8
    for row, cells in enumerate(wanted):
        for column, dark in enumerate(cells):
            x = left + (column + 4.5) * side / count
            y = 842 - (bottom + side) + (row + 4.5) * side / count
            level = picture.getpixel((int(x * 2), int(y * 2)))
            assert (level < 128) is bool(dark), (row, column)


@pytest.mark.parametrize("address", ["", "x" * 201, "https://例.cn"])
def test_an_address_that_makes_no_code_is_refused(address: str) -> None:
    with pytest.raises(Refusal, match="MARK_TOO_LONG"):
        qr.square(address)
