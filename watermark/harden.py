"""The hardened profile: every page becomes one picture with the mark blended in, so that nothing can be lifted off.

Taking the mark out then harms the picture; text can no longer be searched. Pages of black and white stay so, as CCITT Group 4
with the mark in dots; all others are JPEG.
"""

import io
from contextlib import closing
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf
from PIL import Image, TiffImagePlugin

from watermark import stamp, verify
from watermark.errors import Refusal
from watermark.geometry import Geometry
from watermark.profiles import Profile

MAX_PAGE_PIXELS = 60_000_000
MAX_PIXELS = 6_000_000_000
MAX_BYTES = 400 << 20
_QUALITIES = (85, 75, 62)
_BILEVEL = 0.997  # Share of pixels at the ends of the scale that makes a page one of black and white.


def harden(
    unmarked: bytes, marked: bytes, geometries: tuple[Geometry, ...], profile: Profile, title: str
) -> bytes:
    """A document of pictures from a marked one; `unmarked` tells which pages were black and white.

    Pages are as large as they were seen. Raises Refusal BUDGET_PIXELS or BUDGET_BYTES.
    """
    with (
        closing(verify.open_document(unmarked)) as plain,
        closing(verify.open_document(marked)) as last,
        Pdf.new() as pdf,
    ):
        pixels = size = 0
        for index, geometry in enumerate(geometries):
            with closing(plain[index]) as before, closing(last[index]) as after:
                scale = _scale(geometry.view, profile.dpi)
                pixels += int(geometry.view[0] * scale) * int(geometry.view[1] * scale)
                if pixels > MAX_PIXELS:
                    raise Refusal(
                        "BUDGET_PIXELS", "the pages make too many pixels at the profile's resolution"
                    )
                picture = _picture(pdf, before, after, scale, MAX_BYTES // len(geometries))
            size += len(picture.read_raw_bytes())
            if size > MAX_BYTES:
                raise Refusal("BUDGET_BYTES", "the pages as pictures are larger than the budget")
            _add(pdf, picture, geometry.view, geometry.user_unit)
        stamp.titled(pdf, title)
        return stamp.save(pdf)


def _scale(view: tuple[float, float], dpi: int) -> float:
    """Pixels per point: the profile's, less on sheets that would be too large."""
    return min(dpi / 72, float((MAX_PAGE_PIXELS / (view[0] * view[1])) ** 0.5))


def _picture(pdf: Pdf, before: Any, after: Any, scale: float, share: int) -> pikepdf.Object:
    drawn = verify.draw(after, scale, grey=False)
    coloured = _jpeg(drawn, share)
    if not _bilevel(verify.draw(before, scale)):
        return _stream(pdf, drawn.size, coloured, Name.DCTDecode, Name.DeviceRGB, 8)
    dots = _group4(drawn.convert("1"))
    if len(dots) >= len(coloured):
        return _stream(pdf, drawn.size, coloured, Name.DCTDecode, Name.DeviceRGB, 8)
    made = _stream(pdf, drawn.size, dots, Name.CCITTFaxDecode, Name.DeviceGray, 1)
    made.DecodeParms = Dictionary(K=-1, Columns=drawn.width, Rows=drawn.height, BlackIs1=True)
    return made


def _bilevel(page: Image.Image) -> bool:
    counts = page.histogram()
    return sum(counts[:8]) + sum(counts[248:]) >= _BILEVEL * page.width * page.height and sum(counts[:8]) > 0


def _jpeg(picture: Image.Image, share: int) -> bytes:
    """As good as fits into a page's share of the budget."""
    data = b""
    for quality in _QUALITIES:
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=quality, subsampling=0)
        data = out.getvalue()
        if len(data) <= share:
            break
    return data


def _group4(picture: Image.Image) -> bytes:
    """CCITT Group 4 data of a picture of one bit: the one strip of a TIFF."""
    out = io.BytesIO()
    picture.save(out, "TIFF", compression="group4", tiffinfo={278: picture.height})
    with Image.open(out, formats=["TIFF"]) as tiff:
        assert isinstance(tiff, TiffImagePlugin.TiffImageFile)
        offsets, counts = tiff.tag_v2[273], tiff.tag_v2[279]
    return b"".join(out.getvalue()[at : at + count] for at, count in zip(offsets, counts, strict=True))


def _stream(
    pdf: Pdf, size: tuple[int, int], data: bytes, filter_: Name, space: Name, bits: int
) -> pikepdf.Object:
    made = pdf.make_stream(b"")
    made.write(data, filter=filter_)
    made.Type, made.Subtype, made.Width, made.Height = Name.XObject, Name.Image, *size
    made.ColorSpace, made.BitsPerComponent = space, bits
    return made


def _add(pdf: Pdf, picture: pikepdf.Object, view: tuple[float, float], unit: float) -> None:
    """One upright page that the picture fills, in the source's own units."""
    width, height = view[0] / unit, view[1] / unit
    page = Dictionary(
        Type=Name.Page,
        MediaBox=Array([0, 0, width, height]),
        Resources=Dictionary(XObject=Dictionary(P=picture)),
        Contents=pdf.make_stream(f"q {width:.4f} 0 0 {height:.4f} 0 0 cm /P Do Q\n".encode()),
    )
    if unit != 1:
        page.UserUnit = unit
    pdf.pages.append(pikepdf.Page(pdf.make_indirect(page)))


def marked_and_hardened(
    source: bytes,
    unmarked: bytes,
    marked: bytes,
    geometries: tuple[Geometry, ...],
    profile: Profile,
    title: str,
) -> bytes:
    """Harden a marked document and draw every page of the result to check it, as for every output that was not prepared.

    Raises Refusal MARK_NOT_SEEN, BROKEN or a budget's.
    """
    made = harden(unmarked, marked, geometries, profile, title)
    verify.check_seen(source, unmarked, made, profile)
    return made
