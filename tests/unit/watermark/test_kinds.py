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


def _zip(*names: str, **contents: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in {**contents, **dict.fromkeys(names, "x")}.items():
            archive.writestr(name, text)
    return out.getvalue()


_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
_SVG = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg' width='200' height='300'/>"
_MAIL = b"From: a@example.com\nTo: b@example.com\nSubject: x\n\nbody\n"
_CONVERTED = [
    (_zip(**{"[Content_Types].xml": f"<Types>{_WORD}</Types>", "word/document.xml": "<document/>"}), "docx"),
    (_zip(mimetype="application/vnd.oasis.opendocument.spreadsheet"), "ods"),
    (_zip("a.txt"), "zip"),
    (_SVG, "svg"),
    (_MAIL, "eml"),
    ("纯文本\n".encode(), "text"),
    ("纯文本，两行\n第二行\n".encode("gb18030"), "text"),
    ("纯文本\n".encode("utf-16"), "text"),
    ("品名,数量\n瓷砖,120\n".encode("gb18030"), "csv"),
]
# Bytes, what they are called, and why they are refused.
_REFUSED = [
    (_zip("[Content_Types].xml", "word/document.xml"), "zip", None),
    (_zip("OFD.xml"), "ofd", "NOT_MARKABLE"),
    (b"PK\x03\x04broken", "zip", "BROKEN"),
    (b"AC1032\0\0\0\0", "dwg", "NOT_MARKABLE"),
    (b"0\nSECTION\nno code\nHEADER\n", "dxf", "BROKEN"),
    (b"AutoCAD Binary DXF\r\n\x1a\0", "dxf", "NOT_MARKABLE"),
    (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "svg", "PAGE_SIZE"),
    (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'>", "svg", "BROKEN"),
    (b"<!DOCTYPE html><p>", "html", "NOT_MARKABLE"),
    (b"<?xml version='1.0'?><a/>", "xml", "NOT_MARKABLE"),
    (b"\0\0\0\x18ftypmp42", "mp4", "NOT_MARKABLE"),
    (b"\0\0\0\x18ftypheic", "heif", "NOT_MARKABLE"),
    (b"\x1aE\xdf\xa3", "matroska", "NOT_MARKABLE"),
    (b"RIFF\0\0\0\0AVI LIST", "avi", "NOT_MARKABLE"),
    (b"GIF89a", "gif", "BROKEN"),
    (b"BM\0\0", "bmp", "BROKEN"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole", "NOT_MARKABLE"),
    (b"%!PS-Adobe", "postscript", "NOT_MARKABLE"),
    (b"\x00\x01\x02", "unknown", "NOT_MARKABLE"),
    (b"\x80\x81 \x07 bytes", "unknown", "NOT_MARKABLE"),
    (b"", "empty", "NOT_MARKABLE"),
]


@pytest.mark.parametrize(("data", "code"), _CONVERTED, ids=[code for _, code in _CONVERTED])
def test_kinds_that_are_converted_are_proved(data: bytes, code: str) -> None:
    kind = kinds.identify(data)
    assert (kind.code, kind.treatment, kind.reason, kind.pages, kind.markable) == (
        code,
        "convert",
        None,
        0,
        True,
    )
    assert kind.mime == kinds.MIMES[code]


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    _REFUSED[1:],
    ids=[f"{code}-{index}" for index, (_, code, _) in enumerate(_REFUSED[1:])],
)
def test_other_kinds_are_named_and_refused(data: bytes, code: str, reason: str) -> None:
    kind = kinds.identify(data)
    assert (kind.code, kind.treatment, kind.reason, kind.pages) == (code, "refuse", reason, 0)
    assert kind.mime == kinds.MIMES[code]
    assert not kind.markable


def test_folders_alone_make_no_document() -> None:
    assert kinds.identify(_REFUSED[0][0]).code == "zip"


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


@pytest.mark.parametrize("index", [1, 2, 3, 6, 12, 16, 20])
def test_refused_kinds_say_so_in_the_report(index: int, marked: Marked) -> None:
    data, code, reason = _REFUSED[index]
    out, report = marked(data)
    assert out is None
    assert (report.kind, report.status, report.reason) == (code, "refused", reason)


def test_a_drawing_of_a_closed_format_is_refused_with_the_way_out(marked: Marked) -> None:
    assert "export a PDF or a DXF" in marked(b"AC1032\0\0\0\0")[1].detail


@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"%PDF-1.4\n", b"II*\0", b"PK\x03\x04", b"\xff\xd8\xff", b"<?xml"]),
)
@settings(deadline=None)
def test_any_bytes_get_a_kind(data: bytes, start: bytes) -> None:
    kind = kinds.identify(start + data)
    assert kind.treatment in ("refuse", "convert")
    assert (kind.reason is None) == kind.markable


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
