"""Is the mark really there? Every page is drawn with and without it by pdfium, and the two must differ where they should.

Fails closed: a page that cannot be drawn, has another size, or shows the mark in too few places refuses the whole file.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Self

import pypdfium2
from PIL import Image, ImageChops, ImageStat

from watermark.errors import Refusal
from watermark.profiles import VECTOR, Profile

GRID = 4  # The page is looked at in GRID x GRID regions.
LEAST = 3  # Regions in which every mark must be seen: the product's promise.
NEEDED = 8  # Regions in which a tiled mark must be seen.
_DRIFT = 2.0  # Mean grey levels by which a page may differ from its unmarked self under the mark,
_NOISE = 10  # Grey levels that a compressed picture may be off by itself,
_OTHER = 40.0  # and mean grey levels that make it the picture of another page.
_SPECK = 48  # and grey levels that count as another picture when
_SPECKS = 0.002  # more than this share of the pixels differ so much: lines move by a fraction of a pixel.
_LEAST_PIXELS = 6  # Changed pixels that make a region count.
_LONG_SIDE = 800  # Pixels of the longer side when drawn for comparison.
_SAME_SIZE = 0.6  # Points by which sizes may differ through rounding.


def regions_seen(before: Image.Image, after: Image.Image, threshold: int) -> int:
    """In how many regions of the grid at least a few pixels differ by `threshold` grey levels (0 to 255) or more."""
    changed = (
        ImageChops.difference(before, after)
        .convert("L")
        .point(lambda level: 255 if level >= threshold else 0)
    )
    width, height = changed.size
    seen = 0
    for row in range(GRID):
        for column in range(GRID):
            left, right = column * width // GRID, (column + 1) * width // GRID
            top, bottom = row * height // GRID, (row + 1) * height // GRID
            seen += changed.crop((left, top, right, bottom)).histogram()[255] >= _LEAST_PIXELS
    return seen


def threshold(opacity: float) -> int:
    """The least difference in grey levels that counts as mark: a fifth of a full stroke, never below 4."""
    return max(4, int(opacity * 255 * 0.2))


def needed(profile: Profile) -> int:
    """Regions in which a profile's mark must be seen: tiles reach everywhere, a single diagonal crosses the middle."""
    return NEEDED if "tiled" in profile.styles else LEAST


def open_document(data: bytes, password: str | None = None) -> Any:  # pypdfium2 ships no types.
    """Open bytes with pdfium; what it cannot read raises Refusal BROKEN."""
    try:
        return pypdfium2.PdfDocument(data, password=password)
    except pypdfium2.PdfiumError as error:
        raise Refusal("BROKEN", "pdfium cannot read the file") from error


def draw(
    page: Any, scale: float, *, fill: tuple[int, int, int, int] = (255, 255, 255, 255), grey: bool = True
) -> Image.Image:
    """One page as an image of `scale` pixels per point, annotations not drawn."""
    bitmap = page.render(
        scale=scale, may_draw_forms=False, draw_annots=False, grayscale=grey, fill_color=fill
    )
    with closing(bitmap):
        drawn: Image.Image = bitmap.to_pil().convert("L" if grey else "RGB")
        return drawn.copy()


def _pairs(unmarked: Any, marked: Any) -> Iterator[tuple[int, Any, Any]]:
    for index in range(len(marked)):
        try:
            with closing(unmarked[index]) as before, closing(marked[index]) as after:
                yield index, before, after
        except pypdfium2.PdfiumError as error:
            raise Refusal("BROKEN", f"page {index + 1} cannot be drawn") from error


def check_pdf(
    source: bytes, unmarked: bytes, marked: bytes, opacity: float, profile: Profile = VECTOR
) -> None:
    """Compare all pages of the rebuilt file with and without the mark, and their sizes with the source's.

    Raises Refusal MARK_NOT_SEEN or BROKEN; names the first page that fails.
    """
    with (
        closing(open_document(source)) as first,
        closing(open_document(unmarked)) as plain,
        closing(open_document(marked)) as last,
    ):
        if not len(first) == len(plain) == len(last):
            raise Refusal("BROKEN", "the number of pages changed")
        for index, before, after in _pairs(plain, last):
            _same_size(first.get_page_size(index), after.get_size(), index)
            scale = _LONG_SIDE / max(after.get_size())
            if regions_seen(draw(before, scale), draw(after, scale), threshold(opacity)) < needed(profile):
                raise Refusal("MARK_NOT_SEEN", f"the mark is not seen on page {index + 1}")


def check_seen(source: bytes, unmarked: bytes, marked: bytes, profile: Profile) -> None:
    """Every page of a file whose pages may be drawn otherwise (as pictures): same number, same size as seen, the mark seen.

    Raises Refusal MARK_NOT_SEEN, PAGE_CHANGED or BROKEN, and names the first page that fails.
    """
    with (
        closing(open_document(source)) as first,
        closing(open_document(unmarked)) as plain,
        closing(open_document(marked)) as last,
    ):
        if not len(first) == len(plain) == len(last):
            raise Refusal("BROKEN", "the number of pages changed")
        for index, before, after in _pairs(plain, last):
            _same_size(first.get_page_size(index), after.get_size(), index)
            scale = _LONG_SIDE / max(after.get_size())
            old, new = draw(before, scale), draw(after, scale)
            new = new if new.size == old.size else new.resize(old.size)
            # Compression and dots add noise of their own: only what stands out counts as mark.
            least = max(threshold(profile.opacity), _NOISE)
            if regions_seen(old, new, least) < needed(profile):
                raise Refusal("MARK_NOT_SEEN", f"the mark is not seen on page {index + 1}")
            if ImageStat.Stat(ImageChops.difference(old, new)).mean[0] > _OTHER:
                raise Refusal("PAGE_CHANGED", f"page {index + 1} looks different")


def check_copy(
    source: bytes,
    unmarked: bytes,
    marked: bytes,
    alone: Sequence[bytes],
    profile: Profile,
    *,
    password: str | None = None,
) -> None:
    """Every page of a sample copy against its unmarked self: the mark is seen, and nothing else differs.

    `alone` holds, page by page, the same mark on an empty page of the same view. Raises Refusal MARK_NOT_SEEN, PAGE_CHANGED or
    BROKEN, and names the first page that fails.
    """
    veils: dict[int, Veiled] = {}
    with (
        closing(open_document(source)) as first,
        closing(open_document(unmarked)) as plain,
        closing(open_document(marked, password)) as last,
    ):
        if not len(first) == len(plain) == len(last) == len(alone):
            raise Refusal("BROKEN", "the number of pages changed")
        for index, before, after in _pairs(plain, last):
            _same_size(first.get_page_size(index), after.get_size(), index)
            scale = _LONG_SIDE / max(after.get_size())
            old, new = draw(before, scale), draw(after, scale)
            if regions_seen(old, new, threshold(profile.opacity)) < needed(profile):
                raise Refusal("MARK_NOT_SEEN", f"the mark is not seen on page {index + 1}")
            if (kept := id(alone[index])) not in veils:
                veils[kept] = Veiled.of(alone[index], scale)
            if not same_under(veils[kept], old, new):
                raise Refusal("PAGE_CHANGED", f"page {index + 1} looks different beside the mark")


@dataclass(frozen=True, slots=True)
class Veiled:
    """A mark alone: the light it adds and how much it lets through, as pictures."""

    add: Image.Image
    keep: Image.Image

    @classmethod
    def of(cls, alone: bytes, scale: float) -> Self:
        """Draw the mark's own page over white and over black."""
        with closing(open_document(alone)) as document, closing(document[0]) as page:
            white, black = draw(page, scale), draw(page, scale, fill=(0, 0, 0, 255))
        return cls(black, ImageChops.subtract(white, black))


def same_under(veil: Veiled, before: Image.Image, after: Image.Image) -> bool:
    """Whether a marked page is its unmarked self under the veil, but for rounding."""
    if before.size != after.size:
        return False
    add, keep = (
        part if part.size == before.size else part.resize(before.size) for part in (veil.add, veil.keep)
    )
    meant = ImageChops.add(ImageChops.multiply(before, keep), add)
    difference = ImageChops.difference(meant, after)
    specks = sum(difference.histogram()[_SPECK:])
    return ImageStat.Stat(difference).mean[0] <= _DRIFT and specks <= _SPECKS * before.width * before.height


def _same_size(wanted: tuple[float, float], got: tuple[float, float], index: int) -> None:
    if any(abs(a - b) > _SAME_SIZE for a, b in zip(wanted, got, strict=True)):
        raise Refusal("BROKEN", f"the size of page {index + 1} changed")
