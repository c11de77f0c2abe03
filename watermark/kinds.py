"""What a file is, proved by its own parser: never by its name, and for what is to be marked never by its header alone."""

import io
import zipfile
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from watermark import images, sanitize
from watermark.errors import Refusal


@dataclass(frozen=True, slots=True)
class Kind:
    """A file's kind: `code` is stable, `pages` counts pages or frames, `reason` is a code when the treatment is refuse."""

    code: str
    mime: str
    treatment: Literal["stamp", "refuse"]
    reason: str | None
    pages: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Back from plain values; TypeError when they are others."""
        return cls(**values)


_IMAGE_STARTS = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
)
MIMES = {
    "pdf": "application/pdf",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "tiff": "image/tiff",
    "webp": "image/webp",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odf": "application/vnd.oasis.opendocument",
    "ofd": "application/ofd",
    "zip": "application/zip",
    "ole": "application/x-ole-storage",
    "dwg": "image/vnd.dwg",
    "dxf": "image/vnd.dxf",
    "svg": "image/svg+xml",
    "html": "text/html",
    "xml": "application/xml",
    "text": "text/plain",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "heif": "image/heif",
    "mp4": "video/mp4",
    "matroska": "video/x-matroska",
    "avi": "video/x-msvideo",
    "audio": "audio/basic",
    "rar": "application/vnd.rar",
    "7z": "application/x-7z-compressed",
    "gzip": "application/gzip",
    "postscript": "application/postscript",
    "empty": "application/x-empty",
    "unknown": "application/octet-stream",
}
# Kinds that are refused whatever they hold need no parser of their own: the header only words the refusal.
_REFUSED_STARTS = (
    (b"PK", "zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"Rar!", "rar"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x1f\x8b", "gzip"),
    (b"%!PS", "postscript"),
    (b"ID3", "audio"),
    (b"fLaC", "audio"),
    (b"OggS", "audio"),
)
_ZIP_MEMBERS = (
    ("word/", "docx"),
    ("xl/", "xlsx"),
    ("ppt/", "pptx"),
    ("OFD.xml", "ofd"),
    ("META-INF/manifest.xml", "odf"),
)


def refused_kind(code: str, reason: str = "NOT_MARKABLE") -> Kind:
    """A kind that cannot be marked, with its reason."""
    return Kind(code, MIMES.get(code, MIMES["unknown"]), "refuse", reason, 0)


def family(data: bytes) -> str:
    """The code of the parser that must prove the file; what no parser here marks is named as well as can be."""
    for start, code in _IMAGE_STARTS:
        if data.startswith(start):
            return code
    if data[:4] == b"RIFF":
        return {b"WEBP": "webp", b"AVI ": "avi", b"WAVE": "audio"}.get(data[8:12], "unknown")
    if b"%PDF-" in data[:1024]:
        return "pdf"
    return _other(data)


def _other(data: bytes) -> str:
    if not data:
        return "empty"
    if data[:2] == b"AC" and data[2:6].isdigit():
        return "dwg"
    if data[4:8] == b"ftyp":
        return "heif" if data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"avif") else "mp4"
    for start, code in _REFUSED_STARTS:
        if data.startswith(start):
            return _zip(data) if code == "zip" else code
    return _text(data[:65536])


def _zip(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return "unknown"
    for prefix, code in _ZIP_MEMBERS:
        if any(name.startswith(prefix) for name in names):
            return code
    return "zip"


def _text(start: bytes) -> str:
    if b"\0" in start:
        return "unknown"
    head = start.decode("utf-8", errors="ignore").lstrip("\ufeff \t\r\n").lower()
    if "<svg" in head:
        return "svg"
    if head.startswith(("<!doctype html", "<html")):
        return "html"
    if head.startswith("<?xml"):
        return "xml"
    lines = [line.strip() for line in head.splitlines()[:2]]
    if lines == ["0", "section"] or head.startswith("999"):
        return "dxf"
    return "text" if all(byte >= 32 or byte in b"\t\r\n\f" for byte in start) else "unknown"


def identify(data: bytes) -> Kind:
    """Prove what the bytes are by parsing them whole; for the child process only. A refusal is given as a Kind, not raised."""
    code = family(data)
    try:
        if code == "pdf":
            with sanitize.open_pdf(data) as pdf:
                return Kind(code, MIMES[code], "stamp", None, len(pdf.pages))
        if code in ("jpeg", "png", "tiff", "webp"):
            return _image(data, code)
    except Refusal as refusal:
        return refused_kind(code, refusal.code)
    return refused_kind(code)


def _image(data: bytes, code: str) -> Kind:
    """Every frame is decoded: a header alone proves nothing."""
    opened = images.open_image(data, code)
    count = sum(1 for _ in images.frames(opened, Counter()))
    return Kind(code, MIMES[code], "stamp", None, count)
