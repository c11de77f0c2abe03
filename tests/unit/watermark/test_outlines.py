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
        ("吉野家𠮷", "吉野家𠮷"),
        ("😀", "[U+1F600]"),
        ("شركة عامر", "شركة عامر"),
        ("ไทย", "ไทย"),
        ("한국어", "한국어"),
        ("e\u0301", "é"),
        ("x\u0301", "x\u0301"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("甲\u202e乙", "甲[U+202E]乙"),
        ("甲\u200b乙\ufeff", "甲[U+200B]乙[U+FEFF]"),
        ("甲\u200d乙", "甲[U+200D]乙"),
        ("甲\ufe0f", "甲[U+FE0F]"),
        ("a\tb\x00", "a[U+0009]b[U+0000]"),
        ("甲\u3000乙\u00a0丙", "甲 乙 丙"),
        ("Αβγ Привет", "Αβγ Привет"),
    ],
)
def test_letters_are_drawn_and_the_rest_is_spelled_out(text: str, shown: str) -> None:
    assert outlines.substituted(text)[0] == shown
    assert outlines.line(shown).advance > 0


@pytest.mark.parametrize("char", ["\U0002a6a5", "\U00012000", "\u1400"])
def test_a_letter_that_no_face_has_refuses_and_is_named(char: str) -> None:
    with pytest.raises(Refusal, match=rf"GLYPH_MISSING.*U\+{ord(char):04X}"):
        layout.words(Mark((f"甲{char}",), "C-1"))


def test_a_mark_on_a_letter_that_no_face_has_together_refuses() -> None:
    with pytest.raises(Refusal, match=r"GLYPH_MISSING.*U\+0E44 U\+05B0"):
        outlines.line("ไ\u05b0")


@given(st.text(max_size=60))
@settings(deadline=None)
def test_every_character_is_drawn_spelled_or_refused(text: str) -> None:
    try:
        shown, spelled = outlines.substituted(text)
        outlines.line(shown)
    except Refusal:
        return
    for char in unicodedata.normalize("NFC", text):
        space = unicodedata.category(char) == "Zs"
        assert char in shown or space or f"U+{ord(char):04X}" in spelled


def test_arabic_is_joined_and_goes_from_right_to_left() -> None:
    whole = outlines.line("سلام").operators
    letters = [outlines.line(char).operators for char in "سلام"]
    assert whole != b"".join(letters)
    first, last = outlines.line("م س"), outlines.line("س م")
    assert first.operators != last.operators
    assert first.advance == last.advance


def test_figures_between_right_to_left_words_stand_between_them() -> None:
    """Seen from the left: the second word, the figures, the first word."""
    line = outlines.line("שלום 12 עולם").operators
    first = outlines.line("שלום").operators.split(b" cm ")[1]
    figures = outlines.line("12").operators.split(b"f\n")[0]
    second = outlines.line("עולם").operators.split(b" cm ")[1]
    assert line.index(second) < line.index(figures) < line.index(first)


@given(st.text(alphabet=st.sampled_from("甲乙丙abc WWW，"), min_size=1, max_size=400), st.floats(500, 40_000))
@settings(deadline=None)
def test_wrapping_loses_nothing_but_spaces(text: str, width: float) -> None:
    assert "".join(outlines.wrapped(text, width)).replace(" ", "") == text.replace(" ", "")


def test_wrapping_keeps_a_letter_and_its_marks_together() -> None:
    for part in outlines.wrapped("x\u0301" * 40, 2000):
        assert not unicodedata.combining(part[0])
        assert part.count("x") == part.count("\u0301")


def test_every_visible_character_has_an_outline() -> None:
    text, _ = outlines.substituted("示例建材供应商 联系人 Recipient 0123456789-·_:")
    for char in text.replace(" ", ""):
        operators = outlines.line(char).operators
        assert b" c " in operators or b" l " in operators, char


def test_a_name_of_sixty_characters_is_whole_in_tile_and_footer() -> None:
    glyph = outlines.line("长").operators.split(b"f\n")[0]
    words = layout.words(Mark(("长" * 60,), "C-1"))
    for place in (layout.TILE, layout.BROAD, layout.NARROW):
        assert words.fill(place.name).count(glyph) == 60


def test_words_that_would_be_too_small_to_read_are_refused() -> None:
    with pytest.raises(Refusal, match="MARK_TOO_LONG"):
        layout.words(Mark(("长" * 400,) * 8, "C-1"))


@pytest.mark.parametrize("view", [(36.0, 36.0), (420.0, 595.0), (2384.0, 3370.0), (60.0, 5000.0)])
def test_the_footer_fits_every_page(view: tuple[float, float]) -> None:
    foot = layout.footer(view)
    assert foot.place.width * foot.size <= view[0]
    assert foot.height <= 0.25 * view[1]


@pytest.mark.parametrize(
    ("view", "least"),
    [((420.0, 595.0), 6.0), ((595.0, 842.0), 8.0), ((842.0, 1191.0), 8.0), ((2384.0, 3370.0), 20.0)],
)
def test_words_are_readable_from_a5_to_a0(view: tuple[float, float], least: float) -> None:
    assert layout.tile_size(view) >= least
    assert len(list(layout.tiles(view))) >= 8
