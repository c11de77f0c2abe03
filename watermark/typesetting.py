"""typst behind the walls: a template of the product, and data that is never a command."""

import functools
import unicodedata
from pathlib import Path
from typing import Any

import typst
from pylopdf_fonts_zh_cn import sans_path

from watermark import sandbox
from watermark.errors import Refusal

WALLS = sandbox.Walls("files", read=(str(sans_path().parent),))
_FOLDER = Path(__file__).parent


@functools.cache
def _fonts() -> Any:
    return typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=True, font_paths=[sans_path().parent]
    )


@functools.cache
def _drawable() -> frozenset[int]:
    from fontTools.ttLib import TTFont

    with TTFont(sans_path(), lazy=True) as font:
        return frozenset(font.getBestCmap())


def preload() -> None:
    """Read the templates and the font's list of characters; afterwards only fonts can be read."""
    _drawable()
    for template in _FOLDER.glob("*.typ"):
        _template(template.name)


@functools.cache
def _template(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()


def shown(text: str) -> str:
    """typst drops glyphs that its fonts lack; so they are spelled out before."""
    return "".join(
        char if char == "\n" or ord(char) in _drawable() else f"[U+{ord(char):04X}]"
        for char in unicodedata.normalize("NFC", text)
    )


def pages(template: str, data: str, **further: str) -> bytes:
    """Set data by a template. Raises Refusal NOT_CONVERTED, without a word of typst's own."""
    try:
        made: bytes = typst.compile(
            _template(template),
            font_paths=_fonts(),
            ignore_system_fonts=True,
            sys_inputs={"data": data, **further},
            timestamp=0,
        )
    except typst.TypstError as error:
        raise Refusal("NOT_CONVERTED", "the file could not be set as pages") from error
    return made
