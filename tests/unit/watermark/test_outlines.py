"""Text to outlines: nothing is dropped in silence."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watermark import layout, outlines
from watermark.errors import Refusal
from watermark.mark import Mark


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("吉野家𠮷", "吉野家[U+20BB7]"),
        ("😀", "[U+1F600]"),
        ("ع", "[U+0639]"),
        ("ไทย", "[U+0E44][U+0E17][U+0E22]"),
        ("e\u0301", "é"),
        ("x\u0301", "x[U+0301]"),
        ("甲\u202e乙", "甲[U+202E]乙"),
        ("甲\u200b乙\ufeff", "甲[U+200B]乙[U+FEFF]"),
        ("a\tb\x00", "a[U+0009]b[U+0000]"),
        ("甲\u3000乙\u00a0丙", "甲 乙 丙"),
        ("Αβγ Привет", "Αβγ Привет"),
    ],
)
def test_what_cannot_be_drawn_is_spelled_out(text: str, shown: str) -> None:
    assert outlines.substituted(text)[0] == shown


@given(st.text(max_size=60))
@settings(deadline=None)
def test_every_character_is_drawn_or_spelled(text: str) -> None:
    shown, spelled = outlines.substituted(text)
    for char in unicodedata.normalize("NFC", text):
        space = unicodedata.category(char) == "Zs"
        assert char in shown or space or f"U+{ord(char):04X}" in spelled
    run = outlines.shape(shown)
    assert all(glyph for glyph, _, _ in run.glyphs)


@given(st.text(alphabet=st.sampled_from("甲乙丙abc WWW，"), min_size=1, max_size=400), st.floats(500, 40_000))
@settings(deadline=None)
def test_wrapping_loses_nothing_but_spaces(text: str, width: float) -> None:
    assert "".join(outlines.wrapped(text, width)).replace(" ", "") == text.replace(" ", "")


def test_a_glyph_still_missing_refuses_and_names_the_character() -> None:
    with pytest.raises(Refusal, match=r"GLYPH_MISSING.*U\+20BB7"):
        outlines.shape("𠮷")


def test_every_visible_character_has_an_outline() -> None:
    text, _ = outlines.substituted("示例建材供应商 联系人 Recipient 0123456789-·_:")
    for char in text.replace(" ", ""):
        assert " c\n" in outlines.path(outlines.shape(char)) or " l\n" in outlines.path(
            outlines.shape(char)
        ), char


def test_a_name_of_sixty_characters_is_whole_in_tile_and_footer() -> None:
    name = "长" * 60
    words = layout.words(Mark((name,), "C-1"))
    assert words.footer.count("长") == 60
    glyph = outlines.path(outlines.shape("长"))
    assert words.tile.path.count(" m") == 60 * glyph.count(" m") + outlines.path(outlines.shape("C-1")).count(
        " m"
    )
    assert words.tile.width <= layout.MEASURE * outlines.EM


@pytest.mark.parametrize("view", [(36.0, 36.0), (420.0, 595.0), (2384.0, 3370.0), (60.0, 5000.0)])
def test_the_footer_fits_every_page(view: tuple[float, float]) -> None:
    foot = layout.footer(view, outlines.substituted("甲乙丙丁戊 Recipient · " * 6)[0])
    assert foot.block.width / outlines.EM * foot.size <= view[0]
