"""Regions and words taken out of a document for good: a page that holds one leaves as a picture, the place painted over.

A page's content could keep what is painted over in a hundred ways (text under the box, a font's own strings, pixels under a
clip), so no page is trusted to be cut clean: it is drawn, painted, and nothing of the old page is kept. The other pages are
rebuilt by allow-list. The result is read again before it is given out.
"""

import io
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium
from pikepdf import Pdf
from PIL import Image, ImageDraw

from watermark import images, pictures, sanitize, stamp, verify
from watermark.errors import Refusal
from watermark.geometry import Geometry

DPI = 200
MAX_TERMS, MAX_REGIONS, MAX_PIXELS = 200, 5_000, 60_000_000
_MARGIN = 1.5  # Points around a word's characters: an edge can tell a letter.
_INK = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Region:
    """A box on a page (from 1): points of the page as seen, origin bottom left; for pictures pixels, origin top left."""

    page: int
    left: float
    bottom: float
    right: float
    top: float

    def __post_init__(self) -> None:
        if self.page < 1 or not self.left < self.right or not self.bottom < self.top:
            raise Refusal("BAD_REGION", "a region names no page, or spans nothing")


@dataclass(frozen=True, slots=True)
class Redacted:
    """The bytes, the pages that became pictures, how often each word was found, and what the rebuilding removed."""

    data: bytes
    pages: tuple[int, ...]
    found: dict[str, int]
    removed: dict[str, int]


def plain(text: str) -> str:
    """Text as it is compared: compatibility forms folded, no case, no white space, no invisible characters."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in folded if not char.isspace() and unicodedata.category(char)[0] != "C")


def _characters(text_page: Any) -> tuple[str, list[int]]:
    """A page's plain text, and for each of its characters the index that pdfium knows it by."""
    text, indices = [], []
    for index in range(text_page.count_chars()):
        for char in plain(chr(pdfium.FPDFText_GetUnicode(text_page.raw, index))):
            text.append(char)
            indices.append(index)
    return "".join(text), indices


def _matches(text: str, term: str) -> Iterable[int]:
    start = text.find(term)
    while start >= 0:
        yield start
        start = text.find(term, start + 1)


def _found(
    document: Any, geometries: Sequence[Geometry], terms: dict[str, str]
) -> tuple[list[Region], dict[str, int]]:
    """Where the terms stand, as regions, and how often each does."""
    regions, counts = [], dict.fromkeys(terms, 0)
    for index, geometry in enumerate(geometries):
        with closing(document[index]) as page, closing(page.get_textpage()) as text_page:
            text, indices = _characters(text_page)
            for term, wanted in terms.items():
                for start in _matches(text, wanted):
                    counts[term] += 1
                    for at in range(indices[start], indices[start + len(wanted) - 1] + 1):
                        regions.append(_seen(text_page.get_charbox(at, loose=True), geometry, index + 1))
    return regions, counts


def _seen(box: tuple[float, float, float, float], geometry: Geometry, page: int) -> Region:
    """A box of the page's user space as it is seen, with a margin."""
    a, b, c, d, e, f = geometry.matrix
    scale = a * d - b * c
    corners = [((x - e, y - f)) for x in box[::2] for y in box[1::2]]
    xs = [(d * x - c * y) / scale for x, y in corners]
    ys = [(a * y - b * x) / scale for x, y in corners]
    return Region(page, min(xs) - _MARGIN, min(ys) - _MARGIN, max(xs) + _MARGIN, max(ys) + _MARGIN)


def redact_pdf(
    data: bytes,
    regions: Sequence[Region],
    terms: Sequence[str],
    *,
    password: str = "",
    signature_loss: bool = False,
) -> Redacted:
    """Take regions and words out of a PDF. Words that stand nowhere, and pages that are not there, raise Refusal NOT_FOUND.

    Raises Refusal as opening and rebuilding do, and NOT_REDACTED when the result still shows what was to go.
    """
    wanted = _wanted(regions, terms)
    with sanitize.open_pdf(data, password=password, signature_loss=signature_loss) as source:
        rebuilt = sanitize.rebuild(source)
        with rebuilt.pdf as pdf:
            base = stamp.save(pdf)
            with closing(verify.open_document(base)) as document:
                found, counts = _found(document, rebuilt.geometries, wanted)
                _all_there(counts, regions, len(rebuilt.geometries))
                places = [*regions, *found]
                made = _assembled(pdf, document, places)
    _check(made, places, wanted)
    return Redacted(made, tuple(sorted({place.page for place in places})), counts, rebuilt.removed)


def _wanted(regions: Sequence[Region], terms: Sequence[str]) -> dict[str, str]:
    wanted = {term: plain(term) for term in terms}
    if not all(wanted.values()) or not (regions or wanted):
        raise Refusal("BAD_REGION", "there is nothing to take out, or a word is empty")
    if len(wanted) > MAX_TERMS or len(regions) > MAX_REGIONS:
        raise Refusal("BUDGET_OBJECTS", "there are too many regions or words")
    return wanted


def _all_there(counts: dict[str, int], regions: Sequence[Region], pages: int) -> None:
    missing = sum(count == 0 for count in counts.values())
    if missing or any(region.page > pages for region in regions):
        raise Refusal("NOT_FOUND", f"{missing} words stand nowhere as text, or a page is not there")


def _assembled(pdf: Pdf, document: Any, places: list[Region]) -> bytes:
    """The untouched pages as they were rebuilt, the others as painted pictures; layers keep what they hide."""
    touched = {place.page for place in places}
    with Pdf.new() as made:
        for number, page in enumerate(pdf.pages, start=1):
            if number in touched:
                picture, size = _painted(document, number, places)
                pictures.add_picture(made, picture, size)
            else:
                made.pages.append(page)
        if "/OCProperties" in pdf.Root:
            made.Root.OCProperties = made.copy_foreign(pdf.make_indirect(pdf.Root.OCProperties))
        return stamp.save(made)


def _painted(document: Any, number: int, places: list[Region]) -> tuple[Image.Image, tuple[float, float]]:
    try:
        with closing(document[number - 1]) as page:
            width, height = page.get_size()
            scale = min(DPI / 72, (MAX_PIXELS / (width * height)) ** 0.5)
            picture = verify.draw(page, scale, grey=False)
    except pypdfium2.PdfiumError as error:
        raise Refusal("BROKEN", f"page {number} cannot be drawn") from error
    paint = ImageDraw.Draw(picture)
    for box in _pixels(picture, (width, height), number, places):
        paint.rectangle(box, fill=_INK)
    return picture, (width, height)


def _pixels(
    picture: Image.Image, size: tuple[float, float], number: int, places: list[Region]
) -> Iterable[tuple[int, int, int, int]]:
    """The boxes of one page in pixels, origin top left, cut to the picture."""
    x, y = picture.width / size[0], picture.height / size[1]
    for place in places:
        left, right = max(0, int(place.left * x)), min(picture.width - 1, int(place.right * x) + 1)
        top, bottom = (
            max(0, int((size[1] - place.top) * y)),
            min(picture.height - 1, int((size[1] - place.bottom) * y) + 1),
        )
        if place.page == number and left < right and top < bottom:
            yield left, top, right, bottom


def _check(made: bytes, places: list[Region], wanted: dict[str, str]) -> None:
    """Read the result again: no word on any page, no text at all on a painted one, and the boxes are one black."""
    touched = {place.page for place in places}
    with closing(verify.open_document(made)) as document:
        for index in range(len(document)):
            with closing(document[index]) as page, closing(page.get_textpage()) as text_page:
                text, _ = _characters(text_page)
                if any(term in text for term in wanted.values()) or (index + 1 in touched and text):
                    raise Refusal("NOT_REDACTED", f"page {index + 1} still holds what was to go")
                if index + 1 in touched:
                    _black(page, index + 1, places)


def _black(page: Any, number: int, places: list[Region]) -> None:
    picture = verify.draw(page, DPI / 144)
    for left, top, right, bottom in _pixels(picture, page.get_size(), number, places):
        inner = (
            picture.crop((left + 2, top + 2, right - 2, bottom - 2))
            if min(right - left, bottom - top) > 6
            else None
        )
        if inner is not None and inner.getextrema()[1] > 60:  # type: ignore[operator]  # JPEG leaves black nearly black.
            raise Refusal("NOT_REDACTED", f"page {number} still shows what was to go")


def redact_image(picture: Image.Image, regions: Sequence[Region], number: int = 1) -> Image.Image:
    """A frame of a picture with its regions painted over; its pixels under them are gone."""
    painted = picture.copy()
    paint = ImageDraw.Draw(painted)
    ink: Any = {1: 0, 3: _INK}.get(len(painted.getbands()), (0, 0, 0, 255))
    for place in regions:
        if place.page == number:
            paint.rectangle(
                (int(place.left), int(place.bottom), int(place.right) + 1, int(place.top) + 1), fill=ink
            )
    painted.info = {}
    return painted


def redact_frames(data: bytes, code: str, regions: Sequence[Region]) -> bytes:
    """A picture file without what its regions showed, as a PNG, or for several frames as a TIFF; no metadata is kept."""

    opened = images.open_image(data, code)
    if any(region.page > opened.frames for region in regions) or not regions:
        raise Refusal("NOT_FOUND", "there is nothing to take out, or a frame is not there")
    painted = [
        redact_image(frame, regions, number)
        for number, frame in enumerate(images.frames(opened, Counter()), start=1)
    ]
    out = io.BytesIO()
    if len(painted) == 1:
        painted[0].save(out, "PNG") if painted[0].mode != "CMYK" else painted[0].save(
            out, "TIFF", compression="tiff_adobe_deflate"
        )
    else:
        painted[0].save(
            out, "TIFF", save_all=True, append_images=painted[1:], compression="tiff_adobe_deflate"
        )
    return out.getvalue()
