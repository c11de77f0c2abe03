"""Text to glyph outlines: no reader needs a font, and no character is dropped in silence.

Han, Latin, Greek, Cyrillic, kana and Hangul are set character by character from kept outlines, which is what makes a further copy
cheap; every other script, and every combining mark, goes through HarfBuzz. Right-to-left runs are set in a line that goes left to
right. Emoji, symbols without a glyph and control characters are spelled [U+XXXX]; a letter no face can draw refuses the mark.
"""

import functools
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import NamedTuple

import uharfbuzz as hb

from watermark.errors import Refusal
from watermark.faces import EM, INDIC_AND_ARABIC, JOINERS, Face, covering, faces

__all__ = ["EM", "Line", "line", "preload", "substituted", "wrapped"]

_SPELLED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "So", "Sk"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line set: PDF operators that fill its glyphs, moving right from the origin, and its advance, in 1/1000 em."""

    operators: bytes
    advance: int


def _selector(char: str) -> bool:
    return "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"


def _joins(text: str, index: int) -> bool:
    """A joiner within a script that is written joined; anywhere else it is a control character."""
    return text[index] in JOINERS and index > 0 and ord(text[index - 1]) in INDIC_AND_ARABIC


def substituted(text: str) -> tuple[str, tuple[str, ...]]:
    """The text in NFC with what is no letter and has no glyph as [U+XXXX], and the code points so spelled, in order.

    A letter or mark that no face has raises Refusal GLYPH_MISSING with its code point.
    """
    if unicodedata.is_normalized("NFC", text) and _kept(text) is not None:
        return text, ()
    out: list[str] = []
    spelled: dict[str, None] = {}
    normal = unicodedata.normalize("NFC", text)
    for index, char in enumerate(normal):
        category = unicodedata.category(char)
        if category == "Zs":
            out.append(" ")
        elif _joins(normal, index) or (_known(char) and category[0] != "C" and not _selector(char)):
            out.append(char)
        elif category in _SPELLED or _selector(char):
            spelled[f"U+{ord(char):04X}"] = None
            out.append(f"[U+{ord(char):04X}]")
        else:
            raise Refusal("GLYPH_MISSING", f"no font of the mark can draw U+{ord(char):04X}")
    return "".join(out), tuple(spelled)


@functools.lru_cache(maxsize=8192)
def _known(char: str) -> bool:
    return covering(char) is not None


def _split(text: str) -> Iterator[str]:
    """Clusters: a character with the marks and joiners that follow it."""
    start = 0
    for index in range(1, len(text)):
        if text[index] not in JOINERS and unicodedata.category(text[index])[0] != "M":
            yield text[start:index]
            start = index
    if text:
        yield text[start:]


@functools.lru_cache(maxsize=8192)
def _width(cluster: str) -> int:
    atom = _atom(cluster)
    return atom.advance if atom is not None else sum(_set(_face_of(cluster), cluster, _turned(cluster))[1])


def _face_of(cluster: str) -> Face:
    face = covering(cluster)
    if face is None:
        codes = " ".join(f"U+{ord(char):04X}" for char in cluster)
        raise Refusal("GLYPH_MISSING", f"no font of the mark can draw {codes} together")
    return face


def _simple(char: str) -> bool:
    """Characters whose glyph depends on nothing around them."""
    code = ord(char)
    alone = code < 0x0590 or 0x10A0 <= code < 0x1100 or 0x1E00 <= code < 0x3130 or code >= 0x3190
    return alone and unicodedata.category(char)[0] not in "MC" and unicodedata.bidirectional(char) not in _RTL


_RTL = frozenset({"R", "AL"})
_WEAK = frozenset({"EN", "AN", "ES", "ET", "CS", "NSM", "BN", "WS", "ON"})


@functools.lru_cache(maxsize=8192)
def _atom(cluster: str) -> Line | None:
    """A character that needs no shaping, as operators at the origin; None for all others."""
    if len(cluster) != 1 or not _simple(cluster):
        return None
    face = _face_of(cluster)
    glyph = face.font.get_nominal_glyph(ord(cluster))
    return Line(_glyph(face, glyph), round(face.font.get_glyph_h_advance(glyph) * face.scale))


@functools.lru_cache(maxsize=16384)
def _glyph(face: Face, glyph: int) -> bytes:
    """One glyph's outline, filled, as operators in whole 1/1000 em; empty for a space."""
    pen = _Pen(face.scale)
    face.font.draw_glyph_with_pen(glyph, pen)
    return b" ".join([*pen.operators, b"f\n"]) if pen.operators else b""


class _Pen:
    """Collects one glyph as PDF path operators."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.last = (0.0, 0.0)
        self.operators: list[bytes] = []

    def _at(self, *points: tuple[float, float]) -> bytes:
        self.last = points[-1]
        return b" ".join(b"%d %d" % (round(x * self.scale), round(y * self.scale)) for x, y in points)

    def moveTo(self, point: tuple[float, float]) -> None:  # noqa: N802  # The pen protocol of fontTools names it so.
        self.operators.append(self._at(point) + b" m")

    def lineTo(self, point: tuple[float, float]) -> None:  # noqa: N802
        self.operators.append(self._at(point) + b" l")

    def curveTo(self, *points: tuple[float, float]) -> None:  # noqa: N802
        self.operators.append(self._at(*points) + b" c")

    def qCurveTo(self, control: tuple[float, float], end: tuple[float, float]) -> None:  # noqa: N802
        """A quadratic curve as the cubic one that PDF has."""
        first = tuple(s + 2 / 3 * (c - s) for s, c in zip(self.last, control, strict=True))
        second = tuple(e + 2 / 3 * (c - e) for e, c in zip(end, control, strict=True))
        self.curveTo((first[0], first[1]), (second[0], second[1]), end)

    def closePath(self) -> None:  # noqa: N802
        """Filling closes every contour by itself (ISO 32000-2, 8.5.3.3)."""

    def endPath(self) -> None:  # noqa: N802
        """As closePath: nothing to write."""


def _set(face: Face, text: str, turned: bool) -> tuple[list[tuple[int, int, int]], list[int]]:
    """A run by HarfBuzz: glyphs with their offsets, and their advances. A glyph still missing refuses."""
    buffer = hb.Buffer()
    buffer.add_str(text)
    buffer.guess_segment_properties()
    buffer.direction = "rtl" if turned else "ltr"
    hb.shape(face.font, buffer)
    glyphs, advances = [], []
    for info, position in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
        if info.codepoint == 0:
            raise Refusal("GLYPH_MISSING", f"no font of the mark can draw U+{ord(text[info.cluster]):04X}")
        glyphs.append(
            (info.codepoint, round(position.x_offset * face.scale), round(position.y_offset * face.scale))
        )
        advances.append(round(position.x_advance * face.scale))
    return glyphs, advances


def _turned(cluster: str) -> bool:
    return unicodedata.bidirectional(cluster[0]) in _RTL


class Atom(NamedTuple):
    """A character by itself: its advance, and operators that draw it and move on."""

    advance: int
    operators: bytes


# Characters that are drawn as they are, whatever stands around them: what almost every mark is made of.
_ATOMS: dict[str, Atom] = {}
_MOST_ATOMS = 20_000


def _kept(text: str) -> list[Atom] | None:
    """The kept outline of every character, or None when one of them needs more than that."""
    try:
        return [_ATOMS[char] for char in text]
    except KeyError:
        return _learnt(text)


def _learnt(text: str) -> list[Atom] | None:
    atoms = {}
    for char in set(text):
        plain = char == " " or unicodedata.category(char)[0] not in "CZM"
        if not plain or not _known(char) or (atom := _atom(char)) is None:
            return None
        atoms[char] = Atom(atom.advance, atom.operators + b"1 0 0 1 %d 0 cm\n" % atom.advance)
    if len(_ATOMS) < _MOST_ATOMS:
        _ATOMS.update(atoms)
    return [atoms[char] for char in text]


def _in_a_row(atoms: list[Atom]) -> Line:
    return Line(b"".join([atom.operators for atom in atoms]), sum([atom.advance for atom in atoms]))


@functools.lru_cache(maxsize=512)
def line(text: str) -> Line:
    """Set one line of substituted text. Raises Refusal GLYPH_MISSING, never leaves a character out."""
    atoms = _kept(text)
    if atoms is not None:
        return _in_a_row(atoms)
    out: list[bytes] = []
    pen = drawn = 0
    for part in _visual(list(_split(text))):
        for operators, offset, rise, advance in part:
            if operators:
                out.append(b"1 0 0 1 %d %d cm " % (pen + offset - drawn, rise) + operators)
                if rise:
                    out.append(b"1 0 0 1 0 %d cm\n" % -rise)
                drawn = pen + offset
            pen += advance
    return Line(b"".join(out), pen)


Placed = tuple[bytes, int, int, int]  # Operators, shift to the right, rise, advance.


def _visual(parts: list[str]) -> Iterator[list[Placed]]:
    """Runs from left to right; a stretch from one right-to-left run to the next, figures between them included, is reversed."""
    index = 0
    while index < len(parts):
        end = _stretch(parts, index)
        runs = list(_runs(parts[index:end]))
        yield from reversed(runs) if _turned(parts[index]) else runs
        index = end


def _stretch(parts: list[str], start: int) -> int:
    """Where the stretch that begins at `start` ends."""
    turned, end = _turned(parts[start]), start + 1
    for index in range(start + 1, len(parts)):
        if _turned(parts[index]) != turned:
            if not turned or unicodedata.bidirectional(parts[index][0]) not in _WEAK:
                break
            continue
        end = index + 1
    return end


def _runs(parts: list[str]) -> Iterator[list[Placed]]:
    for (simple, face, turned), group in groupby(parts, key=_run_key):
        text = "".join(group)
        yield _simple_run(text) if simple else _shaped_run(face, text, turned)


def _run_key(cluster: str) -> tuple[bool, Face, bool]:
    return _atom(cluster) is not None, _face_of(cluster), _turned(cluster)


def _simple_run(text: str) -> list[Placed]:
    atoms = [_atom(char) for char in text]
    return [(atom.operators, 0, 0, atom.advance) for atom in atoms if atom is not None]


def _shaped_run(face: Face, text: str, turned: bool) -> list[Placed]:
    glyphs, advances = _set(face, text, turned)
    return [
        (_glyph(face, glyph), offset, rise, advance)
        for (glyph, offset, rise), advance in zip(glyphs, advances, strict=True)
    ]


def wrapped(text: str, width: float) -> tuple[str, ...]:
    """Cut substituted text into lines no wider than `width` (1/1000 em), at spaces where there are any near the end."""
    lines: list[str] = []
    parts, advances = _measured(text.strip())
    while parts:
        count = _fitting(advances, width)
        if count < len(parts):
            spaces = [index for index in range(count // 2, count + 1) if parts[index] == " "]
            count = spaces[-1] if spaces and spaces[-1] > 0 else count
        lines.append("".join(parts[:count]).strip())
        while count < len(parts) and parts[count] == " ":
            count += 1
        parts, advances = parts[count:], advances[count:]
    return tuple(line for line in lines if line)


def _measured(text: str) -> tuple[list[str], list[int]]:
    """The clusters of substituted text, the smallest pieces a line may be cut between, and their advances."""
    atoms = _kept(text)
    if atoms is not None:
        return list(text), [atom.advance for atom in atoms]
    parts = list(_split(text))
    return parts, [_width(part) for part in parts]


def _fitting(advances: list[int], width: float) -> int:
    """How many leading clusters fit; at least one, so that a cut always gets on."""
    if sum(advances) <= width:
        return len(advances)
    return max(bisect_right(list(accumulate(advances)), width), 1)


def preload() -> None:
    """Open every face now: later no file can be opened."""
    faces()
    line("准备 ready")
