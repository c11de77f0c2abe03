"""The mark on images: the same page of outlines, drawn by pdfium and blended into every frame."""

import io
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from pikepdf import Dictionary, Name, Pdf
from PIL import Image, ImageChops, ImageOps, ImageStat, TiffImagePlugin

from watermark import layout, verify
from watermark.errors import Refusal
from watermark.geometry import Geometry
from watermark.mark import Mark
from watermark.report import PageReport
from watermark.stamp import Stamper, save

MAX_FRAME = 160_000_000  # Pixels of one frame,
MAX_PIXELS = 1_200_000_000  # and of all frames together.
MAX_FRAMES = 500
SMALLEST_SIDE = 128
FORMATS = {"jpeg": "JPEG", "png": "PNG", "tiff": "TIFF", "webp": "WEBP", "bmp": "BMP", "gif": "GIF"}
# Formats that hold no metadata, or too few colours for a mark, leave as PNG, which loses nothing.
BECOMES = {"bmp": "png", "gif": "png"}
_A4 = 708.0  # Geometric mean of A4's sides in points.
_LEAST_EM = 9.0 / 11.0  # Pixels per point that keep a letter readable.
_MAX_PROFILE = 4 << 20
_CLOSE = 8.0  # Mean grey levels by which a lossy format may miss what was meant.
_AS_IS = frozenset({"L", "RGB", "RGBA", "CMYK"})
_CONVERTED = {
    "1": "L",
    "LA": "RGBA",
    "La": "RGBA",
    "PA": "RGBA",
    "RGBa": "RGBA",
    "RGBX": "RGB",
    "YCbCr": "RGB",
    "LAB": "RGB",
    "HSV": "RGB",
}


@dataclass(frozen=True, slots=True)
class Opened:
    """A decoded image file: Pillow's image, the product's name of its kind, and its number of frames."""

    image: Image.Image
    code: str
    frames: int


def open_image(data: bytes, code: str) -> Opened:
    """Open an image as one named format only. Raises Refusal BROKEN, BUDGET_PIXELS, BUDGET_PAGES or ANIMATED."""
    Image.MAX_IMAGE_PIXELS = None  # The budgets below replace Pillow's, which only warns at first.
    try:
        image = Image.open(
            io.BytesIO(data), formats=[FORMATS[code], "MPO"] if code == "jpeg" else [FORMATS[code]]
        )
        frames = int(getattr(image, "n_frames", 1))
    except Exception as error:
        raise Refusal("BROKEN", "the image does not decode") from error
    if image.width * image.height > MAX_FRAME:
        raise Refusal("BUDGET_PIXELS", "the image has too many pixels")
    if frames > MAX_FRAMES:
        raise Refusal("BUDGET_PAGES", f"the image has more than {MAX_FRAMES} frames")
    if frames > 1 and code not in ("tiff", "jpeg"):
        raise Refusal("ANIMATED", "the image is animated; ask for a still picture or a PDF")
    return Opened(image, code, 1 if code == "jpeg" else frames)


def frames(opened: Opened, removed: Counter[str]) -> Iterator[Image.Image]:
    """Every frame decoded, turned upright, in a mode that takes a mark. Raises Refusal for frames that do not decode or fit."""
    pixels = 0
    for index in range(opened.frames):
        try:
            opened.image.seek(index)
            pixels += opened.image.width * opened.image.height
            if opened.image.width * opened.image.height > MAX_FRAME or pixels > MAX_PIXELS:
                raise Refusal("BUDGET_PIXELS", "the image has too many pixels")
            opened.image.load()
            frame = ImageOps.exif_transpose(opened.image)
        except (
            OSError,
            ValueError,
            SyntaxError,
            EOFError,
            ZeroDivisionError,
            KeyError,
            IndexError,
            TypeError,
        ) as error:
            raise Refusal("BROKEN", f"frame {index + 1} does not decode") from error
        if min(frame.size) < SMALLEST_SIDE:
            raise Refusal("IMAGE_TOO_SMALL", f"frame {index + 1} is smaller than {SMALLEST_SIDE} pixels")
        yield _in_plain_mode(frame, removed)


def _in_plain_mode(frame: Image.Image, removed: Counter[str]) -> Image.Image:
    """L, RGB, RGBA or CMYK, 8 bits a channel. 16-bit greys are scaled: Pillow's own conversion clips them to white."""
    if frame.mode.startswith("I;16"):
        removed["sixteen_bit_depth"] += 1
        return frame.convert("I").point(lambda level: level * (1 / 256)).convert("L")
    if frame.mode == "P" or "transparency" in frame.info:
        return frame.convert("RGBA" if "transparency" in frame.info else "RGB")
    if frame.mode in _AS_IS:
        return frame
    if frame.mode in _CONVERTED:
        return frame.convert(_CONVERTED[frame.mode])
    raise Refusal("NOT_MARKABLE", "the image's pixels are of a kind that cannot carry a mark")


@dataclass(frozen=True, slots=True)
class Veil:
    """A mark for one size: `add` is its light, `keep` how much of the picture shows through; both L, 0 to 255."""

    add: Image.Image
    keep: Image.Image

    def over(self, frame: Image.Image) -> Image.Image:
        """The frame under the veil, same mode."""
        if frame.mode == "RGBA":
            return self._over_clear(frame)
        blend = self._blend_ink if frame.mode == "CMYK" else self._blend
        # One band after the other: of a large photo all at once would be three times the frame.
        return Image.merge(
            frame.mode, [blend(frame.getchannel(band)) for band in range(len(frame.getbands()))]
        )

    def _over_clear(self, frame: Image.Image) -> Image.Image:
        """Over transparency the colours are weighed by their cover first; so the mark shows on whatever lies below."""
        weighed = frame.convert("RGBa").split()
        cover = ImageChops.invert(ImageChops.multiply(ImageChops.invert(weighed[3]), self.keep))
        return Image.merge("RGBa", [*(self._blend(band) for band in weighed[:3]), cover]).convert("RGBA")

    def _blend_ink(self, band: Image.Image) -> Image.Image:
        return ImageChops.invert(self._blend(ImageChops.invert(band)))

    def _blend(self, band: Image.Image) -> Image.Image:
        return ImageChops.add(ImageChops.multiply(band, self.keep), self.add)


def veil(size: tuple[int, int], mark: Mark, words: layout.Words) -> Veil:
    """Draw the mark for an image of `size` pixels over white and over black; the two tell its light and its cover."""
    points = min(_A4 / (size[0] * size[1]) ** 0.5, 1 / _LEAST_EM)
    box = (0.0, 0.0, size[0] * points, size[1] * points)
    pdf = Pdf.new()
    pdf.add_blank_page(page_size=(box[2], box[3]))
    form = Stamper(pdf, mark, words).form(Geometry(box, box, 0, 1.0))
    pdf.pages[0].obj.Resources = Dictionary(XObject=Dictionary(Mark=form))
    pdf.pages[0].obj.Contents = pdf.make_stream(b"/Mark Do")
    pdf.pages[0].obj.Type = Name.Page
    with closing(verify.open_document(save(pdf))) as document, closing(document[0]) as page:
        white = verify.draw(page, 1 / points).resize(size)
        black = verify.draw(page, 1 / points, fill=(0, 0, 0, 255)).resize(size)
    return Veil(add=black, keep=ImageChops.subtract(white, black))


class _Marked:
    """Marks frames one after the other and keeps what the report and the check need of each."""

    def __init__(self, opened: Opened, mark: Mark, words: layout.Words) -> None:
        self.opened, self.mark, self.words = opened, mark, words
        self.removed: Counter[str] = Counter()
        self.pages: list[PageReport] = []
        self.meant: list[Image.Image] = []
        self.veils: dict[tuple[int, int], Veil] = {}

    def frames(self) -> Iterator[Image.Image]:
        for number, frame in enumerate(frames(self.opened, self.removed), start=1):
            marked = self._veil(frame.size).over(frame)
            before, after = _small(frame), _small(marked)
            if verify.regions_seen(before, after, verify.threshold(self.mark.opacity)) < verify.NEEDED:
                raise Refusal("MARK_NOT_SEEN", f"the mark is not seen on frame {number}")
            self.meant.append(after)
            self.pages.append(PageReport(number, float(frame.width), float(frame.height), 0, 1.0, True))
            self._strip(marked, frame)
            yield marked

    def _veil(self, size: tuple[int, int]) -> Veil:
        if size not in self.veils:
            self.veils = {size: veil(size, self.mark, self.words)}  # One at a time: a veil is twice a frame.
        return self.veils[size]

    def _strip(self, marked: Image.Image, frame: Image.Image) -> None:
        """Metadata goes; resolution and a plausible colour profile stay, for they change how the picture is seen."""
        info = self.opened.image.info
        for key, name in (
            ("exif", "exif"),
            ("xmp", "metadata"),
            ("comment", "metadata"),
            ("photoshop", "metadata"),
            ("XML:com.adobe.xmp", "metadata"),
        ):
            self.removed[name] += key in info
        profile = info.get("icc_profile")
        fits = (
            isinstance(profile, bytes)
            and len(profile) <= _MAX_PROFILE
            and _SPACE.get(profile[16:20]) == marked.mode[:3]
        )
        marked.info = {"dpi": info["dpi"]} if "dpi" in info else {}
        if fits:
            marked.info["icc_profile"] = profile
        marked.info["copy"] = (
            self.mark.copy_number.replace("·", ".").encode("ascii", "replace").decode("ascii")
        )


_SPACE = {b"RGB ": "RGB", b"CMYK": "CMY", b"GRAY": "L"}


def _small(image: Image.Image) -> Image.Image:
    """At most 1600 pixels on the longer side, grey, transparency over white: what the comparison looks at."""
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    grey = image.convert("L")
    factor = max(1, -(-max(grey.size) // 1600))
    return grey.reduce(factor)


def mark_image(
    data: bytes, code: str, mark: Mark, words: layout.Words
) -> tuple[bytes, tuple[PageReport, ...], dict[str, int]]:
    """Mark every frame; gives the file, the pages, and what was removed. Raises Refusal."""
    opened = open_image(data, code)
    work = _Marked(opened, mark, words)
    if getattr(opened.image, "n_frames", 1) > opened.frames:
        work.removed["further_pictures"] += int(opened.image.n_frames) - opened.frames  # type: ignore[attr-defined]
    if _deep(opened.image, data):
        work.removed["sixteen_bit_depth"] += 1
    code = BECOMES.get(code, code)
    marked = _encoded(work.frames(), code)
    _check(marked, code, work.meant)
    return marked, tuple(work.pages), {name: count for name, count in sorted(work.removed.items()) if count}


def _deep(image: Image.Image, data: bytes) -> bool:
    """Whether colours have 16 bits, of which Pillow reads the upper eight; greys are counted where they are scaled."""
    if image.format == "PNG":
        return data[24:25] == b"\x10" and data[25:26] in (b"\x02", b"\x06")
    depth = image.tag_v2.get(258, 8) if isinstance(image, TiffImagePlugin.TiffImageFile) else 8
    return isinstance(depth, tuple) and len(depth) > 2 and max(depth) > 8


def _encoded(marked: Iterator[Image.Image], code: str) -> bytes:
    out = io.BytesIO()
    if code == "tiff":
        _tiff(out, marked)
        return out.getvalue()
    frame = next(marked)
    if (code, frame.mode) in (("jpeg", "RGBA"), ("png", "CMYK")):
        frame, kept = frame.convert("RGB"), _kept(frame)
    else:
        kept = _kept(frame)
    frame.save(out, FORMATS[code], exif=_described(kept.pop("copy")), **_OPTIONS[code], **kept)
    return out.getvalue()


_OPTIONS: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 90, "subsampling": 0},
    "png": {},
    "webp": {"quality": 90, "method": 2},
}


def _described(copy_number: str) -> Image.Exif:
    """The copy number as the picture's description; the only metadata it leaves with."""
    exif = Image.Exif()
    exif[0x010E] = copy_number
    return exif


def _tiff(out: io.BytesIO, marked: Iterator[Image.Image]) -> None:
    """Frame by frame: Pillow's save_all would hold all of them decoded."""
    with TiffImagePlugin.AppendingTiffWriter(out) as writer:
        for frame in marked:
            kept = _kept(frame)
            frame.save(writer, "TIFF", compression="tiff_adobe_deflate", description=kept.pop("copy"), **kept)
            writer.newFrame()


def _kept(frame: Image.Image) -> dict[str, Any]:
    """What `_strip` left of a frame's information, as Pillow's save takes it."""
    return {str(key): value for key, value in frame.info.items()}


def _check(marked: bytes, code: str, meant: list[Image.Image]) -> None:
    """Read the file back: every frame must look as it was meant, but for what a lossy format costs."""
    opened = open_image(marked, code)
    if opened.frames != len(meant):
        raise Refusal("MARK_NOT_SEEN", "the number of frames changed")
    for number, (frame, wanted) in enumerate(zip(frames(opened, Counter()), meant, strict=True), start=1):
        got = _small(frame)
        if got.size != wanted.size or ImageStat.Stat(ImageChops.difference(got, wanted)).mean[0] > _CLOSE:
            raise Refusal("MARK_NOT_SEEN", f"frame {number} does not read back as marked")
