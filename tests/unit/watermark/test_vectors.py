"""SVG and text: set as they stand, never as commands; nothing outside the file is reached."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from watermark import texts, typesetting, vectors
from watermark.errors import Refusal
from watermark.report import Report

Marked = Callable[..., tuple[bytes | None, Report]]
_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'width="200mm" height="100mm" viewBox="0 0 400 200">'
)


def _svg(body: str) -> bytes:
    return f"{_HEAD}{body}</svg>".encode()


def test_a_drawing_keeps_its_size_and_loses_what_is_active(marked: Marked) -> None:
    out, report = marked(
        _svg(
            "<script>x</script><rect width='40' height='20' onclick='x()'/>"
            "<image href='file:///etc/passwd' width='9' height='9'/>"
            "<a href='http://x'><circle r='9'/></a><text x='9' y='90' style='fill:url(http://x)'>门窗</text>"
            "<style>@import url(http://x/y.css);</style><foreignObject><p>x</p></foreignObject>"
        )
    )
    assert out is not None
    assert (report.kind, report.source_kind) == ("pdf", "svg")
    assert (round(report.pages[0].width), round(report.pages[0].height)) == (567, 283)
    names = ("javascript", "external_links", "actions", "other_objects", "embedded_files")
    assert {name: report.removed[name] for name in names} == {
        "javascript": 2, "external_links": 3, "actions": 1, "other_objects": 1, "embedded_files": 1,
    }  # fmt: skip


def test_own_references_stay(drawn: Callable[..., Image.Image]) -> None:
    made, removed = vectors.svg_pdf(
        _svg(
            "<defs><linearGradient id='g'><stop stop-color='#000'/></linearGradient></defs>"
            "<rect width='400' height='200' fill='url(#g)'/>"
        )
    )
    assert removed == {}
    assert drawn(made).getpixel((100, 100)) < 10  # type: ignore[operator]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<!DOCTYPE svg [<!ENTITY a 'x'>]>" + _svg("&a;"), "NOT_MARKABLE"),
        (b"<!DOCTYPE svg SYSTEM 'file:///etc/passwd'>" + _svg("<g>"), "BROKEN"),
        (_svg("<g>" * 80 + "</g>" * 80), "BUDGET_OBJECTS"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "PAGE_SIZE"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='1e9' height='1'/>", "PAGE_SIZE"),
        (b"<a/>", "NOT_MARKABLE"),
    ],
)
def test_hostile_drawings_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        vectors.svg_pdf(data)
    assert refused.value.code == reason


def test_text_is_shown_and_never_run(marked: Marked, drawn: Callable[..., Image.Image]) -> None:
    commands = '#set page(width: 30pt)\n#read("/etc/passwd")\n#panic()\n= 标题\n$x^2$ *b* `c`\n\\\n'
    out, report = marked(commands.encode("gb18030"))
    assert out is not None
    assert (round(report.pages[0].width), round(report.pages[0].height), len(report.pages)) == (595, 842, 1)
    table, report = marked(b'a,b\n"#read(""/etc/passwd"")",=cmd\n')
    assert table is not None
    assert report.source_kind == "csv"


def test_long_lines_and_rare_characters_stay_on_the_page() -> None:
    assert [len(piece) for piece in texts.cut("x" * 200)] == [92, 92, 16]
    assert [len(piece) for piece in texts.cut("字" * 100)] == [46, 46, 8]
    assert typesetting.shown("字\U00020bb7") == "字[U+20BB7]"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_encodings_are_found(encoding: str) -> None:
    assert texts.decoded("图纸说明：第一行\n".encode(encoding)) == "图纸说明：第一行\n"


@pytest.mark.parametrize("data", [b"\x80\x81\x82", b"a\0b", b"\x1b[2J", "é".encode("latin-1"), b"\xff\xfea"])
def test_what_is_no_text_is_not_called_one(data: bytes) -> None:
    assert texts.decoded(data) is None


@given(st.text(max_size=300))
@settings(deadline=None)
def test_utf8_reads_back(text: str) -> None:
    read = texts.decoded(text.encode("utf-8", "ignore"))
    assert (
        read is None
        or read == text.encode("utf-8", "ignore").decode().removeprefix("\ufeff")
        or texts.mistaken(text)
    )


@given(st.binary(max_size=500))
@settings(deadline=None)
def test_any_bytes_are_a_drawing_or_refused(data: bytes) -> None:
    for given_bytes in (data, _HEAD.encode() + data, _svg("<g>") + data):
        with pytest.raises(Refusal):
            vectors.size(vectors.parsed(given_bytes + b"<"))
    texts.decoded(data)
