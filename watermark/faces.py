"""The faces that marks are drawn with, in the order in which they are asked: all under the Open Font License.

Han of the mainland first (Noto Sans SC), then the whole of Noto Sans CJK for rare characters and Hangul, then one face a script.
"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uharfbuzz as hb
from noto_cjk_sans_otc import FONT_PATH
from pylopdf_fonts_zh_cn import sans_path

from watermark.errors import Refusal

FOLDER = Path(__file__).with_name("fonts")
EM = 1000.0
_SIMPLIFIED = 2  # The collection's faces differ in the forms of Han characters: JP, KR, SC, TC, HK.


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face: HarfBuzz's font and the factor from its units to 1/1000 em."""

    name: str
    font: Any  # uharfbuzz ships no types.
    scale: float
    cjk: bool

    def has(self, char: str) -> bool:
        """Whether the face has a glyph of its own for the character."""
        return self.font.get_nominal_glyph(ord(char)) is not None


def _face(path: str, index: int = 0, *, cjk: bool = False) -> Face:
    font = hb.Font(hb.Face(hb.Blob.from_file_path(path), index))
    if font.face.upem <= 0 or font.face.glyph_count == 0:
        raise Refusal("FONT", "a font of the mark holds no glyphs")
    return Face(Path(path).name, font, EM / font.face.upem, cjk)


def bundled() -> list[dict[str, str]]:
    """What fonts/fonts.json says of the files beside it: name, source, licence and SHA-256 of each."""
    listed: list[dict[str, str]] = json.loads((FOLDER / "fonts.json").read_text("utf-8"))
    return listed


@functools.cache
def _places() -> tuple[tuple[str, int, bool], ...]:
    """Path, number in its collection, and whether it is a Han face, of every face in order."""
    named = [str(FOLDER / entry["file"]) for entry in bundled()]
    named.sort(key=lambda path: not path.endswith("NotoSans-Regular.ttf"))
    han = ((str(sans_path()), 0, True), (str(FONT_PATH), _SIMPLIFIED, True))
    return (*han, *((path, 0, False) for path in named))


@functools.cache
def _opened(place: int) -> Face:
    """One face, opened when it is first asked: most marks need the first alone."""
    path, index, cjk = _places()[place]
    return _face(path, index, cjk=cjk)


def faces() -> tuple[Face, ...]:
    """Every face, open and kept: the sandboxed child asks before its walls stand."""
    return tuple(_opened(place) for place in range(len(_places())))


def folders() -> list[Path]:
    """Where the faces lie, for the typesetter of the cover."""
    return [sans_path().parent, Path(str(FONT_PATH)).parent, FOLDER]


@functools.lru_cache(maxsize=8192)
def covering(cluster: str) -> Face | None:
    """The first face that has every character of a cluster; joiners need no glyph.

    Marks are set best by the face of their script, so a cluster that has some asks the Han faces last.
    """
    places = list(range(len(_places())))
    if len(cluster) > 1:
        places.sort(key=lambda place: _places()[place][2])
    wanted = [char for char in cluster if char not in JOINERS]
    order = (_opened(place) for place in places)
    return next((face for face in order if all(face.has(char) for char in wanted)), None)


JOINERS = frozenset("\u200c\u200d")
INDIC_AND_ARABIC = range(0x0590, 0x1900)
