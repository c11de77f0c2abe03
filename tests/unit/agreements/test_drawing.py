"""Drawn signatures: what is taken, what is refused, and that only pixels survive."""

import base64
import hashlib
import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from agreements.drawing import MAX_BYTES, from_data_url, normalise
from agreements.errors import BadDrawing


def stroke(width: int = 300, height: int = 120, **save: object) -> bytes:
    image = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    ImageDraw.Draw(image).line([(5, 5), (width - 5, height - 5)], fill=(0, 0, 0, 255), width=4)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", **save)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_a_drawing_is_rebuilt_with_the_same_pixels_and_its_digest():
    source = stroke()
    drawing = normalise(source)
    assert (drawing.width, drawing.height) == (300, 120)
    assert drawing.sha256 == hashlib.sha256(drawing.png).hexdigest()
    assert Image.open(io.BytesIO(drawing.png)).tobytes() == Image.open(io.BytesIO(source)).tobytes()
    assert normalise(drawing.png) == drawing


def test_metadata_and_trailing_bytes_do_not_survive():
    info = PngInfo()
    info.add_text("Comment", "canary-text")
    source = stroke(pnginfo=info, icc_profile=b"canary-profile", dpi=(77, 77)) + b"canary-tail"
    assert b"canary-text" in source and b"iCCP" in source and b"pHYs" in source
    rebuilt = normalise(source).png
    assert not [mark for mark in (b"canary", b"iCCP", b"pHYs", b"tEXt") if mark in rebuilt]


def test_a_data_url_is_read():
    source = stroke()
    url = "data:image/png;base64," + base64.b64encode(source).decode()
    assert from_data_url(url) == normalise(source)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "data:image/svg+xml;base64,PHN2Zz4=",
        "data:image/png;base64,!!!!",
        "data:image/png;base64,签",
        "data:image/png;base64," + "A" * (MAX_BYTES * 2),
    ],
)
def test_other_urls_are_refused(url):
    with pytest.raises(BadDrawing):
        from_data_url(url)


def test_the_limits_of_size_are_exact():
    assert normalise(stroke(2000, 1000)).width == 2000
    for width, height in ((2001, 10), (10, 1001)):
        with pytest.raises(BadDrawing, match="2000 x 1000"):
            normalise(stroke(width, height))
    padded = stroke()
    normalise(padded + bytes(MAX_BYTES - len(padded)))
    with pytest.raises(BadDrawing, match="256 KiB"):
        normalise(padded + bytes(MAX_BYTES - len(padded) + 1))


def test_a_small_file_that_claims_a_huge_image_is_refused_by_its_header():
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    with pytest.raises(BadDrawing):
        normalise(bomb + chunk(b"IEND", b""))


def test_other_formats_blank_and_animated_drawings_are_refused():
    jpeg = io.BytesIO()
    Image.new("RGB", (30, 30), "white").save(jpeg, format="JPEG")
    with pytest.raises(BadDrawing, match="not a PNG"):
        normalise(jpeg.getvalue())
    blank = io.BytesIO()
    Image.new("RGBA", (300, 120), (0, 0, 0, 0)).save(blank, format="PNG")
    with pytest.raises(BadDrawing, match="nothing is drawn"):
        normalise(blank.getvalue())
    frames = [Image.new("RGBA", (30, 30), (n, 0, 0, 255)) for n in (0, 255)]
    frames[0].putpixel((3, 3), (9, 9, 9, 255))
    animated = io.BytesIO()
    frames[0].save(animated, format="PNG", save_all=True, append_images=frames[1:])
    with pytest.raises(BadDrawing, match="animated"):
        normalise(animated.getvalue())


def test_a_drawing_in_clear_ink_is_blank():
    image = Image.new("RGBA", (300, 120), (0, 0, 0, 0))
    ImageDraw.Draw(image).line([(5, 5), (200, 100)], fill=(255, 0, 0, 0), width=4)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    with pytest.raises(BadDrawing, match="nothing is drawn"):
        normalise(buffer.getvalue())


@given(st.data())
def test_damaged_files_are_taken_whole_or_refused(data):
    source = bytearray(stroke(60, 30))
    for _ in range(data.draw(st.integers(1, 6))):
        source[data.draw(st.integers(0, len(source) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(source)))
    try:
        drawing = normalise(bytes(source[:cut]))
    except BadDrawing:
        return
    assert Image.open(io.BytesIO(drawing.png)).size == (drawing.width, drawing.height)
