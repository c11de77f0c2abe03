"""Setting a page as PDF/A-2b by typst with one embedded font, so that equal input gives equal bytes on any machine."""

import datetime
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib import resources

import pylopdf_fonts_zh_cn
import typst
from fontTools.ttLib import TTFont

from agreements.errors import MissingGlyph, RenderError

Json = str | int | bool | None | list["Json"] | dict[str, "Json"]

_UNDISPLAYED = re.compile(r"the text (.+?) (?:could not|cannot) be displayed")
_ESCAPED = re.compile(r"\\u\{([0-9a-f]+)\}")


def typeset(layout: str, data: Mapping[str, Json], day: datetime.date) -> bytes:
    """Set `layout` (a file of this package) with `data`, dated `day`, and return PDF/A-2b bytes.

    The data reaches the layout as JSON, so nothing in it is read as markup.

    Raises:
        MissingGlyph: a character has no glyph in the embedded font; names all of them.
        RenderError: the document could not be set.
    """
    require_glyphs(_strings(data))
    return _compiled(layout, {**data, "year": day.year, "month": day.month, "day": day.day})


def _compiled(layout: str, data: Mapping[str, Json]) -> bytes:
    try:
        result = _compiler(layout, data).compile(format="pdf", pdf_standards="a-2b")
    except typst.TypstError as failure:
        raise _translated(failure) from None
    if not isinstance(result, bytes):
        raise RenderError("the document came out in pieces")
    return result


def located(layout: str, label: str, data: Mapping[str, Json], day: datetime.date) -> list[dict[str, Json]]:
    """Return what the layout says at each place it labels `label`, for the same data as `typeset`.

    Raises:
        RenderError: the document could not be set.
    """
    try:
        dated = {**data, "year": day.year, "month": day.month, "day": day.day}
        found = json.loads(_compiler(layout, dated).query(f"<{label}>", field="value"))
    except typst.TypstError as failure:
        raise _translated(failure) from None
    return list(found)


def _compiler(layout: str, data: Mapping[str, Json]) -> typst.Compiler:
    folder = resources.files("agreements") / "templates"
    source = (folder / "page.typ").read_bytes() + (folder / layout).read_bytes()
    inputs = {"data": json.dumps(data, ensure_ascii=False)}
    return typst.Compiler(source, font_paths=_fonts(), sys_inputs=inputs)


def require_glyphs(texts: Iterable[str]) -> None:
    """Refuse text that the embedded font cannot show.

    Raises:
        MissingGlyph: names every character without a glyph.
    """
    if missing := {c for text in texts for c in text if not has_glyph(c)}:
        raise MissingGlyph(missing)


def has_glyph(character: str) -> bool:
    """Say whether the embedded font can show this character."""
    return ord(character) in _coverage()


@lru_cache(maxsize=1)
def _coverage() -> frozenset[int]:
    with TTFont(pylopdf_fonts_zh_cn.serif_path(), lazy=True) as font:
        return frozenset(font.getBestCmap())


@lru_cache(maxsize=1)
def _fonts() -> typst.Fonts:
    folder = pylopdf_fonts_zh_cn.serif_path().parent
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[folder])


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _strings(member)
    elif isinstance(value, list):
        for member in value:
            yield from _strings(member)


def _translated(failure: Exception) -> RenderError:
    """The cmap is asked first; this catches what shaping alone finds, such as a mark the font cannot place."""
    if named := _UNDISPLAYED.search(str(failure)):
        return MissingGlyph(_ESCAPED.sub(lambda match: chr(int(match[1], 16)), named[1].strip("\"'`")))
    return RenderError("the document could not be set")
