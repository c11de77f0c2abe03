"""Pictures: same format, every frame marked, nothing of the camera's left."""

import io
import struct
import zlib
from collections import Counter
from collections.abc import Callable

import pytest
from PIL import Image, ImageChops, ImageCms

from watermark import images, verify
from watermark.errors import Refusal
from watermark.report import Report

Marked = Callable[..., tuple[bytes | None, Report]]
Picture = Callable[..., bytes]


def _opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize(
    ("kind", "mode", "out_mode"),
    [
        ("JPEG", "RGB", "RGB"),
        ("JPEG", "L", "L"),
        ("JPEG", "CMYK", "CMYK"),
        ("PNG", "RGB", "RGB"),
        ("PNG", "RGBA", "RGBA"),
        ("PNG", "LA", "RGBA"),
        ("PNG", "P", "RGB"),
        ("PNG", "1", "L"),
        ("TIFF", "RGB", "RGB"),
        ("TIFF", "CMYK", "CMYK"),
        ("TIFF", "1", "L"),
        ("WEBP", "RGB", "RGB"),
        ("WEBP", "RGBA", "RGB"),
    ],
)
def test_each_format_and_mode_is_marked_and_keeps_its_format(
    kind: str, mode: str, out_mode: str, marked: Marked, picture: Picture
) -> None:
    source = picture(kind, mode)
    data, report = marked(source)
    assert data is not None, report
    out = _opened(data)
    assert (out.format, out.mode, out.size) == (kind, out_mode, (640, 480))
    before, after = _opened(source).convert("RGB").convert("L"), out.convert("RGB").convert("L")
    assert verify.regions_seen(before, after, 12) == 16
    untouched = ImageChops.difference(before, after).crop((0, 0, 640, 440)).histogram()
    assert sum(untouched[:12]) > 0.6 * 640 * 440
    assert [(page.width, page.height, page.marked) for page in report.pages] == [(640, 480, True)]


def test_a_photo_is_turned_upright_and_loses_its_metadata(marked: Marked) -> None:
    image = Image.new("RGB", (600, 400), (10, 10, 10))
    image.paste((240, 0, 0), (0, 0, 600, 100))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "canary-camera"
    exif[0x8825] = {1: "N", 2: (31.0, 14.0, 0.0)}
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif, comment=b"canary-comment", dpi=(300, 300), quality=95)
    data, report = marked(out.getvalue())
    assert data is not None
    assert b"canary" not in data
    upright = _opened(data)
    assert upright.size == (400, 600)
    assert dict(upright.getexif()) == {0x010E: "SG01-KH.2026.SJ-0001-003_F0001"}
    assert upright.info["dpi"] == (300, 300)
    assert upright.getpixel((380, 300))[0] > 150 > upright.getpixel((20, 300))[0]  # type: ignore[index]
    assert report.removed["exif"] == 1
    assert report.removed["metadata"] == 1


def test_sixteen_bit_greys_are_scaled_and_not_clipped(marked: Marked) -> None:
    image = Image.new("I;16", (640, 480), 30_000)
    out = io.BytesIO()
    image.save(out, "PNG")
    data, report = marked(out.getvalue())
    assert data is not None
    levels = _opened(data).crop((0, 0, 640, 440)).histogram()
    assert max(range(256), key=levels.__getitem__) == 30_000 // 256
    assert report.removed == {"sixteen_bit_depth": 1}


def test_every_frame_of_a_tiff_is_marked(marked: Marked) -> None:
    frames = [Image.new("1", (900, 1200 + 10 * index), 1) for index in range(5)]
    out = io.BytesIO()
    frames[0].save(out, "TIFF", save_all=True, append_images=frames[1:], compression="group4")
    data, report = marked(out.getvalue())
    assert data is not None
    assert [page.height for page in report.pages] == [1200, 1210, 1220, 1230, 1240]
    image = Image.open(io.BytesIO(data))
    for index in range(5):
        image.seek(index)
        assert image.tag_v2[270] == "SG01-KH.2026.SJ-0001-003_F0001"  # type: ignore[attr-defined]
        assert verify.regions_seen(frames[index].convert("L"), image.convert("L"), 12) == 16


def test_a_clear_picture_shows_the_mark_on_any_ground(marked: Marked) -> None:
    out = io.BytesIO()
    Image.new("RGBA", (640, 480), (0, 0, 0, 0)).save(out, "PNG")
    data, _ = marked(out.getvalue())
    assert data is not None
    for ground in ("white", "black"):
        sheet = Image.new("RGBA", (640, 480), ground)
        plain = sheet.convert("L")
        sheet.alpha_composite(_opened(data))
        assert verify.regions_seen(plain, sheet.convert("L"), 10) == 16


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_animations_are_refused(kind: str, marked: Marked) -> None:
    frames = [Image.new("RGB", (300, 300), (index * 50, 0, 0)) for index in range(3)]
    out = io.BytesIO()
    frames[0].save(out, kind, save_all=True, append_images=frames[1:])
    assert marked(out.getvalue())[1].reason == "ANIMATED"


def _png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises a large picture."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


def test_pixel_floods_and_cut_files_are_refused(marked: Marked, picture: Picture) -> None:
    assert marked(_png_claiming(60_000, 60_000))[1].reason == "BUDGET_PIXELS"
    assert marked(_png_claiming(800, 800))[1].reason == "BROKEN"
    assert marked(picture("JPEG")[:3000])[1].reason == "BROKEN"
    assert marked(picture("PNG", size=(100, 100)))[1].reason == "IMAGE_TOO_SMALL"
    assert marked(picture("TIFF", "F"))[1].reason == "NOT_MARKABLE"


def test_frames_beyond_the_pixel_budget_are_refused(
    monkeypatch: pytest.MonkeyPatch, picture: Picture
) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 640 * 480 * 2)
    frame = _opened(picture("TIFF"))
    out = io.BytesIO()
    frame.save(out, "TIFF", save_all=True, append_images=[frame, frame])
    with pytest.raises(Refusal, match="BUDGET_PIXELS"):
        list(images.frames(images.open_image(out.getvalue(), "tiff"), Counter()))


@pytest.mark.parametrize("kind", ["BMP", "GIF"])
def test_formats_without_room_for_a_mark_leave_as_png(
    kind: str, picture: Callable[..., bytes], marked: Marked
) -> None:
    out, report = marked(picture(kind))
    assert out is not None, report
    assert (report.kind, report.source_kind) == ("png", kind.lower())
    assert Image.open(io.BytesIO(out)).format == "PNG"


def test_moving_pictures_are_refused(marked: Marked) -> None:
    frames = [Image.new("L", (200, 200), level) for level in (0, 100, 200)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    assert marked(out.getvalue())[1].reason == "ANIMATED"


def test_sixteen_bit_colours_are_said_to_be_lost(marked: Marked) -> None:
    row = b"\0" + bytes(range(6)) * 200
    raw = zlib.compress(row * 200)
    header = struct.pack(">IIBBBBB", 200, 200, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", raw), (b"IEND", b""))
    )
    out, report = marked(data)
    assert out is not None, report
    assert report.removed["sixteen_bit_depth"] == 1


def test_print_colours_stay_print_colours_with_their_profile(marked: Marked) -> None:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[16:20] = b"CMYK"
    out = io.BytesIO()
    Image.new("CMYK", (600, 400), (10, 80, 0, 0)).save(out, "JPEG", icc_profile=bytes(profile), quality=95)
    data, report = marked(out.getvalue())
    assert data is not None, report
    image = Image.open(io.BytesIO(data))
    assert (image.mode, image.info["icc_profile"]) == ("CMYK", bytes(profile))
