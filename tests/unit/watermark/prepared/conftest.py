"""Prepared documents made on the spot, and copies of them."""

import io
import os
from collections.abc import Callable, Iterator

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, Pdf, String

from watermark.mark import Mark
from watermark.prepared import build
from watermark.prepared.format import Kind
from watermark.prepared.issue import issue
from watermark.profiles import VECTOR

KEY = "K7QF-M2XN-ABCD-EFGH-2345"
NUMBER = "SG01-KH·2026·SJ-0001-003_F0001"


@pytest.fixture
def recipient_mark() -> Mark:
    """A mark with a rare character, Arabic and Thai in its names."""
    return Mark(("示例建材供应商 联系人𠮷", "شركة · ไทย", f"{NUMBER} 2026-11-23"), NUMBER)


def _document(pages: int) -> bytes:
    with Pdf.new() as pdf:
        font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
        for number in range(pages):
            size = ((595, 842), (842, 595), (420, 595))[number % 3]
            pdf.add_blank_page(page_size=size)
            page = pdf.pages[-1].obj
            picture = pdf.make_stream(os.urandom(900) * 30)
            picture.Type, picture.Subtype, picture.Width, picture.Height = Name.XObject, Name.Image, 180, 150
            picture.BitsPerComponent = 8
            picture.ColorSpace = Array([Name.Indexed, Name.DeviceRGB, 255, String(bytes(range(256)) * 3)])
            page.Resources = Dictionary(Font=Dictionary(F=font), XObject=Dictionary(P=picture))
            words = f"BT /F 20 Tf 60 300 Td (canary text {number}) Tj ET q 200 0 0 120 60 100 cm /P Do Q"
            page.Contents = pdf.make_stream(words.encode())
        pdf.pages[0].obj.Rotate = 90
        out = io.BytesIO()
        pdf.save(out, compress_streams=True, object_stream_mode=pikepdf.ObjectStreamMode.disable)
        return out.getvalue()


@pytest.fixture(scope="session")
def document() -> bytes:
    """Four pages of three sizes, one turned, each with a picture whose palette is a string in its dictionary."""
    return _document(4)


@pytest.fixture(scope="session")
def prepared_bytes(document: bytes) -> dict[Kind, bytes]:
    """The document prepared both ways."""
    made = {}
    for kind in Kind:
        ready = build.prepare(document, VECTOR, kind)
        made[kind] = ready.head + bytes(ready.image)
    return made


@pytest.fixture
def prepared(prepared_bytes: dict[Kind, bytes]) -> Iterator[dict[Kind, int]]:
    """The prepared documents as memory files."""
    fds = {}
    for kind, data in prepared_bytes.items():
        fds[kind] = os.memfd_create("prepared")
        os.write(fds[kind], data)
    yield fds
    for fd in fds.values():
        os.close(fd)


@pytest.fixture
def issued(prepared: dict[Kind, int], recipient_mark: Mark) -> Callable[..., bytes]:
    """One copy as bytes: of a sealing, for a mark and a key."""

    def make(kind: str, mark: Mark = recipient_mark, key: str = KEY) -> bytes:
        out = os.memfd_create("copy")
        try:
            issue(prepared[Kind.R6 if kind == "pdf" else Kind.PLAIN], mark, key, out, kind=kind)
            return os.pread(out, os.lseek(out, 0, os.SEEK_END), 0)
        finally:
            os.close(out)

    return make
