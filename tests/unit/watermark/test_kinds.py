"""Kinds are proved by parsers; names and headers prove nothing."""

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watermark import job, kinds, memory, worker
from watermark.report import Report

Marked = Callable[..., tuple[bytes | None, Report]]


def _zip(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return out.getvalue()


_REFUSED = [
    (_zip("[Content_Types].xml", "word/document.xml"), "docx"),
    (_zip("[Content_Types].xml", "xl/workbook.xml"), "xlsx"),
    (_zip("[Content_Types].xml", "ppt/presentation.xml"), "pptx"),
    (_zip("mimetype", "META-INF/manifest.xml"), "odf"),
    (_zip("OFD.xml"), "ofd"),
    (_zip("a.txt"), "zip"),
    (b"PK\x03\x04broken", "unknown"),
    (b"AC1032\0\0\0\0", "dwg"),
    (b"0\nSECTION\n2\nHEADER\n", "dxf"),
    (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "svg"),
    (b"<!DOCTYPE html><p>", "html"),
    (b"<?xml version='1.0'?><a/>", "xml"),
    (b"\0\0\0\x18ftypmp42", "mp4"),
    (b"\0\0\0\x18ftypheic", "heif"),
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"RIFF\0\0\0\0AVI LIST", "avi"),
    (b"GIF89a", "gif"),
    (b"BM\0\0", "bmp"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"%!PS-Adobe", "postscript"),
    ("纯文本\n".encode(), "text"),
    (b"\x00\x01\x02", "unknown"),
    (b"", "empty"),
]


@pytest.mark.parametrize(
    ("data", "code"), _REFUSED, ids=[f"{code}-{index}" for index, (_, code) in enumerate(_REFUSED)]
)
def test_other_kinds_are_named_and_refused(data: bytes, code: str) -> None:
    kind = kinds.identify(data)
    assert (kind.code, kind.treatment, kind.reason, kind.pages) == (code, "refuse", "NOT_MARKABLE", 0)
    assert kind.mime == kinds.MIMES[code]


@pytest.mark.parametrize(
    "start", [b"%PDF-1.7\n", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"II*\0", b"RIFF\0\0\0\0WEBP"]
)
def test_a_header_alone_proves_nothing(start: bytes, marked: Marked) -> None:
    data = start + b"nothing that parses " * 20
    assert kinds.identify(data).treatment == "refuse"
    assert kinds.identify(data).reason == "BROKEN"
    out, report = marked(data)
    assert out is None
    assert report.reason == "BROKEN"


def test_a_name_proves_nothing(tmp_path: Path, a4: bytes) -> None:
    named = tmp_path / "photo.jpg"
    named.write_bytes(a4)
    assert worker.inspect(named) == kinds.Kind("pdf", "application/pdf", "stamp", None, 1)


def test_pictures_are_decoded_whole(picture: Callable[..., bytes]) -> None:
    assert kinds.identify(picture("JPEG")) == kinds.Kind("jpeg", "image/jpeg", "stamp", None, 1)
    cut = picture("PNG", size=(900, 900))
    assert kinds.identify(cut[: len(cut) // 2]).reason == "BROKEN"


@pytest.mark.parametrize("index", [0, 5, 6, 7, 9, 12, 18, 20, 22])
def test_refused_kinds_say_so_in_the_report(index: int, marked: Marked) -> None:
    data, code = _REFUSED[index]
    out, report = marked(data)
    assert out is None
    assert (report.kind, report.status, report.reason) == (code, "refused", "NOT_MARKABLE")
    assert code in report.detail


@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"%PDF-1.4\n", b"II*\0", b"PK\x03\x04", b"\xff\xd8\xff", b"<?xml"]),
)
@settings(deadline=None)
def test_any_bytes_get_a_kind(data: bytes, start: bytes) -> None:
    kind = kinds.identify(start + data)
    assert kind.treatment == "refuse"
    assert kind.reason


def test_what_is_over_the_budget_is_still_named(a4: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "MAX_SOURCE", 100)
    out = memory.create("out")
    for data, code, reason in (
        (a4, "pdf", "BUDGET_BYTES"),
        (b"\x1aE\xdf\xa3" + bytes(200), "matroska", "NOT_MARKABLE"),
    ):
        fd = memory.create("source", data)
        kind = job.run({"task": "inspect"}, fd, out)
        report = job.run({"task": "mark"}, fd, out)
        os.close(fd)
        assert (kind["code"], kind["treatment"], kind["reason"]) == (code, "refuse", reason)
        assert (report["kind"], report["status"], report["reason"]) == (code, "refused", reason)
    assert memory.size(out) == 0
    os.close(out)


def test_the_child_gives_the_same_kind(picture: Callable[..., bytes]) -> None:
    fd = memory.create("source", picture("TIFF"))
    try:
        assert worker.inspect(fd) == kinds.Kind("tiff", "image/tiff", "stamp", None, 1)
    finally:
        os.close(fd)
