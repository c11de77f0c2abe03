"""Features of PDF on twelve page geometries, marked in six scripts: no page without its mark, no active key left."""

import io
import os
import zlib
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pikepdf
import pypdfium2
import pytest
from pikepdf import Array, Dictionary, Name, Pdf, String
from PIL import Image

from watermark import sanitize, stamp, verify
from watermark.mark import Mark
from watermark.prepared import build
from watermark.prepared.format import Kind
from watermark.prepared.issue import issue
from watermark.profiles import VECTOR

KEY = "K7QF-M2XN-ABCD-EFGH-2345"
NUMBER = "SG01-KH·2026·SJ-0001-003_F0001"
GEOMETRIES: tuple[dict[str, Any], ...] = (
    {"size": (420, 595)},
    {"size": (595, 842)},
    {"size": (595, 842), "Rotate": 90},
    {"size": (842, 595), "Rotate": 180},
    {"size": (595, 842), "Rotate": 270},
    {"size": (842, 1191)},
    {"size": (1684, 1191)},
    {"size": (2384, 3370)},
    {"size": (300, 421), "UserUnit": 2},
    {"size": (900, 1100), "CropBox": (100, 120, 700, 960)},
    {"size": (900, 1100), "CropBox": (100, 120, 700, 960), "Rotate": 90},
    {"size": (200, 900)},
)
SCRIPTS = {
    "Han": "示例建材供应商 联系人𠮷",
    "Latin": "Łódź Supplier x\u0301",
    "Arabic": "شركة المثال 12",
    "Thai": "บริษัทตัวอย่าง",
    "Hangul": "예시 자재 공급사",
    "Cyrillic": "Пример Поставщик",
}
ACTIVE = {
    "/JavaScript",
    "/JS",
    "/OpenAction",
    "/AA",
    "/A",
    "/Launch",
    "/EmbeddedFiles",
    "/EmbeddedFile",
    "/XFA",
    "/AcroForm",
}
ACTIVE |= {
    "/RichMedia",
    "/Annots",
    "/PieceInfo",
    "/Thumb",
    "/Names",
    "/Outlines",
    "/AF",
    "/URI",
    "/SubmitForm",
}


def _form(pdf: Pdf, content: bytes, **keys: Any) -> pikepdf.Object:
    form = pdf.make_stream(content)
    form.Type, form.Subtype, form.BBox = Name.XObject, Name.Form, Array([0, 0, 400, 400])
    for key, value in keys.items():
        form[f"/{key}"] = value
    return form


def _image(pdf: Pdf, **keys: Any) -> pikepdf.Object:
    picture = pdf.make_stream(bytes(range(256)) * 16)
    picture.Type, picture.Subtype, picture.Width, picture.Height = Name.XObject, Name.Image, 64, 64
    picture.BitsPerComponent, picture.ColorSpace = 8, Name.DeviceGray
    for key, value in keys.items():
        picture[f"/{key}"] = value
    return picture


def _annotated(pdf: Pdf, page: pikepdf.Object) -> None:
    look = _form(pdf, b"1 0 0 rg 0 0 400 400 re f")
    action = Dictionary(S=Name.JavaScript, JS=String("app.alert(1)"))
    page.Annots = Array(
        [
            Dictionary(
                Type=Name.Annot, Subtype=kind, Rect=Array([50, 50, 90, 90]), AP=Dictionary(N=look), A=action
            )
            for kind in (Name.Stamp, Name.Link, Name.FreeText, Name.FileAttachment, Name.Screen)
        ]
    )


def _fielded(pdf: Pdf, page: pikepdf.Object) -> None:
    field = pdf.make_indirect(
        Dictionary(Type=Name.Annot, Subtype=Name.Widget, FT=Name.Tx, T=String("f"), V=String("value"),
                   Rect=Array([50, 50, 150, 70]), DA=String("/Helv 12 Tf 0 g"), AA=Dictionary())
    )  # fmt: skip
    page.Annots = Array([field])
    if "/AcroForm" not in pdf.Root:
        pdf.Root.AcroForm = Dictionary(Fields=Array([]), XFA=pdf.make_stream(b"<xdp/>"))
    pdf.Root.AcroForm.Fields.append(field)


def _active(pdf: Pdf, page: pikepdf.Object) -> None:
    pdf.Root.OpenAction = Dictionary(S=Name.Launch, F=String("calc.exe"))
    pdf.Root.Names = Dictionary(
        JavaScript=Dictionary(Names=Array([String("x"), Dictionary(S=Name.JavaScript, JS=String("1"))])),
        EmbeddedFiles=Dictionary(Names=Array([])),
    )
    page.AA = Dictionary(O=Dictionary(S=Name.URI, URI=String("http://example.cn/")))
    page.PieceInfo, page.Thumb = Dictionary(), _image(pdf)


def _layered(pdf: Pdf, page: pikepdf.Object) -> None:
    group = pdf.make_indirect(Dictionary(Type=Name.OCG, Name=String("Layer")))
    pdf.Root.OCProperties = Dictionary(
        OCGs=Array([group]), D=Dictionary(ON=Array([group]), Order=Array([group]))
    )
    page.Resources.Properties = Dictionary(L=group)
    page.Contents = pdf.make_stream(b"/OC /L BDC 0.5 g 20 20 150 150 re f EMC")


def _transparent(pdf: Pdf, page: pikepdf.Object) -> None:
    page.Group = Dictionary(S=Name.Transparency, CS=Name.DeviceRGB, I=True, K=False)
    mask = _form(pdf, b"0.5 g 0 0 400 400 re f", Group=Dictionary(S=Name.Transparency, CS=Name.DeviceGray))
    page.Resources.ExtGState = Dictionary(
        G=Dictionary(ca=0.5, BM=Name.Multiply, SMask=Dictionary(S=Name.Luminosity, G=mask))
    )
    page.Contents = pdf.make_stream(b"/G gs 0 0 1 rg 20 20 300 300 re f")


def _shaded(pdf: Pdf, page: pikepdf.Object) -> None:
    function = Dictionary(FunctionType=2, Domain=Array([0, 1]), C0=Array([1, 0, 0]), C1=Array([0, 0, 1]), N=1)
    page.Resources.Shading = Dictionary(
        S=Dictionary(
            ShadingType=2, ColorSpace=Name.DeviceRGB, Coords=Array([0, 0, 400, 400]), Function=function
        )
    )
    page.Contents = pdf.make_stream(b"q 0 0 400 400 re W n /S sh Q")


def _pictured(pdf: Pdf, page: pikepdf.Object) -> None:
    jpeg = io.BytesIO()
    Image.effect_noise((64, 64), 80).save(jpeg, "JPEG")
    photo = _image(pdf)
    photo.write(jpeg.getvalue(), filter=Name.DCTDecode)
    palette = Array([Name.Indexed, Name.DeviceRGB, 255, String(bytes(range(256)) * 3)])
    page.Resources.XObject = Dictionary(A=photo, B=_image(pdf, ColorSpace=palette, SMask=_image(pdf)))
    page.Contents = pdf.make_stream(b"q 150 0 0 150 20 20 cm /A Do Q q 90 0 0 90 40 200 cm /B Do Q")


def _in_pieces(pdf: Pdf, page: pikepdf.Object) -> None:
    pieces = (b"q 1 0 0 1 30", b" 30 cm 0.2 g 0 0 90 90 re", b"f Q Q Q")
    page.Contents = Array(
        [pdf.make_stream(zlib.compress(piece), Filter=Name.FlateDecode) for piece in pieces]
    )


def _inline(pdf: Pdf, page: pikepdf.Object) -> None:
    page.Contents = pdf.make_stream(
        b"q 90 0 0 90 30 30 cm BI /W 4 /H 4 /BPC 8 /CS /G ID " + bytes(range(0, 256, 16)) + b" EI Q q q q"
    )


def _dark(pdf: Pdf, page: pikepdf.Object) -> None:
    page.Contents = pdf.make_stream(b"0.05 g 0 0 4000 4000 re f")


def _type3(pdf: Pdf, page: pikepdf.Object) -> None:
    glyph = pdf.make_stream(b"600 0 0 0 500 500 d1 0 0 500 500 re f")
    page.Resources.Font.T = Dictionary(
        Type=Name.Font, Subtype=Name.Type3, FontBBox=Array([0, 0, 600, 600]), FontMatrix=Array([0.001, 0, 0, 0.001, 0, 0]),
        CharProcs=Dictionary(a=glyph), Encoding=Dictionary(Type=Name.Encoding, Differences=Array([97, Name.a])),
        FirstChar=97, LastChar=97, Widths=Array([600]), Resources=Dictionary(),
    )  # fmt: skip
    page.Contents = pdf.make_stream(b"BT /T 40 Tf 40 60 Td (aaa) Tj 3 Tr ET")


Feature = Callable[[Pdf, pikepdf.Object], None]
FEATURES: dict[str, Feature] = {
    "plain": lambda pdf, page: None,
    "annotations": _annotated,
    "fields": _fielded,
    "active": _active,
    "layers": _layered,
    "transparency": _transparent,
    "shading": _shaded,
    "pictures": _pictured,
    "pieces": _in_pieces,
    "inline picture": _inline,
    "dark": _dark,
    "type 3 font": _type3,
}


def _document(feature: Feature) -> bytes:
    with Pdf.new() as pdf:
        font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
        for geometry in GEOMETRIES:
            pdf.add_blank_page(page_size=geometry["size"])
            page = pdf.pages[-1].obj
            page.Resources = Dictionary(Font=Dictionary(F=font))
            page.Contents = pdf.make_stream(b"BT /F 20 Tf 120 200 Td (Drawing) Tj ET")
            for key, value in geometry.items():
                if key != "size":
                    page[f"/{key}"] = Array(value) if isinstance(value, tuple) else value
            feature(pdf, page)
        out = io.BytesIO()
        pdf.save(out, object_stream_mode=pikepdf.ObjectStreamMode.generate)
        return out.getvalue()


def _unmarked(source: bytes) -> bytes:
    with sanitize.open_pdf(source) as pdf, sanitize.rebuild(pdf).pdf as rebuilt:
        return stamp.save(rebuilt)


def _copy(prepared: int, words: str) -> bytes:
    out = os.memfd_create("copy")
    try:
        issue(prepared, Mark((words, f"{NUMBER} 2026-11-23"), NUMBER), KEY, out, kind="pdf")
        return os.pread(out, os.lseek(out, 0, os.SEEK_END), 0)
    finally:
        os.close(out)


def _every_page_is_marked(unmarked: bytes, copy: bytes) -> None:
    with (
        closing(pypdfium2.PdfDocument(unmarked)) as before,
        closing(pypdfium2.PdfDocument(copy, password=KEY)) as after,
    ):
        assert len(before) == len(after) == len(GEOMETRIES)
        for index in range(len(before)):
            scale = 500 / max(after.get_page_size(index))
            pictures = verify.draw(before[index], scale), verify.draw(after[index], scale)
            assert verify.regions_seen(*pictures, verify.threshold(0.12)) >= verify.NEEDED, index


def _nothing_is_active(copy: bytes) -> None:
    with pikepdf.open(io.BytesIO(copy), password=KEY) as pdf:
        for item in pdf.objects:
            if isinstance(item, pikepdf.Stream | Dictionary):
                assert not ACTIVE & set(item.keys())


def _tried(name: str, scripts: list[str]) -> None:
    source = _document(FEATURES[name])
    unmarked = _unmarked(source)
    prepared = os.memfd_create("prepared")
    try:
        build.prepare(source, VECTOR, Kind.R6).write(prepared)
        for script in scripts:
            copy = _copy(prepared, SCRIPTS[script])
            _every_page_is_marked(unmarked, copy)
            _nothing_is_active(copy)
    finally:
        os.close(prepared)


@pytest.mark.parametrize(("name", "script"), [("active", "Arabic"), ("transparency", "Thai")])
def test_no_page_goes_without_its_mark(name: str, script: str) -> None:
    """Some features on every geometry; all of them in all scripts in the long run below."""
    _tried(name, [script])


@pytest.mark.soak
@pytest.mark.parametrize("name", FEATURES)
def test_no_page_goes_without_its_mark_in_any_script(name: str) -> None:
    _tried(name, list(SCRIPTS))
