"""Where the words of a mark go on a page as it is seen: tiles on a slant over all of it, and one band at its foot.

Everything here is in points of the view, origin bottom left.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from watermark import outlines
from watermark.mark import Mark
from watermark.outlines import EM

SLANT = math.radians(28)
LEADING = 1.45  # Line distance in em.
MEASURE = 30.0  # The widest line of a tile, in em.
_A4 = math.sqrt(595.0 * 842.0)

Matrix = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of text as one path in 1/1000 em, its origin at the bottom left of its box."""

    path: str
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Words:
    """A mark ready to be placed: the tile's block, the footer's lines, and the code points that had to be spelled out."""

    tile: Block
    footer: str
    spelled: tuple[str, ...]


def words(mark: Mark) -> Words:
    """Shape a mark once for all pages. Raises Refusal GLYPH_MISSING, never leaves a character out."""
    lines: list[str] = []
    spelled: dict[str, None] = {}
    for line in mark.tiled():
        text, codes = outlines.substituted(line)
        spelled.update(dict.fromkeys(codes))
        lines.extend(outlines.wrapped(text, MEASURE * EM))
    footer, codes = outlines.substituted(mark.footer())
    spelled.update(dict.fromkeys(codes))
    return Words(block(lines), footer, tuple(spelled))


def block(lines: list[str]) -> Block:
    """Set lines under each other, each centred."""
    runs = [outlines.shape(line) for line in lines]
    width = max(run.advance for run in runs)
    height = len(runs) * LEADING * EM
    paths = []
    for index, run in enumerate(runs):
        baseline = height - (index + 1) * LEADING * EM + 0.35 * EM
        paths.append(outlines.path(run, (width - run.advance) / 2, baseline))
    return Block("\n".join(paths), width, height)


def scale_of(view: tuple[float, float]) -> float:
    """How much larger than on A4 the words stand: less than the page grows, so that a cut-out of a large sheet keeps some."""
    return float((math.sqrt(view[0] * view[1]) / _A4) ** 0.7)


def tile_size(view: tuple[float, float], tile: Block) -> float:
    """Points per em of the tiles: 11 on A4, less where the block would not fit the page's shorter side."""
    fitting = 0.86 * min(view) / (tile.width / EM)
    return min(11.0 * scale_of(view), fitting)


def tiles(view: tuple[float, float], tile: Block, size: float) -> Iterator[Matrix]:
    """Matrices from the block's 1/1000 em to the view: rows on a slant, every second one shifted by half a step."""
    unit = size / EM
    cos, sin = math.cos(SLANT), math.sin(SLANT)
    step_x = tile.width * unit + 4.0 * size
    step_y = tile.height * unit + 5.5 * size
    centre = (view[0] / 2, view[1] / 2)
    reach = math.hypot(*view) / 2
    rows, columns = math.ceil(reach / step_y) + 1, math.ceil(reach / step_x) + 1
    for row in range(-rows, rows + 1):
        for column in range(-columns, columns + 1):
            along = (column + (row % 2) / 2) * step_x - tile.width * unit / 2
            across = row * step_y - tile.height * unit / 2
            x, y = centre[0] + along * cos - across * sin, centre[1] + along * sin + across * cos
            if _touches(view, x, y, tile.width * unit, tile.height * unit):
                yield unit * cos, unit * sin, -unit * sin, unit * cos, x, y


def _touches(view: tuple[float, float], x: float, y: float, width: float, height: float) -> bool:
    cos, sin = math.cos(SLANT), math.sin(SLANT)
    xs = (x, x + width * cos, x - height * sin, x + width * cos - height * sin)
    ys = (y, y + width * sin, y + height * cos, y + width * sin + height * cos)
    return max(xs) > 0 and min(xs) < view[0] and max(ys) > 0 and min(ys) < view[1]


@dataclass(frozen=True, slots=True)
class Footer:
    """The band at the foot: its lines as a block, points per em, and the band's height in points."""

    block: Block
    size: float
    height: float

    def place(self, view: tuple[float, float]) -> Matrix:
        """From the block's 1/1000 em to the view, centred in the band."""
        unit = self.size / EM
        return (
            unit,
            0.0,
            0.0,
            unit,
            (view[0] - self.block.width * unit) / 2,
            (self.height - self.block.height * unit) / 2,
        )


def footer(view: tuple[float, float], text: str) -> Footer:
    """Set the footer in at most two lines, smaller where the page is narrow, but whole."""
    size = 6.5 * scale_of(view)
    width = 0.94 * view[0]
    lines = outlines.wrapped(text, width / size * EM)
    while len(lines) > 2 and size > 1.0:
        size *= 0.9
        lines = outlines.wrapped(text, width / size * EM)
    made = block(list(lines))
    return Footer(made, size, made.height / EM * size + 0.4 * size)
