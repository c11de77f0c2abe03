"""DXF: drawn as it is, in a font that holds its words, or refused with the list of what cannot be drawn."""

import io
import os
from collections.abc import Callable
from typing import Any

import ezdxf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat

from watermark import drawings, job, memory
from watermark.errors import Refusal
from watermark.report import Report

Marked = Callable[..., tuple[bytes | None, Report]]


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    drawings.preload()


def _bytes(document: Any, encoding: str = "gb18030") -> bytes:
    out = io.StringIO()
    document.write(out)
    return out.getvalue().replace("ANSI_1252", "ANSI_936").encode(encoding)


def _plan() -> Any:
    """An A1 sheet at 1:100 with blocks, a hatch, a dimension and Chinese in stroke fonts."""
    document = ezdxf.new("R2000", setup=True)
    document.units = 4
    document.styles.add("HZ", font="txt.shx").dxf.bigfont = "gbcbig.shx"
    space = document.modelspace()
    space.add_lwpolyline([(0, 0), (84100, 0), (84100, 59400), (0, 59400)], close=True)
    door = document.blocks.new("DOOR")
    door.add_arc((0, 0), 900, 0, 90)
    door.add_attdef("NO", (100, 100), "M1", height=200, dxfattribs={"style": "HZ"})
    for number in range(4):
        placed = space.add_blockref(
            "DOOR", (10000 + number * 8000, 20000), dxfattribs={"xscale": 4, "yscale": 4}
        )
        placed.add_auto_attribs({"NO": f"门{number}"})
    hatch = space.add_hatch(color=3)
    hatch.set_pattern_fill("ANSI31", scale=500)
    hatch.paths.add_polyline_path([(10000, 30000), (30000, 30000), (30000, 45000)], is_closed=True)
    space.add_text("客厅平面图", height=4000, dxfattribs={"style": "HZ"}).set_placement((10000, 50000))
    space.add_mtext(
        "{\\fSimSun|b0;\\U+5EFA\\U+7B51}说明", dxfattribs={"char_height": 1200, "insert": (40000, 45000)}
    )
    space.add_linear_dim(base=(10000, 15000), p1=(10000, 20000), p2=(50000, 20000)).render()
    return document


def test_a_plan_with_chinese_is_drawn_and_marked(marked: Marked, drawn: Callable[..., Image.Image]) -> None:
    out, report = marked(_bytes(_plan()))
    assert out is not None, report
    assert (report.kind, report.source_kind, report.notes) == ("pdf", "dxf", ("CONVERTED",))
    page = report.pages[0]
    assert 2300 < page.width < 2600
    assert 1600 < page.height < 1900
    picture = drawn(drawings.dxf_pdf(_bytes(_plan())), scale=0.4)
    left, right = (0.1, 0.35) if picture.width else (0, 0)
    words = picture.crop(
        (
            int(left * picture.width),
            int(0.08 * picture.height),
            int(right * picture.width),
            int(0.2 * picture.height),
        )
    )
    empty = picture.crop(
        (
            int(0.8 * picture.width),
            int(0.3 * picture.height),
            int(0.95 * picture.width),
            int(0.6 * picture.height),
        )
    )
    assert sum(words.histogram()[:128]) > 300
    assert sum(empty.histogram()[:128]) == 0


def test_the_words_are_drawn_as_the_same_words_in_the_font_itself(drawn: Callable[..., Image.Image]) -> None:
    """A reference rendering: the drawing in stroke fonts beside the same drawing in the product's font."""
    other = _plan()
    for style in other.styles:
        style.dxf.font, style.dxf.bigfont = drawings.FONT, ""
    for entity in other.modelspace().query("MTEXT"):
        entity.text = "建筑说明"
    one, two = (drawn(drawings.dxf_pdf(_bytes(document)), scale=0.4) for document in (_plan(), other))
    assert one.size == two.size
    assert ImageStat.Stat(ImageChops.difference(one, two)).mean[0] < 0.2


@pytest.mark.parametrize(
    ("add", "named"),
    [
        (lambda space: space.add_wipeout([(0, 0), (1, 1)]), "WIPEOUT"),
        (lambda space: space.new_entity("ACAD_PROXY_ENTITY", {}), "ACAD_PROXY_ENTITY"),
        (lambda space: space.add_mesh(), "MESH"),
        (lambda space: space.add_body(), "BODY"),
    ],
)
def test_what_was_not_tried_is_refused_with_its_name(add: Callable[[Any], object], named: str) -> None:
    document = _plan()
    document = ezdxf.new("R2010")
    document.modelspace().add_line((0, 0), (9, 9))
    add(document.modelspace())
    with pytest.raises(Refusal, match="NOT_FAITHFUL") as refused:
        drawings.check(document)
    assert named in refused.value.detail


def test_a_drawing_that_refers_to_others_is_refused() -> None:
    document = ezdxf.new("R2010")
    document.add_xref_def("other.dwg", "OTHER")
    with pytest.raises(Refusal, match="NOT_FAITHFUL"):
        drawings.check(document)


def test_words_in_the_wrong_code_page_are_refused(marked: Marked) -> None:
    out = io.StringIO()
    _plan().write(out)
    assert "ANSI_1252" in out.getvalue()
    assert marked(out.getvalue().encode("gb18030"))[1].reason == "NOT_FAITHFUL"


def test_blocks_that_unfold_without_end_stay_in_the_budget(marked: Marked) -> None:
    document = ezdxf.new("R2000")
    inner = document.blocks.new("B0")
    inner.add_line((0, 0), (1, 1))
    for level in range(1, 8):
        block = document.blocks.new(f"B{level}")
        for copy in range(10):
            block.add_blockref(f"B{level - 1}", (copy, 0))
    document.modelspace().add_blockref("B7", (0, 0))
    out, report = marked(_bytes(document), deadline_s=12)
    assert out is None
    assert report.reason in ("TIMEOUT", "BUDGET_OBJECTS", "BUDGET_MEMORY", "CRASHED")


def test_an_empty_drawing_is_refused(marked: Marked) -> None:
    assert marked(_bytes(ezdxf.new("R2000")))[1].reason == "NOT_FAITHFUL"


def test_coded_characters_are_read_and_missing_ones_spelled_out() -> None:
    assert drawings.words(r"\U+5EFA\U+7B51 {\fSimSun|b0;x}") == "建筑 {x}"
    assert drawings.words("\U00020bb7") == "[U+20BB7]"


@given(st.binary(max_size=300), st.integers(0, 20_000))
@settings(deadline=None, max_examples=15)
def test_any_bytes_are_a_drawing_or_a_refusal(data: bytes, at: int) -> None:
    real = _bytes(ezdxf.new("R12"))
    source, out = memory.create("source", real[: at % len(real)] + data), memory.create("out")
    done = job.run({"task": "set"}, source, out)
    os.close(source)
    assert done.get("status") == "refused" or memory.size(out) > 0
    os.close(out)
