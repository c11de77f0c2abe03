"""The agreement as PDF/A-2b, its page images, and its digest.

The bytes that `render` returns are revision 0: they are shown, hashed and agreed to. Signatures are later added
as incremental revisions, so the places for signature and date are labelled empty boxes on the last page.
"""

import datetime
import hashlib
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pypdfium2

from agreements.errors import BadDocument
from agreements.text import FilledText, Paragraph, check_value
from agreements.typesetting import Json, typeset

IMAGE_TYPE = "image/webp"
MAX_NUMBER = 60

# PDFium keeps global state and may be entered by one thread only.
_PDFIUM = threading.Lock()


def render(filled: FilledText, *, number: str, date: datetime.date, draft: bool = False) -> bytes:
    """Set the agreement on A4, Chinese first, then English, with the signature places of both parties.

    Equal input gives equal bytes. `number` stands in the footer, `date` is the document's date,
    `draft` prints 草稿 on every page.

    Raises:
        BadValue: `number` is not fit for a footer.
        MissingGlyph: the embedded font lacks a character; names all of them.
        RenderError: the document could not be set.
    """
    check_value("number", number, MAX_NUMBER)
    data: dict[str, Json] = {
        "title": filled.zh_paragraphs[0].text,
        "number": number,
        "draft": draft,
        "zh": _shapes(filled.zh_paragraphs),
        "en": _shapes(filled.en_paragraphs),
    }
    return typeset("agreement.typ", data, date)


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
