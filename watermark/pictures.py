"""A PDF that pikepdf cannot repair but pdfium can show: each page as a picture, and said so in the report."""

import io
from contextlib import closing

import pikepdf
import pypdfium2
from pikepdf import Array, Dictionary, Name, Pdf
from PIL import Image

from watermark import verify
from watermark.errors import Refusal

DPI = 200
MAX_PAGES, MAX_PIXELS, MAX_ALL = 500, 60_000_000, 1_200_000_000
_LARGEST = 14_400.0


def count(data: bytes, password: str = "") -> int:
    """How many pages pdfium can show of a file that pikepdf cannot repair. Raises Refusal BROKEN."""
    try:
        with closing(pypdfium2.PdfDocument(data, password=password or None)) as document:
            pages = len(document)
            for index in range(min(pages, MAX_PAGES)):
                document[index].close()
    except pypdfium2.PdfiumError as error:
        raise Refusal("BROKEN", "the file does not parse as a PDF, and cannot be drawn either") from error
    if not pages:
        raise Refusal("BROKEN", "the file has no page")
    return pages


def drawn_pdf(data: bytes, password: str = "") -> bytes:
    """Every page as a JPEG of 200 dpi on a page of its size. Raises Refusal BROKEN, ENCRYPTED, BUDGET_PAGES or BUDGET_PIXELS."""
    try:
        document = pypdfium2.PdfDocument(data, password=password or None)
    except pypdfium2.PdfiumError as error:
        raise Refusal("BROKEN", "the file does not parse as a PDF, and cannot be drawn either") from error
    with closing(document), Pdf.new() as made:
        if not 0 < len(document) <= MAX_PAGES:
            raise Refusal(
                "BUDGET_PAGES" if len(document) else "BROKEN", "the file has no page, or too many to draw"
            )
        left = MAX_ALL
        for index in range(len(document)):
            left -= _page(document, index, made, left)
        out = io.BytesIO()
        made.save(out, deterministic_id=True)
        return out.getvalue()


def _page(document: object, index: int, made: Pdf, left: int) -> int:
    """Append one page; gives its number of pixels."""
    try:
        with closing(document[index]) as page:  # type: ignore[index]  # pypdfium2 ships no types.
            width, height = page.get_size()
            scale, pixels = DPI / 72, int(width * height * (DPI / 72) ** 2)
            if not 0 < min(width, height) <= max(width, height) <= _LARGEST or pixels > min(MAX_PIXELS, left):
                raise Refusal("BUDGET_PIXELS", f"page {index + 1} is too large to be drawn")
            picture = verify.draw(page, scale, grey=False)
    except pypdfium2.PdfiumError as error:
        raise Refusal("BROKEN", f"page {index + 1} cannot be drawn") from error
    add_picture(made, picture, (width, height))
    return pixels


def add_picture(made: Pdf, picture: Image.Image, size: tuple[float, float]) -> None:
    """A page of a size in points that holds one picture and nothing else."""
    encoded = io.BytesIO()
    picture.convert("RGB").save(encoded, "JPEG", quality=88)
    image = made.make_stream(b"")
    image.write(encoded.getvalue(), filter=Name.DCTDecode)
    image.Type, image.Subtype, image.Width, image.Height = (
        Name.XObject,
        Name.Image,
        picture.width,
        picture.height,
    )
    image.ColorSpace, image.BitsPerComponent = Name.DeviceRGB, 8
    page = made.make_indirect(
        Dictionary(
            Type=Name.Page,
            MediaBox=Array([0, 0, *size]),
            Resources=Dictionary(XObject=Dictionary(P=image)),
            Contents=made.make_stream(f"q {size[0]} 0 0 {size[1]} 0 0 cm /P Do Q".encode()),
        )
    )
    made.pages.append(pikepdf.Page(page))
