"""The mark on PDF pages: glyph outlines as Form XObjects above the contents, one form for each page geometry."""

import io
import zlib
from dataclasses import dataclass, field

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf, String

from watermark import layout, outlines
from watermark.geometry import Geometry
from watermark.mark import Mark
from watermark.report import PageReport

_FOOTER_INK, _BAND = 0.8, 0.65  # Opacity of the footer's words and of the paper under them.


def save(pdf: Pdf) -> bytes:
    """Write without touching a stream: qpdf's defaults decode and recompress, which a deflate bomb turns into minutes."""
    out = io.BytesIO()
    pdf.save(
        out,
        compress_streams=False,
        stream_decode_level=pikepdf.StreamDecodeLevel.none,
        object_stream_mode=pikepdf.ObjectStreamMode.disable,
        min_version="1.7",
        fix_metadata_version=False,
        deterministic_id=True,
    )
    return out.getvalue()


@dataclass
class Stamper:
    """Puts one mark on pages of one document; forms are made once for each geometry and shared."""

    pdf: Pdf
    mark: Mark
    words: layout.Words
    _block: pikepdf.Object | None = None
    _forms: dict[Geometry, pikepdf.Object] = field(default_factory=dict)

    def stamp(self, page: pikepdf.Page, geometry: Geometry) -> None:
        """Draw the mark last, in a graphics state of its own. The page's contents must be isolated already."""
        page.obj.Resources.XObject["/Mark"] = self.form(geometry)
        before = page.obj.Contents.read_bytes()
        page.obj.Contents = self.pdf.make_stream(before + b"q /Mark Do Q\n")

    def form(self, geometry: Geometry) -> pikepdf.Object:
        """The mark for a geometry as a Form XObject in the page's user space."""
        if geometry not in self._forms:
            self._forms[geometry] = self._made(geometry)
        return self._forms[geometry]

    def _made(self, geometry: Geometry) -> pikepdf.Object:
        view = geometry.view
        foot = layout.footer(view, self.words.footer)
        resources = Dictionary(
            XObject=Dictionary(T=self._tile(), F=self._outline(foot.block)),
            ExtGState=Dictionary(
                Dark=_opacity(self.mark.opacity),
                Light=_opacity(1.4 * self.mark.opacity),
                Ink=_opacity(_FOOTER_INK),
                Band=_opacity(_BAND),
            ),
        )
        operators = [_numbers(geometry.matrix) + " cm", *self._tiles(view), *self._footer(view, foot)]
        return self._stream("\n".join(operators), geometry.visible, resources)

    def _tile(self) -> pikepdf.Object:
        if self._block is None:
            self._block = self._outline(self.words.tile)
        return self._block

    def _outline(self, block: layout.Block) -> pikepdf.Object:
        margin = outlines.EM
        bounds = (-margin, -margin, block.width + margin, block.height + margin)
        return self._stream(block.path + "\nf", bounds, Dictionary())

    def _stream(self, text: str, bounds: tuple[float, ...], resources: Dictionary) -> pikepdf.Object:
        form = self.pdf.make_stream(b"")
        form.write(zlib.compress(text.encode("ascii"), 6), filter=Name.FlateDecode)
        form.Type, form.Subtype, form.BBox, form.Resources = Name.XObject, Name.Form, Array(bounds), resources
        return form

    def _tiles(self, view: tuple[float, float]) -> list[str]:
        """Every tile twice: light and a little aside, then dark; so it shows on dark photos as on white paper."""
        size = layout.tile_size(view, self.words.tile)
        matrices = list(layout.tiles(view, self.words.tile, size))
        shift = 0.055 * size
        moved = [(*m[:4], m[4] + shift, m[5] - shift) for m in matrices]
        operators = ["q /Light gs 1 g", *[f"q {_numbers(m)} cm /T Do Q" for m in moved], "Q"]
        return [*operators, "q /Dark gs 0 g", *[f"q {_numbers(m)} cm /T Do Q" for m in matrices], "Q"]

    def _footer(self, view: tuple[float, float], foot: layout.Footer) -> list[str]:
        return [
            f"q /Band gs 1 g 0 0 {view[0]:.3f} {foot.height:.3f} re f Q",
            f"q /Ink gs 0.15 g {_numbers(foot.place(view))} cm /F Do Q",
        ]


def _opacity(value: float) -> Dictionary:
    return Dictionary(
        Type=Name.ExtGState,
        ca=value,
        CA=value,
        BM=Name.Normal,
        SMask=Name("/None"),
        AIS=False,
        op=False,
        OP=False,
    )


def _numbers(matrix: tuple[float, ...]) -> str:
    return " ".join(f"{value:.6f}".rstrip("0").rstrip(".") for value in matrix)


def stamp_all(pdf: Pdf, geometries: tuple[Geometry, ...], mark: Mark, words: layout.Words) -> None:
    """Mark every page of a rebuilt document, and say the copy number in its information dictionary."""
    pdf.trailer.Info = pdf.make_indirect(
        Dictionary(Title=String(mark.copy_number), Producer=String("SealGate"))
    )
    stamper = Stamper(pdf, mark, words)
    for page, geometry in zip(pdf.pages, geometries, strict=True):
        stamper.stamp(page, geometry)


def reports(geometries: tuple[Geometry, ...], marked: bool) -> tuple[PageReport, ...]:
    """One line of the coverage report for each page."""
    return tuple(
        PageReport(
            number,
            round(geometry.size[0], 3),
            round(geometry.size[1], 3),
            geometry.rotation,
            geometry.user_unit,
            marked,
        )
        for number, geometry in enumerate(geometries, start=1)
    )
