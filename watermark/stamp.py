"""The mark on PDF pages: glyph outlines as Form XObjects above the contents, one form for each page geometry."""

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf, String

from watermark import layout
from watermark.geometry import Geometry
from watermark.mark import Mark
from watermark.outlines import EM
from watermark.profiles import VECTOR, Profile
from watermark.report import PageReport

_FOOTER_INK, _BAND = 0.8, 0.65  # Opacity of the footer's words and of the paper under them.
DRAWN = b"q /Mark Do Q\n"


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


Filling = Callable[[str], pikepdf.Object]


@dataclass
class Forms:
    """The forms of a mark in one document: the places' own, made by `fill`, and one for each geometry, shared by its pages."""

    pdf: Pdf
    profile: Profile
    fill: Filling
    places: dict[str, pikepdf.Object] = field(default_factory=dict)
    made: dict[Geometry, pikepdf.Object] = field(default_factory=dict)
    contents: dict[bytes, pikepdf.Object] = field(default_factory=dict)

    def stamp(self, page: pikepdf.Page, geometry: Geometry) -> None:
        """Draw the mark last, in a graphics state of its own. The page's contents must be isolated already."""
        page.obj.Resources.XObject["/Mark"] = self.form(geometry)
        drawn = page.obj.Contents.read_bytes() + DRAWN
        if drawn not in self.contents:
            self.contents[drawn] = self.pdf.make_stream(drawn)
        page.obj.Contents = self.contents[drawn]

    def form(self, geometry: Geometry) -> pikepdf.Object:
        """The mark for a geometry as a Form XObject in the page's user space."""
        if geometry not in self.made:
            self.made[geometry] = self._made(geometry)
        return self.made[geometry]

    def _made(self, geometry: Geometry) -> pikepdf.Object:
        drawn, names = layout.operators(geometry.view, self.profile)
        resources = Dictionary(
            XObject=Dictionary({f"/{name}": self._place(name) for name in names}),
            ExtGState=Dictionary(
                Dark=_opacity(self.profile.opacity),
                Light=_opacity(1.4 * self.profile.opacity),
                Ink=_opacity(_FOOTER_INK),
                Band=_opacity(_BAND),
            ),
        )
        text = "\n".join([layout.numbers(geometry.matrix) + " cm", *drawn])
        form = self.pdf.make_stream(b"")
        form.write(zlib.compress(text.encode("ascii"), 6), filter=Name.FlateDecode)
        return dressed(form, geometry.visible, resources)

    def _place(self, name: str) -> pikepdf.Object:
        if name not in self.places:
            self.places[name] = dressed(self.fill(name), bounds(name), Dictionary())
        return self.places[name]


def dressed(form: pikepdf.Object, box: tuple[float, ...], resources: Dictionary) -> pikepdf.Object:
    """A stream as a Form XObject."""
    form.Type, form.Subtype, form.BBox, form.Resources = Name.XObject, Name.Form, Array(box), resources
    return form


def bounds(name: str) -> tuple[float, float, float, float]:
    """A place's box with an em of room around it for glyphs that reach out of their line."""
    if name == layout.CODE:
        return 0.0, 0.0, EM, EM
    place = layout.PLACES[name]
    return -EM, -EM, (place.width + 1) * EM, (place.height + 1) * EM


class Stamper(Forms):
    """Puts one recipient's mark on pages of one document."""

    def __init__(self, pdf: Pdf, mark: Mark, words: layout.Words, profile: Profile = VECTOR) -> None:
        super().__init__(pdf, profile.with_opacity(mark.opacity), self._filled)
        self.words = words

    def _filled(self, name: str) -> pikepdf.Object:
        form = self.pdf.make_stream(b"")
        form.write(zlib.compress(self.words.fill(name), 6), filter=Name.FlateDecode)
        return form


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


def titled(pdf: Pdf, title: str) -> None:
    """The information dictionary of what leaves: a title and the product's name, nothing else."""
    pdf.trailer.Info = pdf.make_indirect(Dictionary(Title=String(title), Producer=String("SealGate")))


def stamp_all(
    pdf: Pdf, geometries: tuple[Geometry, ...], mark: Mark, words: layout.Words, profile: Profile = VECTOR
) -> None:
    """Mark every page of a rebuilt document, and say the copy number in its information dictionary."""
    titled(pdf, mark.copy_number)
    stamper = Stamper(pdf, mark, words, profile)
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
