"""The agreement as PDF/A-2b, its page images, and its digest.

The bytes that `render` returns are revision 0: they are shown, hashed and agreed to. Signatures are later added
as incremental revisions, so their places are labelled empty boxes on the last page; `places` says where.
"""

import datetime
import hashlib
import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pypdfium2

from agreements.errors import BadDocument, RenderError
from agreements.text import FilledText, Paragraph, check_value
from agreements.typesetting import Json, located, typeset

IMAGE_TYPE = "image/webp"
MAX_NUMBER = 60
# Labels of the places in agreement.typ, in the order in which they are signed; they become the names of the fields.
PLACES = ("Partner", "Company", "Seal")
_A4_HEIGHT = 297 * 72 / 25.4

# PDFium keeps global state and may be entered by one thread only.
_PDFIUM = threading.Lock()


@dataclass(frozen=True)
class Place:
    """Where a signature goes: page from 1, and its box in points from the page's lower left corner."""

    page: int
    left: float
    bottom: float
    width: float
    height: float


def render(
    filled: FilledText, *, number: str, date: datetime.date, draft: bool = False, notice: str = ""
) -> bytes:
    """Set the agreement on A4, Chinese first, then English, with the signature places of both parties.

    Equal input gives equal bytes. `number` stands in the footer, `date` is the document's date,
    `draft` prints 草稿 on every page, `notice` stands at the foot of every page.

    Raises:
        BadValue: `number` is not fit for a footer.
        MissingGlyph: the embedded font lacks a character; names all of them.
        RenderError: the document could not be set.
    """
    return typeset("agreement.typ", _data(filled, number, draft=draft, notice=notice), date)


def places(filled: FilledText, *, number: str, date: datetime.date, notice: str = "") -> dict[str, Place]:
    """Return where each signature goes in the document that `render` sets from the same input.

    Raises:
        RenderError: the document could not be set, or a place is not in it exactly once.
    """
    data = _data(filled, number, draft=False, notice=notice)
    marks = located("agreement.typ", "place", data, date)
    found = {str(mark["name"]): _place(mark) for mark in marks}
    if len(marks) != len(PLACES) or set(found) != set(PLACES):
        raise RenderError("a place for a signature is missing")
    return found


def shows_on_every_page(pdf: bytes, words: str) -> bool:
    """Say whether `words` can be read on each page, line breaks aside.

    Raises:
        BadDocument: not a PDF that can be opened.
    """
    wanted = "".join(words.split())
    with _opened(pdf) as document:
        texts = [page.get_textpage().get_text_range() for page in document]
    return bool(texts) and all(wanted in "".join(text.split()) for text in texts)


def _data(filled: FilledText, number: str, *, draft: bool, notice: str) -> dict[str, Json]:
    check_value("number", number, MAX_NUMBER)
    return {
        "title": filled.zh_paragraphs[0].text,
        "number": number,
        "draft": draft,
        "notice": notice,
        "zh": _shapes(filled.zh_paragraphs),
        "en": _shapes(filled.en_paragraphs),
    }


def _place(found: Mapping[str, Json]) -> Place:
    page, x, y, width, height = (float(str(found[n])) for n in ("page", "x", "y", "width", "height"))
    return Place(int(page), x, _A4_HEIGHT - y - height, width, height)


def digest(pdf: bytes) -> str:
    """Return the SHA-256 (hex) of revision 0, the very bytes shown to the signer."""
    return hashlib.sha256(pdf).hexdigest()


def page_count(pdf: bytes) -> int:
    """Return how many pages the document has.

    Raises:
        BadDocument: not a PDF that can be opened.
    """
    with _opened(pdf) as document:
        return len(document)


def page_image(pdf: bytes, page: int, *, dpi: int = 110) -> bytes:
    """Return page `page` (from 1) as a lossless image of type `IMAGE_TYPE`.

    Raises:
        BadDocument: not a PDF that can be opened, or no such page.
    """
    with _opened(pdf) as document:
        if not 1 <= page <= len(document):
            raise BadDocument("the document has no such page")
        return _image(document[page - 1], dpi)


def page_images(pdf: bytes, *, dpi: int = 110) -> list[bytes]:
    """Return every page in order as an image of type `IMAGE_TYPE`.

    Raises:
        BadDocument: not a PDF that can be opened.
    """
    with _opened(pdf) as document:
        return [_image(page, dpi) for page in document]


def _shapes(paragraphs: tuple[Paragraph, ...]) -> list[Json]:
    """Body text under a heading is indented to the heading's words; text before the first clause is not."""
    shapes: list[Json] = []
    inside = False
    for p in paragraphs:
        inside = inside or p.kind == "heading"
        shapes.append({"kind": p.kind, "number": p.number, "text": p.text, "indent": inside})
    return shapes


@contextmanager
def _opened(pdf: bytes) -> Iterator[pypdfium2.PdfDocument]:
    with _PDFIUM:
        try:
            document = pypdfium2.PdfDocument(pdf)
        except pypdfium2.PdfiumError:
            raise BadDocument("not a PDF that can be opened") from None
        try:
            yield document
        finally:
            document.close()


def _image(page: pypdfium2.PdfPage, dpi: int) -> bytes:
    buffer = io.BytesIO()
    page.render(scale=dpi / 72).to_pil().save(buffer, format="WEBP", lossless=True, method=2)
    return buffer.getvalue()
