"""What is seen of a signature: a page of exactly the size of its place, set by typst, imported as the field's appearance."""

import datetime
from collections.abc import Sequence

from agreements.drawing import Drawing
from agreements.render import Place
from agreements.typesetting import Json, typeset

NAME_SIZE = 13.0
SMALL_NAME_SIZE = 9.0
_SMALL_FROM = 14


def appearance(
    place: Place, name: str, lines: Sequence[str], day: datetime.date, *, drawing: Drawing | None = None
) -> bytes:
    """Return a one-page PDF/A of the place's size: the drawing if there is one, the name, the lines under it.

    Raises:
        MissingGlyph: a character has no glyph in the embedded font.
        RenderError: it could not be set.
    """
    shown: list[Json] = list(lines)
    pixels: list[Json] = list(drawing.png) if drawing is not None else []
    data: dict[str, Json] = {
        "title": name,
        "name": name,
        "size": str(SMALL_NAME_SIZE if len(name) > _SMALL_FROM else NAME_SIZE),
        "lines": shown,
        "drawing": pixels,
        "width": str(place.width),
        "height": str(place.height),
    }
    return typeset("stamp.typ", data, day)
