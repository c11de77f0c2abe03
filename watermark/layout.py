"""Where a mark goes on a page as it is seen, and how its words fill the places kept for them.

The places depend on the page's geometry and the profile alone, never on the words: so a document is laid out once for all its
recipients. Everything here is in points of the view, origin bottom left; the words' own boxes are in 1/1000 em.
"""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from watermark import outlines, qr
from watermark.errors import Refusal
from watermark.mark import Mark
from watermark.outlines import EM
from watermark.profiles import VECTOR, Profile

VERSION = 2  # Goes up with every change of how places or words are laid out.
SLANT = math.radians(28)
LEADING = 1.45  # Line distance in em.
_A4 = math.sqrt(595.0 * 842.0)
_SHADOW = 0.055  # How far the light copy of a tile lies aside, in em.
_FITS = (1.2, 1.0, 0.88, 0.78, 0.68, 0.6, 0.52, 0.45, 0.38, 0.32)

Matrix = tuple[float, float, float, float, float, float]


def preload() -> None:
    """Open every face now: behind the sandbox's walls no file can be opened."""
    outlines.preload()


@dataclass(frozen=True, slots=True)
class Place:
    """A box kept for words: its name in resources, its width and height in em, the largest size of its letters in em."""

    name: str
    width: float
    height: float
    largest: float
    centred: bool


TILE = Place("T", 26.0, 7.4, 1.2, True)
BROAD = Place("F", 88.0, 2.95, 1.0, True)
NARROW = Place("N", 34.0, 8.75, 1.0, True)
CODE = "Q"
PLACES = {place.name: place for place in (TILE, BROAD, NARROW)}


@dataclass(frozen=True, slots=True)
class Words:
    """A mark's words, each place filled when it is first asked for; `spelled` lists code points that had to be spelled out."""

    mark: Mark
    tile: tuple[str, ...]
    footer: str
    spelled: tuple[str, ...]

    def fill(self, name: str) -> bytes:
        """The operators that fill a place. Raises Refusal MARK_TOO_LONG for words that would be too small to read."""
        if name == CODE:
            return qr.square(self.mark.address) if self.mark.address else b""
        lines = self.tile if name == TILE.name else (self.footer,)
        return filled(PLACES[name], lines)


def words(mark: Mark) -> Words:
    """Check and spell a mark once for all pages. Raises Refusal GLYPH_MISSING, never leaves a character out."""
    spelled: dict[str, None] = {}
    shown = []
    for text in (*mark.tiled(), mark.footer()):
        line, codes = outlines.substituted(text)
        spelled.update(dict.fromkeys(codes))
        shown.append(line)
    made = Words(mark, tuple(shown[:-1]), shown[-1], tuple(spelled))
    made.fill(TILE.name)
    return made


@functools.lru_cache(maxsize=32)
def filled(place: Place, lines: tuple[str, ...]) -> bytes:
    """Lines set into a place as large as they fit, wrapped where that makes them larger."""
    for size in _FITS:
        if size > place.largest:
            continue
        cut = [part for text in lines for part in outlines.wrapped(text, place.width / size * EM)]
        if len(cut) * LEADING * size <= place.height:
            return _set(place, cut, size)
    raise Refusal("MARK_TOO_LONG", "the words of the mark do not fit a page in a size that can be read")


def _set(place: Place, lines: list[str], size: float) -> bytes:
    """Each line in a graphics state of its own, the block in the middle of its place."""
    top = (place.height + len(lines) * LEADING * size) / 2
    out = []
    for index, text in enumerate(lines):
        line = outlines.line(text)
        left = (place.width * EM - line.advance * size) / 2 if place.centred else 0.0
        baseline = (top - (index + 1) * LEADING * size + 0.35 * size) * EM
        out.append(b"q %.2f 0 0 %.2f %.0f %.0f cm\n%sQ\n" % (size, size, left, baseline, line.operators))
    return b"".join(out)


def scale_of(view: tuple[float, float]) -> float:
    """How much larger than on A4 the words stand: less than the page grows, so that a cut-out of a large sheet keeps some."""
    return float((math.sqrt(view[0] * view[1]) / _A4) ** 0.7)


def tile_size(view: tuple[float, float], density: float = 1.0) -> float:
    """Points per em of the tiles: 11 on A4, less where the box would not fit the page's shorter side."""
    return min(11.0 * scale_of(view), 0.86 * min(view) / TILE.width) / math.sqrt(max(density, 1.0))


def tiles(view: tuple[float, float], density: float = 1.0) -> Iterator[Matrix]:
    """Matrices from the tile's 1/1000 em to the view: rows on a slant, every second one shifted by half a step."""
    size = tile_size(view, density)
    spread = 1 / min(density, 1.0)
    width, height = TILE.width * size, TILE.height * size
    step_x, step_y = (width + 3.0 * size) * spread, (height + 5.0 * size) * spread
    reach = math.hypot(*view) / 2
    rows, columns = math.ceil(reach / step_y) + 1, math.ceil(reach / step_x) + 1
    for row in range(-rows, rows + 1):
        for column in range(-columns, columns + 1):
            along = (column + (row % 2) / 2) * step_x - width / 2
            matrix = slanted(view, SLANT, size, along, row * step_y - height / 2)
            if _touches(view, matrix, width, height):
                yield matrix


def diagonal(view: tuple[float, float]) -> Matrix:
    """One large box from corner to corner, at most as large as lets it stay on the page."""
    angle = math.atan2(view[1], view[0])
    size = 0.95 * math.hypot(*view) / (TILE.width + 2 * TILE.height)
    return slanted(view, angle, size, -TILE.width * size / 2, -TILE.height * size / 2)


def slanted(view: tuple[float, float], angle: float, size: float, along: float, across: float) -> Matrix:
    """A box turned by an angle, its corner `along` and `across` the slant from the middle of the view."""
    unit, cos, sin = size / EM, math.cos(angle), math.sin(angle)
    x, y = view[0] / 2 + along * cos - across * sin, view[1] / 2 + along * sin + across * cos
    return unit * cos, unit * sin, -unit * sin, unit * cos, x, y


def _touches(view: tuple[float, float], matrix: Matrix, width: float, height: float) -> bool:
    scale = math.hypot(matrix[0], matrix[1])
    cos, sin, x, y = matrix[0] / scale, matrix[1] / scale, matrix[4], matrix[5]
    xs = (x, x + width * cos, x - height * sin, x + width * cos - height * sin)
    ys = (y, y + width * sin, y + height * cos, y + width * sin + height * cos)
    return max(xs) > 0 and min(xs) < view[0] and max(ys) > 0 and min(ys) < view[1]


@dataclass(frozen=True, slots=True)
class Footer:
    """The band at the foot: which place it holds, points per em, and the band's height in points."""

    place: Place
    size: float
    height: float

    def matrix(self, view: tuple[float, float]) -> Matrix:
        """From the place's 1/1000 em to the view, centred in the band."""
        unit = self.size / EM
        left = (view[0] - self.place.width * self.size) / 2
        return unit, 0.0, 0.0, unit, left, (self.height - self.place.height * self.size) / 2


def footer(view: tuple[float, float]) -> Footer:
    """The band for a page: two long lines where the page is broad enough to read them, else up to six short ones."""
    wanted, room = 6.5 * scale_of(view), 0.94 * view[0]
    place = BROAD if room / BROAD.width >= 0.7 * wanted else NARROW
    size = min(wanted, room / place.width, 0.2 * view[1] / place.height)
    return Footer(place, size, (place.height + 0.4) * size)


def code_box(view: tuple[float, float], band: float) -> Matrix:
    """The receipt's code above the band at the right: 20 mm on A4."""
    side = min(57.0 * scale_of(view), 0.3 * min(view))
    return side / EM, 0.0, 0.0, side / EM, view[0] - side - 0.02 * view[0], band + 0.01 * view[1]


def operators(view: tuple[float, float], profile: Profile = VECTOR) -> tuple[list[str], tuple[str, ...]]:
    """What draws a profile's mark on a view, and the names of the places it draws.

    Tiles stand twice: light and a little aside, then dark; so they show on dark photos as on white paper.
    """
    out: list[str] = []
    names: list[str] = []
    if {"tiled", "diagonal"} & set(profile.styles):
        names.append(TILE.name)
        out += _twice(_across(view, profile), profile)
    band = footer(view)
    if "footer" in profile.styles:
        names.append(band.place.name)
        out += [
            f"q /Band gs 1 g 0 0 {view[0]:.3f} {band.height:.3f} re f Q",
            f"q /Ink gs 0.15 g {numbers(band.matrix(view))} cm /{band.place.name} Do Q",
        ]
    if profile.qr:
        names.append(CODE)
        out.append(f"q /Ink gs {numbers(code_box(view, band.height))} cm /{CODE} Do Q")
    return out, tuple(names)


def _across(view: tuple[float, float], profile: Profile) -> list[tuple[Matrix, float]]:
    """Matrices of the box with the size of its letters in points."""
    found: list[tuple[Matrix, float]] = []
    if "tiled" in profile.styles:
        found += [(matrix, tile_size(view, profile.density)) for matrix in tiles(view, profile.density)]
    if "diagonal" in profile.styles:
        matrix = diagonal(view)
        found.append((matrix, math.hypot(matrix[0], matrix[1]) * EM))
    return found


def _twice(placed: list[tuple[Matrix, float]], profile: Profile) -> list[str]:
    ink = " ".join(f"{part:.4g}" for part in profile.colour)
    light = [(*m[:4], m[4] + _SHADOW * size, m[5] - _SHADOW * size) for m, size in placed]
    dark = [matrix for matrix, _ in placed]
    return [
        "q /Light gs 1 g",
        *[f"q {numbers(m)} cm /T Do Q" for m in light],
        "Q",
        f"q /Dark gs {ink} rg",
        *[f"q {numbers(m)} cm /T Do Q" for m in dark],
        "Q",
    ]


def numbers(matrix: tuple[float, ...]) -> str:
    """Numbers as PDF writes them, without exponents."""
    return " ".join(f"{value:.6f}".rstrip("0").rstrip(".") for value in matrix)
