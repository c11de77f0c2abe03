"""SVG as a page: the drawing rebuilt from an allow-list of elements and attributes, then set by typst.

No script, no event, no style sheet that names a file, no reference to anything outside the file.
"""

import io
import re
from collections import Counter
from xml.etree import ElementTree
from xml.parsers import expat

from watermark import typesetting
from watermark.errors import Refusal

MAX_SVG, MAX_ELEMENTS, MAX_DEPTH = 32 << 20, 200_000, 64
SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_ELEMENTS = frozenset(
    "svg g defs symbol use title desc path rect circle ellipse line polyline polygon text tspan textPath image marker "
    "linearGradient radialGradient stop pattern clipPath mask switch style filter feBlend feColorMatrix feComposite feFlood "
    "feGaussianBlur feMerge feMergeNode feOffset".split()
)
_ACTIVE = {
    "script": "javascript",
    "foreignObject": "embedded_files",
    "a": "actions",
    "animate": "animations",
    "animateTransform": "animations",
    "animateMotion": "animations",
    "set": "animations",
    "metadata": "metadata",
}
_KEPT_INSIDE = "a"  # What a link shows stays; that it is a link goes.
_LENGTH = re.compile(r"^\s*([0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?|\.[0-9]+)\s*(px|pt|pc|mm|cm|in)?\s*$")
_POINTS = {"px": 0.75, None: 0.75, "pt": 1.0, "pc": 12.0, "mm": 72 / 25.4, "cm": 72 / 2.54, "in": 72.0}
_OWN = re.compile(r"^(#|data:image/(png|jpeg|gif|webp);base64,)", re.IGNORECASE)
_OUTSIDE = re.compile(r"@import|url\(\s*['\"]?(?!#)|expression\(|\\", re.IGNORECASE)
_SMALLEST, _LARGEST = 144.0, 14_400.0


class _Builder(ElementTree.TreeBuilder):
    """A tree with a budget of elements and depth."""

    def __init__(self) -> None:
        super().__init__()
        self._count = self._deep = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> ElementTree.Element:
        self._count, self._deep = self._count + 1, self._deep + 1
        if self._count > MAX_ELEMENTS or self._deep > MAX_DEPTH:
            raise Refusal("BUDGET_OBJECTS", "the drawing has too many elements")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ElementTree.Element:
        self._deep -= 1
        return super().end(tag)


def _no_entities(*_: object) -> None:
    raise Refusal("NOT_MARKABLE", "the drawing declares entities, which are not expanded here")


def parsed(data: bytes) -> ElementTree.Element:
    """The root of an SVG document. Raises Refusal BROKEN, NOT_MARKABLE, BUDGET_BYTES or BUDGET_OBJECTS."""
    if len(data) > MAX_SVG:
        raise Refusal("BUDGET_BYTES", "the drawing is larger than the budget")
    builder, parser = _Builder(), expat.ParserCreate(namespace_separator="}")
    parser.EntityDeclHandler = _no_entities
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartElementHandler = lambda tag, attrs: builder.start(
        _tag(tag), {_tag(key): value for key, value in attrs.items()}
    )
    parser.EndElementHandler = lambda tag: builder.end(_tag(tag))
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
        root = builder.close()
    except (expat.ExpatError, AssertionError, ValueError) as error:
        raise Refusal("BROKEN", "the drawing does not parse as XML") from error
    if root.tag != f"{{{SVG}}}svg":
        raise Refusal("NOT_MARKABLE", "the XML is no SVG drawing")
    return root


def _tag(name: str) -> str:
    return f"{{{name}" if "}" in name else name


def cleaned(root: ElementTree.Element) -> Counter[str]:
    """Take from the tree, in place, what is not on the list; what went is counted."""
    removed: Counter[str] = Counter()
    _attributes(root, removed)
    waiting = [root]
    while waiting:
        parent = waiting.pop()
        for child in list(parent):
            name = child.tag.removeprefix(f"{{{SVG}}}")
            if name == _KEPT_INSIDE:
                child.tag = f"{{{SVG}}}g"
                removed["actions"] += 1
            elif name not in _ELEMENTS or (name == "style" and _OUTSIDE.search(child.text or "")):
                removed[_ACTIVE.get(name, "other_objects")] += 1
                parent.remove(child)
                continue
            _attributes(child, removed)
            waiting.append(child)
    return removed


def _attributes(element: ElementTree.Element, removed: Counter[str]) -> None:
    for key, value in list(element.attrib.items()):
        name = key.removeprefix(f"{{{_XLINK}}}")
        if name.lower().startswith("on"):
            removed["javascript"] += 1
        elif not _OWN.match(value.strip()) if name == "href" else _OUTSIDE.search(value):
            removed["external_links"] += 1
        elif key.startswith("{") and name == key and not key.startswith("{http://www.w3.org/XML/1998"):
            removed["other_keys"] += 1
        else:
            continue
        del element.attrib[key]


def _length(value: str | None) -> float | None:
    found = _LENGTH.match(value or "")
    return float(found[1]) * _POINTS[found[2]] if found else None


def size(root: ElementTree.Element) -> tuple[float, float]:
    """Width and height in points, by the attributes or the view box; small drawings are shown larger. Raises PAGE_SIZE."""
    box = [_length(part) for part in re.split(r"[\s,]+", root.get("viewBox", "").strip())]
    sides = [_length(root.get("width")), _length(root.get("height"))]
    corner = box[2:] if len(box) == 4 else [None, None]
    width, height = sides[0] or corner[0], sides[1] or corner[1]
    if sides[0] and not sides[1] and corner[0] and corner[1]:
        height = sides[0] * corner[1] / corner[0]
    if not width or not height:
        raise Refusal("PAGE_SIZE", "the drawing does not say how large it is")
    grown = max(1.0, _SMALLEST / min(width, height))
    if max(width, height) * grown > _LARGEST:
        raise Refusal("PAGE_SIZE", "the drawing is too large or too narrow for a page")
    return width * grown, height * grown


def svg_pdf(data: bytes) -> tuple[bytes, dict[str, int]]:
    """One page of an SVG drawing as PDF, and what was removed."""
    root = parsed(data)
    removed = cleaned(root)
    width, height = size(root)
    if root.get("viewBox") is None:
        root.set("viewBox", f"0 0 {width / 0.75} {height / 0.75}")
    root.set("width", f"{width}pt")
    root.set("height", f"{height}pt")
    for text in root.iter(f"{{{SVG}}}text"):
        _spell(text)
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    out = io.BytesIO()
    ElementTree.ElementTree(root).write(out, encoding="utf-8")
    made = drawing_pdf(out.getvalue().decode("utf-8"), width, height)
    return made, {name: count for name, count in sorted(removed.items()) if count}


def _spell(element: ElementTree.Element) -> None:
    for part in element.iter():
        part.text = typesetting.shown(part.text) if part.text else part.text
        part.tail = typesetting.shown(part.tail) if part.tail else part.tail


def drawing_pdf(svg: str, width: float, height: float) -> bytes:
    """A page of a size in points that is filled by a drawing."""
    return typesetting.pages("drawing.typ", svg, width=str(width), height=str(height))
