"""Opening a bundle as its recipient would, and looking for the mark on every page."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import pypdfium2
import pyzipper
from PIL import Image, ImageChops

GRID = 4
THRESHOLD = 6
DPI = 60


@dataclass(frozen=True)
class Seen:
    """One page of a marked file against its source: how many of 16 regions differ, and whether size and count are the same."""

    page: int
    regions: int
    same_size: bool

    @property
    def marked(self) -> bool:
        """Whether the mark stands in at least three separate regions of a page of the same size."""
        return self.same_size and self.regions >= 3


def unzip(bundle: bytes, passphrase: str) -> dict[str, bytes]:
    """The files of an AES-256 ZIP by name; RuntimeError for a wrong passphrase."""
    with pyzipper.AESZipFile(io.BytesIO(bundle)) as archive:
        archive.setpassword(passphrase.encode())
        return {name: archive.read(name) for name in archive.namelist()}


def opens(bundle: bytes, passphrase: str) -> bool:
    """Whether the passphrase opens the bundle."""
    try:
        return bool(unzip(bundle, passphrase))
    except RuntimeError:
        return False


def pages_of(data: bytes) -> list[Image.Image]:
    """Every page of a PDF, or the one picture, as RGB."""
    if not data.startswith(b"%PDF"):
        with Image.open(io.BytesIO(data)) as picture:
            return [picture.convert("RGB")]
    with pypdfium2.PdfDocument(data) as document:
        return [page.render(scale=DPI / 72).to_pil().convert("RGB") for page in document]


def compare(source: bytes, marked: bytes) -> Sequence[Seen]:
    """Each page of the source beside the same page of the marked file; a page that is missing counts as unmarked."""
    before, after = pages_of(source), pages_of(marked)
    if len(before) != len(after):
        return [Seen(number, 0, same_size=False) for number in range(1, len(before) + 1)]
    return [_seen(number, a, b) for number, (a, b) in enumerate(zip(before, after, strict=True), 1)]


def _seen(number: int, before: Image.Image, after: Image.Image) -> Seen:
    if before.size != after.size:
        return Seen(number, 0, same_size=False)
    difference = ImageChops.difference(before, after).convert("L")
    width, height = difference.size
    boxes = [
        (x * width // GRID, y * height // GRID, (x + 1) * width // GRID, (y + 1) * height // GRID)
        for x in range(GRID)
        for y in range(GRID)
    ]
    changed = sum(_peak(difference.crop(box)) > THRESHOLD for box in boxes)
    return Seen(number, changed, same_size=True)


def _peak(region: Image.Image) -> int:
    return max(level for level, count in enumerate(region.histogram()) if count)
