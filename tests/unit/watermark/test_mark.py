"""The words of a mark."""

from datetime import date

import pytest

from watermark.errors import BadMark
from watermark.mark import Mark


def test_a_recipients_mark_names_all_in_both_languages() -> None:
    mark = Mark.for_recipient("联系人s1", "示例建材供应商", "C-1", date(2026, 11, 23), "采购下单", "L2")
    text = "\n".join(mark.lines)
    for word in (
        "联系人s1",
        "示例建材供应商",
        "C-1",
        "2026-11-23",
        "采购下单",
        "L2",
        "Recipient",
        "Purpose",
        "用途",
    ):
        assert word in text


def test_the_footer_begins_with_the_copy_number_and_says_it_once() -> None:
    footer = Mark(("甲 乙", "C-1 2026-11-23"), "C-1").footer()
    assert footer.startswith("C-1 · ")
    assert footer.count("C-1") == 1
    assert "2026-11-23" in footer


def test_the_copy_number_stands_in_every_tile() -> None:
    assert Mark(("甲",), "C-1").tiled() == ("甲", "C-1")
    assert Mark(("甲 C-1",), "C-1").tiled() == ("甲 C-1",)


@pytest.mark.parametrize(
    ("lines", "copy", "opacity"),
    [
        ((), "C", 0.12),
        (("",), "C", 0.12),
        (("  ",), "C", 0.12),
        (("a",), "", 0.12),
        (("a",) * 9, "C", 0.12),
        (("a" * 401,), "C", 0.12),
        (("a",), "C", 0.05),
        (("a",), "C", 0.41),
        (("a",), "C", float("nan")),
    ],
)
def test_a_mark_that_could_not_be_seen_is_refused(lines: tuple[str, ...], copy: str, opacity: float) -> None:
    with pytest.raises(BadMark):
        Mark(lines, copy, opacity)
