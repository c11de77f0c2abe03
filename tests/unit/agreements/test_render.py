"""The agreement's PDF: its words, its look where a test can tell, its sameness, and hostile values."""

import datetime
import hashlib
import io
import re
import subprocess
import sys
import textwrap
import threading
import unicodedata
from pathlib import Path

import pikepdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from agreements.errors import BadDocument, BadValue, MissingGlyph, TextError
from agreements.render import digest, page_count, page_image, page_images, render
from agreements.text import DEFAULT, AgreementText, fill
from agreements.typesetting import has_glyph

DAY = datetime.date(2026, 11, 23)
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def filled(values):
    return fill(DEFAULT, values)


@pytest.fixture(scope="module")
def pdf(filled):
    return render(filled, number="BM-2026-0001", date=DAY)


def squeezed(text: str) -> str:
    """The five Latin ligatures (U+FB00–FB04) are the only characters of the font that readers copy out in parts."""
    return re.sub(r"\s", "", re.sub("[\ufb00-\ufb04]", lambda m: unicodedata.normalize("NFKC", m[0]), text))


def test_every_paragraph_stands_in_the_pdf_in_order(pdf, filled, words):
    found, at = words(pdf), 0
    for paragraph in (*filled.zh_paragraphs, *filled.en_paragraphs):
        for part in re.split(r"(?<=[，。；：])", paragraph.text):
            # A page's footer may fall into a paragraph, so each piece between stops is looked for by its ends.
            piece = squeezed(part)
            at = found.index(piece[:6], at)
    assert "不可见" not in found


def test_signature_and_date_places_are_labelled_once_for_each_party(pdf, words):
    found = words(pdf)
    assert found.count("签名或盖章、日期Signatureorseal,date") == 2
    assert found.count("封签Gateway'sseal") == 1
    assert "甲方PartyA" in found and "乙方PartyB" in found


def test_pages_are_a4_and_numbered_n_of_n(pdf, words):
    count = page_count(pdf)
    with pikepdf.open(io.BytesIO(pdf)) as document:
        assert len(document.pages) == count >= 2
        for page in document.pages:
            assert [round(float(edge)) for edge in page.mediabox] == [0, 0, 595, 842]
    found = words(pdf)
    for n in range(1, count + 1):
        assert f"BM-2026-0001{n}/{count}" in found


def test_it_is_tagged_pdf_a_2b_with_the_font_inside_and_nothing_active(pdf):
    with pikepdf.open(io.BytesIO(pdf)) as document:
        xmp = document.Root.Metadata.read_bytes().decode()
        assert re.search(r"<pdfaid:part>2</pdfaid:part>", xmp)
        assert re.search(r"<pdfaid:conformance>B</pdfaid:conformance>", xmp)
        assert bool(document.Root.MarkInfo.Marked)
        fonts = [
            o
            for o in document.objects
            if isinstance(o, pikepdf.Dictionary) and o.get("/Type") == "/FontDescriptor"
        ]
        assert fonts
        assert all("/FontFile3" in font and "NotoSerifSC" in str(font.FontName) for font in fonts)
        keys = {key for o in document.objects if isinstance(o, pikepdf.Dictionary) for key in o}
    assert not keys & {"/JS", "/JavaScript", "/OpenAction", "/AA", "/EmbeddedFiles", "/AcroForm"}


def test_equal_input_gives_equal_bytes_in_this_process_and_in_another(pdf, filled, values):
    assert render(filled, number="BM-2026-0001", date=DAY) == pdf
    child = textwrap.dedent(f"""
        import datetime
        from agreements.render import digest, render
        from agreements.text import DEFAULT, fill
        filled = fill(DEFAULT, {values!r})
        print(digest(render(filled, number="BM-2026-0001", date=datetime.date(2026, 11, 23))))
    """)
    run = subprocess.run(
        [sys.executable, "-c", child],
        cwd=ROOT,
        env={"TZ": "Pacific/Auckland", "LC_ALL": "C", "PYTHONUTF8": "1", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == digest(pdf) == hashlib.sha256(pdf).hexdigest()


def test_date_number_and_draft_change_the_bytes(pdf, filled, words):
    others = [
        render(filled, number="BM-2026-0002", date=DAY),
        render(filled, number="BM-2026-0001", date=DAY + datetime.timedelta(days=1)),
        render(filled, number="BM-2026-0001", date=DAY, draft=True),
    ]
    assert len({digest(other) for other in (*others, pdf)}) == 4
    assert words(others[2]).count("草稿DRAFT") == page_count(others[2])
    assert "草稿" not in words(pdf)


@pytest.mark.parametrize("character", ["\ue000", "𠮷", "😀", "ا", "\U000f0000"])
def test_a_character_without_glyph_is_refused_by_name(values, character):
    bad = fill(DEFAULT, {**values, "signer_name": f"示例{character}"})
    with pytest.raises(MissingGlyph) as refusal:
        render(bad, number="BM-2026-0001", date=DAY)
    assert refusal.value.characters == (character,)
    assert f"U+{ord(character):04X}" in str(refusal.value)


def test_all_characters_without_glyph_are_named_at_once(values):
    bad = fill(DEFAULT, {**values, "signer_name": "𠮷示例", "purpose": "采购😀"})
    with pytest.raises(MissingGlyph) as refusal:
        render(bad, number="BM-2026-0001", date=DAY)
    assert refusal.value.characters == ("😀", "𠮷")


@pytest.mark.parametrize("name", ["㛃", "堃", "喆", "囍", "龘", "Ægir Żółć", "Ünal", "𬱖"])
def test_rare_names_are_set_or_refused_by_name(values, name, words):
    named = fill(DEFAULT, {**values, "signer_name": name})
    if all(has_glyph(c) for c in name):
        assert squeezed(name) in words(render(named, number="BM-2026-0001", date=DAY))
    else:
        with pytest.raises(MissingGlyph):
            render(named, number="BM-2026-0001", date=DAY)


HOSTILE = [
    "#panic()",
    '#import "@preview/x:1.0.0"',
    '#read("/etc/passwd")',
    "*粗* _斜_ $x^2$ `raw` <label> @ref",
    '] #eval("1") [',
    "\\u{41} \\n // 注释 /* x */",
    '"], "number": "伪造", "x": ["',
    "-- --- ... ~ 'a' \"b\"",
    "= 标题",
    "<script>alert(1)</script>",
    "%PDF-1.7 (endobj) \\) >> stream",
    "\ufb01\ufb02 ffi fl",
    "{nda_no}",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_markup_of_any_kind_is_shown_literally(values, value, words):
    shown = render(fill(DEFAULT, {**values, "partner_name": value}), number="BM-2026-0001", date=DAY)
    assert squeezed(f"乙方{value}（0") in words(shown)


FITTING = st.characters(exclude_categories=["C", "Zl", "Zp"]).filter(has_glyph)


@settings(max_examples=40)
@given(
    st.text(st.one_of(FITTING, st.sampled_from("#$*_`\\[]{}<>@=-~/\"' ，。（Aｗi")), min_size=1, max_size=200)
)
def test_any_fitting_value_is_read_back_literally_and_inside_the_page(words, outside, text):
    template = AgreementText("t", "题\n一、标题。始{x}终", "Title\n1 Begin {x} end")
    try:
        filled = fill(template, {"x": text})
    except TextError:
        return
    pdf = render(filled, number="n", date=DAY)
    assert squeezed(filled.zh_paragraphs[2].text) in words(pdf)
    assert outside(pdf) == []


@pytest.mark.parametrize(
    "run", ["A" * 200, "。" * 200, "（" * 200, "中。" * 100, "9-" * 100, "W" * 200, "——" * 100]
)
def test_long_runs_stay_inside_the_page(values, outside, run):
    long = dict.fromkeys(("partner_name", "signer_title", "nda_no", "incident_contact"), run)
    assert outside(render(fill(DEFAULT, {**values, **long}), number="B" * 60, date=DAY)) == []


def test_the_longest_agreement_is_set_whole(values, words):
    long = dict.fromkeys(values, "长" * 200)
    pdf = render(fill(DEFAULT, long), number="BM-2026-0001", date=DAY)
    assert words(pdf).count("长") >= 200 * len(values)


@pytest.mark.parametrize("number", ["N" * 61, "a\nb", "\u202e"])
def test_a_number_unfit_for_the_footer_is_refused(filled, number):
    with pytest.raises(BadValue, match="number"):
        render(filled, number=number, date=DAY)


def test_page_images_show_the_pages(pdf):
    images = page_images(pdf)
    assert len(images) == page_count(pdf)
    for n, data in enumerate(images, 1):
        assert page_image(pdf, n) == data
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == "WEBP"
            assert image.width == pytest.approx(595.28 * 110 / 72, abs=2)
            assert image.convert("L").getextrema() == (0, 255)
    with Image.open(io.BytesIO(page_image(pdf, 1, dpi=55))) as small:
        assert small.width == pytest.approx(595.28 * 55 / 72, abs=2)


@pytest.mark.parametrize("page", [0, -1, 99])
def test_a_page_that_is_not_there_is_refused(pdf, page):
    with pytest.raises(BadDocument):
        page_image(pdf, page)


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7", b"<html>", bytes(4096)])
def test_bytes_that_are_no_pdf_are_refused(data):
    for read in (page_count, page_images, lambda b: page_image(b, 1)):
        with pytest.raises(BadDocument):
            read(data)


def test_threads_may_ask_for_pages_at_once(pdf):
    expected = page_image(pdf, 1)
    seen: list[bytes] = []
    threads = [threading.Thread(target=lambda: seen.append(page_image(pdf, 1))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen == [expected] * 8
