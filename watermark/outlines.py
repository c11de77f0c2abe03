"""Text to glyph outlines: no reader needs a font, and no character is dropped in silence.

Shaping by HarfBuzz, outlines from Noto Sans SC (OFL). What the font cannot set right is spelled out as [U+XXXX]: characters
it lacks, control and bidirectional characters, combining marks, and scripts that need joining.
"""

import functools
import math
import unicodedata
from dataclasses import dataclass
from typing import Any

import uharfbuzz as hb
from pylopdf_fonts_zh_cn import sans_path

from watermark.errors import Refusal

EM = 1000.0
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})


@dataclass(frozen=True, slots=True)
class Run:
    """Shaped text: glyph ids with their pen positions, and the advance, all in 1/1000 em."""

    glyphs: tuple[tuple[int, float, float], ...]
    advance: float


@functools.cache
def _font() -> Any:  # uharfbuzz ships no types.
    font = hb.Font(hb.Face(hb.Blob.from_file_path(str(sans_path()))))
    if font.face.upem != EM:
        raise Refusal("FONT", "the mark's font has another em than its outlines are scaled for")
    return font


def _drawable(char: str) -> bool:
    category = unicodedata.category(char)
    if category[0] in "CM" or category in ("Zl", "Zp") or unicodedata.bidirectional(char) in _RIGHT_TO_LEFT:
        return False
    return _font().get_nominal_glyph(ord(char)) is not None


def substituted(text: str) -> tuple[str, tuple[str, ...]]:
    """The text in NFC with undrawable characters as [U+XXXX], and the code points so spelled, in order of first use."""
    out: list[str] = []
    spelled: dict[str, None] = {}
    for char in unicodedata.normalize("NFC", text):
        if unicodedata.category(char) == "Zs":
            out.append(" ")
        elif _drawable(char):
            out.append(char)
        else:
            code = f"U+{ord(char):04X}"
            spelled[code] = None
            out.append(f"[{code}]")
    return "".join(out), tuple(spelled)


def shape(text: str) -> Run:
    """Lay out one line of substituted text. A glyph that is still missing raises Refusal GLYPH_MISSING."""
    if not text:
        return Run((), 0.0)
    buffer = hb.Buffer()
    buffer.add_str(text)
    buffer.guess_segment_properties()
    buffer.direction = "ltr"
    buffer.language = "zh-Hans"
    hb.shape(_font(), buffer)
    pen = 0.0
    glyphs = []
    for info, position in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
        if info.codepoint == 0:
            raise Refusal("GLYPH_MISSING", f"the font has no glyph for U+{ord(text[info.cluster]):04X}")
        glyphs.append((info.codepoint, pen + position.x_offset, float(position.y_offset)))
        pen += position.x_advance
    return Run(tuple(glyphs), pen)


class _Pen:
    """Collects one glyph as PDF path operators, coordinates shifted by the pen position."""

    def __init__(self, x: float, y: float) -> None:
        self.x, self.y = x, y
        self.last = (x, y)
        self.ops: list[str] = []

    def _at(self, point: tuple[float, float]) -> str:
        return f"{point[0] + self.x:.0f} {point[1] + self.y:.0f}"

    def moveTo(self, point: tuple[float, float]) -> None:  # noqa: N802  # The pen protocol of fontTools names it so.
        self.last = point
        self.ops.append(f"{self._at(point)} m")

    def lineTo(self, point: tuple[float, float]) -> None:  # noqa: N802
        self.last = point
        self.ops.append(f"{self._at(point)} l")

    def curveTo(self, *points: tuple[float, float]) -> None:  # noqa: N802
        self.last = points[-1]
        self.ops.append(" ".join(self._at(point) for point in points) + " c")

    def qCurveTo(self, control: tuple[float, float], end: tuple[float, float]) -> None:  # noqa: N802
        start = self.last
        first = tuple(s + 2 / 3 * (c - s) for s, c in zip(start, control, strict=True))
        second = tuple(e + 2 / 3 * (c - e) for e, c in zip(end, control, strict=True))
        self.curveTo((first[0], first[1]), (second[0], second[1]), end)

    def closePath(self) -> None:  # noqa: N802
        self.ops.append("h")

    def endPath(self) -> None:  # noqa: N802
        self.ops.append("h")


def path(run: Run, x: float = 0.0, y: float = 0.0) -> str:
    """PDF path operators of the run with its origin at (x, y), in 1/1000 em, without a painting operator."""
    ops: list[str] = []
    for glyph, glyph_x, glyph_y in run.glyphs:
        pen = _Pen(x + glyph_x, y + glyph_y)
        _font().draw_glyph_with_pen(glyph, pen)
        ops.extend(pen.ops)
    return "\n".join(ops)


def wrapped(text: str, width: float) -> tuple[str, ...]:
    """Cut substituted text into lines no wider than `width` (1/1000 em), at spaces where there are any near the end."""
    lines: list[str] = []
    rest = text.strip()
    while rest:
        count = _fitting(rest, width)
        if count < len(rest):
            space = rest.rfind(" ", count // 2, count + 1)
            count = space if space > 0 else count
        lines.append(rest[:count].strip())
        rest = rest[count:].strip()
    return tuple(line for line in lines if line)


def _fitting(text: str, width: float) -> int:
    """How many leading characters fit; at least one, so that a cut always gets on."""
    total = 0.0
    for index, char in enumerate(text):
        total += _advance(char)
        if total > width and index:
            return index
    return len(text)


@functools.lru_cache(maxsize=4096)
def _advance(char: str) -> float:
    glyph = _font().get_nominal_glyph(ord(char))
    return float(_font().get_glyph_h_advance(glyph)) if glyph is not None else math.inf
