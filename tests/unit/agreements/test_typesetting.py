"""The font's own coverage, and the refusals of the typesetter."""

import datetime

import pytest
import typst

from agreements import typesetting
from agreements.errors import MissingGlyph, RenderError
from agreements.typesetting import has_glyph, require_glyphs, typeset

DAY = datetime.date(2026, 11, 23)


def test_the_font_covers_common_chinese_and_latin():
    # GB 2312's whole first level, which holds the characters of daily use.
    cells = [(row, cell) for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF)]
    daily = "".join(bytes(cell).decode("gb2312") for cell in cells if cell < (0xD7, 0xFA))
    require_glyphs([daily, "ABCxyz019éüñ《》〈〉「」（），。；：、？！…—·￥％＃"])


def test_missing_characters_are_named_once_each_in_order():
    with pytest.raises(MissingGlyph) as refusal:
        require_glyphs(["b😀a", "😀\ue000"])
    assert refusal.value.characters == ("\ue000", "😀")
    assert not has_glyph("😀")


def test_strings_are_looked_for_at_any_depth():
    data: dict[str, typesetting.Json] = {"title": "t", "parts": [{"rows": [["a", "\ue000"]]}]}
    with pytest.raises(MissingGlyph):
        typeset("certificate.typ", data, DAY)


def test_a_layout_without_its_data_is_refused_without_a_trace_of_paths():
    with pytest.raises(RenderError) as refusal:
        typeset("agreement.typ", {"title": "t"}, DAY)
    assert "/" not in str(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize("character", ["\ue000", "𠮷"])
def test_what_only_the_typesetter_finds_missing_is_named(character):
    """The cmap is asked first; without that guard the typesetter's own refusal still names the character."""
    data: dict[str, typesetting.Json] = {
        "title": "t",
        "number": "n",
        "draft": False,
        "year": 2026,
        "month": 1,
        "day": 1,
        "zh": [{"kind": "title", "number": "", "text": "题" + character, "indent": False}],
        "en": [],
    }
    with pytest.raises(MissingGlyph) as refusal:
        typesetting._compiled("agreement.typ", data)
    assert character in refusal.value.characters


def test_no_font_of_the_system_or_of_typst_is_used():
    assert {font.family for font in typesetting._fonts().fonts()} == {"Noto Serif SC", "Noto Sans SC"}
    assert isinstance(typesetting._fonts(), typst.Fonts)
