"""DXF drawings as pages: only what is known to be drawn faithfully, every style in a font that holds Chinese, else a refusal.

A converter that leaves things out in silence is worse than none; so each kind of entity is on the list of those tried, and an
entity that the renderer skips refuses the whole drawing.
"""

import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pikepdf

from watermark import typesetting
from watermark.errors import Refusal

MAX_DXF, MAX_ENTITIES, MAX_DRAWN, MAX_SVG = 64 << 20, 200_000, 400_000, 96 << 20
TESTED = frozenset(
    "LINE CIRCLE ARC ELLIPSE LWPOLYLINE POLYLINE SPLINE POINT SOLID TRACE TEXT MTEXT ATTRIB ATTDEF INSERT HATCH DIMENSION "
    "LEADER 3DFACE VIEWPORT RAY XLINE".split()
)
FONT = "NotoSansSC-Regular.otf"
_MILLIMETRES = {0: 1.0, 1: 25.4, 2: 304.8, 4: 1.0, 5: 10.0, 6: 1000.0, 14: 100.0}
_LONGEST, _SHORTEST, _MARGIN = 841.0, 297.0, 10.0
_POINTS = 72 / 25.4
_INLINE_FONT = re.compile(r"\\[fF][^;]{0,200};")
_SVG_TEXT = re.compile(r"<(?:text|image|script|foreignObject)\b")
_WORDED = ("TEXT", "MTEXT", "ATTRIB", "ATTDEF", "DIMENSION")


def preload() -> None:
    """Bring in the reader and its one font, and draw once; afterwards its own search for fonts finds no other."""
    from ezdxf.fonts import fonts
    from pylopdf_fonts_zh_cn import sans_path

    fonts.font_manager.clear()
    fonts.font_manager.build([str(sans_path().parent)], support_dirs=False)
    document = opened(_sample())
    check(document)
    refont(document)
    list(_pages(document))


def _sample() -> bytes:
    """A drawing with one of each kind that brings code of its own."""
    from ezdxf.filemanagement import new

    document = new("R2000", setup=True)
    space = document.modelspace()
    space.add_text("准备", height=1)
    space.add_mtext("{\\fSimSun;准备}\\P\\U+5EFA", dxfattribs={"char_height": 1, "width": 20})
    space.add_spline([(0, 0), (1, 2), (3, 1), (4, 4)])
    space.add_ellipse((0, 0), (2, 0), 0.5)
    space.add_lwpolyline([(0, 0), (5, 0, 0.5, 0.5), (5, 5)])
    hatch = space.add_hatch()
    hatch.set_pattern_fill("ANSI31", scale=1)
    hatch.paths.add_polyline_path([(0, 0), (5, 0), (5, 5)], is_closed=True)
    space.add_linear_dim(base=(0, -2), p1=(0, 0), p2=(5, 0)).render()
    space.add_blockref("_DOT", (1, 1))
    out = io.StringIO()
    document.write(out)
    return out.getvalue().encode("utf-8")


def opened(data: bytes) -> Any:  # ezdxf's drawings; its own types reach deep.
    """Read a drawing. Raises Refusal BROKEN, BUDGET_BYTES or BUDGET_OBJECTS."""
    from ezdxf import recover
    from ezdxf.lldxf.const import DXFError

    if len(data) > MAX_DXF:
        raise Refusal("BUDGET_BYTES", "the drawing is larger than the budget")
    if data.startswith(b"AutoCAD Binary DXF"):
        raise Refusal("NOT_MARKABLE", "binary DXF is not converted; save it as text DXF or export a PDF")
    try:
        document, auditor = recover.read(io.BytesIO(data))
    except (DXFError, OSError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise Refusal("BROKEN", "the drawing does not parse as DXF") from error
    if auditor.has_errors:
        raise Refusal(
            "NOT_FAITHFUL",
            f"the drawing has {len(auditor.errors)} faults that cannot be repaired; export a PDF",
        )
    if len(document.entitydb) > MAX_ENTITIES:
        raise Refusal("BUDGET_OBJECTS", "the drawing has too many entities")
    return document


def _used(document: Any) -> Iterator[Any]:
    """Every entity that may be drawn: of the layouts, and of the blocks they can insert."""
    for layout in document.layouts:
        yield from layout
    for block in document.blocks:
        if not block.is_any_layout:
            yield from block


def check(document: Any) -> None:
    """Raises Refusal NOT_FAITHFUL with the list of what was not tried, or of what lies outside the file."""
    unknown = sorted({entity.dxftype() for entity in _used(document)} - TESTED)
    if unknown:
        raise Refusal(
            "NOT_FAITHFUL",
            f"not drawn faithfully: {', '.join(unknown[:20])}; export a PDF from the CAD program",
        )
    outside = [block.name for block in document.blocks if block.block is not None and block.block.is_xref]
    if outside:
        raise Refusal(
            "NOT_FAITHFUL", f"the drawing refers to {len(outside)} others; bind them, or export a PDF"
        )


def refont(document: Any) -> None:
    """Every style in the one font: stroke fonts and big fonts have no outlines here, and others are not at hand."""
    for style in document.styles:
        style.dxf.font, style.dxf.bigfont = FONT, ""
        style.discard_extended_font_data()
    for entity in _used(document):
        if entity.dxftype() in _WORDED:
            _reword(entity)
        for attribute in getattr(entity, "attribs", ()):
            _reword(attribute)


def _reword(entity: Any) -> None:
    """Coded characters decoded, inline fonts taken out, what the font lacks spelled out."""
    if entity.dxftype() == "MTEXT":
        entity.text = words(entity.text)
    elif entity.dxf.hasattr("text"):
        entity.dxf.text = words(entity.dxf.text)


def words(text: str) -> str:
    r"""The words as they are to be drawn: \U+5EFA as its character, no font but the product's."""
    from ezdxf.lldxf import encoding

    if _garbled(text):
        raise Refusal("NOT_FAITHFUL", "the drawing's words do not fit the code page it names; export a PDF")
    decoded = encoding.decode_dxf_unicode(text) if encoding.has_dxf_unicode(text) else text
    return typesetting.shown(_INLINE_FONT.sub("", decoded))


def _garbled(text: str) -> bool:
    """Whether Chinese was read by a western code page: pairs of high letters that are Han characters in GBK."""
    runs = re.findall(r"[\u0080-\u02ff\u2010-\u2122]{2,}", text)
    try:
        read = "".join(runs).encode("cp1252").decode("gbk")
    except UnicodeError:
        return False
    return len(read) >= 2 and all(
        "\u4e00" <= char <= "\u9fff" or "\u3000" <= char <= "\u303f" for char in read
    )


def _frontend(document: Any) -> tuple[Any, Any]:
    """A renderer that refuses what it would otherwise skip, and one that counts what it draws."""
    from ezdxf.addons.drawing import config, svg
    from ezdxf.addons.drawing.frontend import Frontend
    from ezdxf.addons.drawing.properties import RenderContext

    class Strict(Frontend):
        drawn = 0

        def draw_entity(self, entity: Any, properties: Any) -> None:
            self.drawn += 1
            if self.drawn > MAX_DRAWN:
                raise Refusal("BUDGET_OBJECTS", "the drawing's blocks unfold to too many entities")
            super().draw_entity(entity, properties)

        def skip_entity(self, entity: Any, msg: str) -> None:
            if msg != "invisible":
                raise Refusal("NOT_FAITHFUL", f"{entity.dxftype()} cannot be drawn: {msg}; export a PDF")

    chosen = config.Configuration(
        background_policy=config.BackgroundPolicy.WHITE,
        proxy_graphic_policy=config.ProxyGraphicPolicy.IGNORE,
        image_policy=config.ImagePolicy.IGNORE,
        max_flattening_distance=0.05,
    )
    backend = svg.SVGBackend()
    return Strict(RenderContext(document), backend, config=chosen), backend


def _page(document: Any, layout: Any) -> tuple[str, float, float] | None:
    """A layout as SVG with its width and height in points; None when nothing is drawn on it."""
    from ezdxf.addons.drawing import layout as paper

    frontend, backend = _frontend(document)
    frontend.draw_layout(layout)
    bounds = backend.player().bbox()
    if not bounds.has_data:
        return None
    unit = _MILLIMETRES.get(document.units, 1.0)
    width, height = (max(float(side) * unit, 0.001) for side in (bounds.size.x, bounds.size.y))
    scale = min(1.0, _LONGEST / max(width, height)) * max(1.0, _SHORTEST / max(width, height))
    sides = [max(side * scale, _SHORTEST / 4) + 2 * _MARGIN for side in (width, height)]
    page = paper.Page(sides[0], sides[1], paper.Units.mm, paper.Margins.all(_MARGIN))
    text = backend.get_string(page, settings=paper.Settings(fit_page=True))
    if len(text) > MAX_SVG:
        raise Refusal("BUDGET_BYTES", "the drawing unfolds to more than the budget")
    if _SVG_TEXT.search(text):
        raise Refusal("NOT_FAITHFUL", "the drawing holds what is not drawn as lines; export a PDF")
    return text, sides[0] * _POINTS, sides[1] * _POINTS


def _pages(document: Any) -> Iterable[tuple[str, float, float]]:
    for layout in document.layouts:
        paper_only = [entity for entity in layout if entity.dxftype() != "VIEWPORT"]
        if layout.is_modelspace or paper_only:
            page = _page(document, layout)
            if page is not None:
                yield page


def dxf_pdf(data: bytes) -> bytes:
    """The drawing's layouts as pages of a PDF. Raises Refusal, NOT_FAITHFUL with the list for what cannot be drawn."""
    document = opened(data)
    check(document)
    refont(document)
    with pikepdf.Pdf.new() as pdf:
        for svg, width, height in _pages(document):
            from watermark.vectors import drawing_pdf

            with pikepdf.Pdf.open(io.BytesIO(drawing_pdf(svg, width, height))) as one:
                pdf.pages.extend(one.pages)
        if not len(pdf.pages):
            raise Refusal("NOT_FAITHFUL", "nothing is drawn on the drawing's sheets")
        out = io.BytesIO()
        pdf.save(out, deterministic_id=True)
        return out.getvalue()
