"""Boxes and turns of a page: from what the reader sees, in points, to what the file says, in user units."""

import math
from dataclasses import dataclass

import pikepdf

from watermark.errors import Refusal

SMALLEST, LARGEST = 36.0, 200_000.0
_LETTER = (0.0, 0.0, 612.0, 792.0)  # What readers take when no page node names a MediaBox.
_MAX_PARENTS = 64

Box = tuple[float, float, float, float]


def inherited(page: pikepdf.Object, key: str) -> pikepdf.Object | None:
    """The value of an inheritable key, from the page or the nearest node above it (ISO 32000-2, 7.7.3.4)."""
    node: pikepdf.Object | None = page
    for _ in range(_MAX_PARENTS):
        if not isinstance(node, pikepdf.Dictionary):
            return None
        if key in node:
            return node[key]
        node = node.get("/Parent")
    raise Refusal("BROKEN", "the page tree is too deep")


def box(value: pikepdf.Object | None) -> Box | None:
    """Four finite numbers as left, bottom, right, top; None when they are not that or span nothing."""
    if not isinstance(value, pikepdf.Array) or len(value) < 4:
        return None
    try:
        x0, y0, x1, y1 = (float(value[index]) for index in range(4))
    except (TypeError, ValueError):
        return None
    ordered = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    usable = (
        all(math.isfinite(edge) for edge in ordered) and ordered[0] < ordered[2] and ordered[1] < ordered[3]
    )
    return ordered if usable else None


def intersection(outer: Box, inner: Box | None) -> Box:
    """The part of `inner` within `outer`; `outer` when there is none, as readers do."""
    if inner is None:
        return outer
    both = (
        max(outer[0], inner[0]),
        max(outer[1], inner[1]),
        min(outer[2], inner[2]),
        min(outer[3], inner[3]),
    )
    return both if both[0] < both[2] and both[1] < both[3] else outer


@dataclass(frozen=True, slots=True)
class Geometry:
    """One page: its media box, the visible part, the turn in degrees clockwise, points per user unit."""

    media: Box
    visible: Box
    rotation: int
    user_unit: float

    @classmethod
    def of(cls, page: pikepdf.Object) -> "Geometry":
        """Read a page's geometry as readers do. A page too small or too large to mark raises Refusal PAGE_SIZE."""
        media = box(inherited(page, "/MediaBox")) or _LETTER
        geometry = cls(
            media=media,
            visible=intersection(media, box(inherited(page, "/CropBox"))),
            rotation=_rotation(inherited(page, "/Rotate")),
            user_unit=_user_unit(page.get("/UserUnit")),
        )
        if min(geometry.view) < SMALLEST or max(geometry.view) > LARGEST:
            raise Refusal("PAGE_SIZE", "a page is too small or too large to carry a readable mark")
        return geometry

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the visible box in points, before rotation."""
        x0, y0, x1, y1 = self.visible
        return (x1 - x0) * self.user_unit, (y1 - y0) * self.user_unit

    @property
    def view(self) -> tuple[float, float]:
        """Width and height in points as the reader sees the page."""
        width, height = self.size
        return (height, width) if self.rotation in (90, 270) else (width, height)

    @property
    def matrix(self) -> tuple[float, float, float, float, float, float]:
        """From points of the view (origin bottom left as seen) to the page's user space."""
        x0, y0, x1, y1 = self.visible
        unit = 1 / self.user_unit
        return {
            0: (unit, 0.0, 0.0, unit, x0, y0),
            90: (0.0, unit, -unit, 0.0, x1, y0),
            180: (-unit, 0.0, 0.0, -unit, x1, y1),
            270: (0.0, -unit, unit, 0.0, x0, y1),
        }[self.rotation]


def _rotation(value: object) -> int:
    try:
        return int(float(value) / 90) % 4 * 90  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return 0


def _user_unit(value: object) -> float:
    try:
        unit = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 1.0
    return unit if math.isfinite(unit) and unit > 0 else 1.0
