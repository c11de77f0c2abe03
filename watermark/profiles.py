"""How a mark looks and how hard it sits: the choices of a profile, and the two the product names."""

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from watermark.errors import BadMark

OPACITY = (0.06, 0.40)
DENSITY = (0.5, 2.0)
STYLES = frozenset({"tiled", "diagonal", "footer"})


@dataclass(frozen=True, slots=True)
class Profile:
    """One way of marking.

    `styles`: tiled, diagonal, footer, at least one that covers the page. `opacity` is a fraction, `colour` three fractions of
    red, green and blue, `density` how many tiles against the usual number. `qr` keeps a place for the receipt's address.
    `hardened` makes pages of `dpi` into pictures with the mark blended in. `tile_bytes` and `footer_bytes` are the room a
    prepared document keeps for the words. `searchable` puts the footer's words into the text as well.
    """

    name: str
    styles: tuple[str, ...] = ("tiled", "footer")
    opacity: float = 0.12
    colour: tuple[float, float, float] = (0.0, 0.0, 0.0)
    density: float = 1.0
    qr: bool = False
    searchable: bool = False
    hardened: bool = False
    dpi: int = 200
    tile_bytes: int = 98_304
    footer_bytes: int = 65_536

    def __post_init__(self) -> None:
        if not set(self.styles) <= STYLES or not {"tiled", "diagonal"} & set(self.styles):
            raise BadMark("a profile tiles the page or crosses it, with a footer or without")
        _within("opacity", self.opacity, OPACITY)
        _within("density", self.density, DENSITY)
        for part in self.colour:
            _within("colour", part, (0.0, 1.0))
        if not 72 <= self.dpi <= 600 or not 4096 <= self.tile_bytes <= 1 << 20:
            raise BadMark("a profile's dpi or room for words is out of range")
        if not 4096 <= self.footer_bytes <= 1 << 20:
            raise BadMark("a profile's dpi or room for words is out of range")

    def with_opacity(self, opacity: float) -> Self:
        """The same profile at another opacity (parameter watermark.opacity_pct)."""
        return replace(self, opacity=opacity)

    @property
    def label(self) -> tuple[str, str]:
        """What the profile promises, in Chinese and English, and not more."""
        return _HARDENED if self.hardened else _VECTOR

    def as_json(self) -> str:
        """One line of JSON with sorted keys: what a prepared document is keyed by."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what as_json wrote; anything else raises BadMark."""
        try:
            values: dict[str, Any] = json.loads(text)
            values["styles"], values["colour"] = tuple(values["styles"]), tuple(values["colour"])
            return cls(**values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadMark("not a profile") from error


def _within(name: str, value: float, bounds: tuple[float, float]) -> None:
    if not math.isfinite(value) or not bounds[0] <= value <= bounds[1]:
        raise BadMark(f"{name} lies between {bounds[0]} and {bounds[1]}")


_VECTOR = (
    "可威慑：标记为矢量轮廓，持有口令和工具的领取人能够去除",
    "deterrent: the mark is an outline that a recipient with tools and the passphrase can strip",
)
_HARDENED = (
    "加固：页面为图像，标记与内容融合，去除会损伤画面；文字不可检索",
    "hardened: pages are pictures with the mark blended in; taking it out harms the picture; text cannot be searched",
)

VECTOR = Profile("vector")
HARDENED = Profile("hardened", hardened=True)


def default_for(level: int, kind: Literal["document", "photo"]) -> Profile:
    """The profile of an item of a confidentiality level (1 to 3): hardened for L3 and for photos."""
    return HARDENED if level >= 3 or kind == "photo" else VECTOR
