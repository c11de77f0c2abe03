"""A drawn signature: PNG data from a browser's drawing pad, checked and rebuilt from its pixels."""

import base64
import binascii
import hashlib
import io
import struct
import zlib
from dataclasses import dataclass

from PIL import Image

from agreements.errors import BadDrawing

MAX_BYTES = 256 * 1024
MAX_WIDTH = 2000
MAX_HEIGHT = 1000
_PNG = b"\x89PNG\r\n\x1a\n"
_PREFIX = "data:image/png;base64,"


@dataclass(frozen=True)
class Drawing:
    """A drawn signature rebuilt from its pixels: RGBA `png` without metadata, its SHA-256 (hex), its size in pixels."""

    png: bytes
    sha256: str
    width: int
    height: int


def from_data_url(text: str) -> Drawing:
    """Read what signature_pad's `toDataURL()` gives.

    Raises:
        BadDrawing: not a PNG data URL, or not a drawing that `normalise` takes.
    """
    if not text.startswith(_PREFIX) or len(text) > len(_PREFIX) + MAX_BYTES * 4 // 3 + 4:
        raise BadDrawing("not a PNG data URL of the size allowed")
    try:
        data = base64.b64decode(text[len(_PREFIX) :].encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise BadDrawing("not base64") from None
    return normalise(data)


def normalise(data: bytes) -> Drawing:
    """Decode a PNG of at most 256 KiB and 2000 x 1000 pixels and rebuild it.

    Raises:
        BadDrawing: too large, not a PNG, does not decode, or blank.
    """
    if len(data) > MAX_BYTES:
        raise BadDrawing("larger than 256 KiB")
    if not data.startswith(_PNG):
        raise BadDrawing("not a PNG")
    pixels = _decoded(data)
    if _is_blank(pixels):
        raise BadDrawing("nothing is drawn")
    buffer = io.BytesIO()
    pixels.save(buffer, format="PNG")
    png = buffer.getvalue()
    return Drawing(png, hashlib.sha256(png).hexdigest(), pixels.width, pixels.height)


def _is_blank(pixels: Image.Image) -> bool:
    """What counts is what would be seen on white paper: clear or white ink is no signature."""
    paper = Image.new("RGBA", pixels.size, "white")
    paper.alpha_composite(pixels)
    return paper.convert("RGB").getcolors(maxcolors=1) is not None


def _decoded(data: bytes) -> Image.Image:
    """The size is read from the header before any pixel is, and only the pixels are carried over."""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.width > MAX_WIDTH or image.height > MAX_HEIGHT:
                raise BadDrawing("larger than 2000 x 1000 pixels")
            if getattr(image, "n_frames", 1) != 1:
                raise BadDrawing("animated")
            pixels = image.convert("RGBA")
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
    ):
        raise BadDrawing("does not decode") from None
    clean = Image.new("RGBA", pixels.size)
    clean.paste(pixels)
    return clean
