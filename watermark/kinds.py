"""What a file is, proved by its own parser: never by its name, and for what is to be marked never by its header alone."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from watermark import archives, drawings, images, mails, packages, pictures, sanitize, texts, vectors
from watermark.errors import Refusal


@dataclass(frozen=True, slots=True)
class Kind:
    """A file's kind: `code` is stable, `pages` counts pages or frames, `reason` is a code when the treatment is refuse.

    `convert` means that the marked copy is another kind: a PDF, or for containers a ZIP of marked items; `pages` is 0 then.
    """

    code: str
    mime: str
    treatment: Literal["stamp", "convert", "refuse"]
    reason: str | None
    pages: int

    @property
    def markable(self) -> bool:
        """Whether a marked copy can be had, as it is or converted."""
        return self.treatment != "refuse"

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
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
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
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "odg": "application/vnd.oasis.opendocument.graphics",
    "doc": "application/msword",
    "xls": "application/vnd.ms-excel",
    "ppt": "application/vnd.ms-powerpoint",
    "csv": "text/csv",
    "eml": "message/rfc822",
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
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"Rar!", "rar"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x1f\x8b", "gzip"),
    (b"%!PS", "postscript"),
    (b"ID3", "audio"),
    (b"fLaC", "audio"),
    (b"OggS", "audio"),
)
# How a kind that is no PDF and no picture comes to be marked: set by typst, converted by LibreOffice, or item by item.
ROUTES = {
    **dict.fromkeys(("text", "csv", "svg", "dxf"), "set"),
    **dict.fromkeys(("docx", "xlsx", "pptx", "odt", "ods", "odp", "odg", "doc", "xls", "ppt"), "office"),
    **dict.fromkeys(("zip", "eml"), "items"),
}


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
            return {"zip": _zip, "ole": _ole}[code](data) if code in ("zip", "ole") else code
    return _text(data)


def _zip(data: bytes) -> str:
    """An archive that does not parse is still called one, so that its own parser refuses it."""
    try:
        return packages.package_code(data) or "zip"
    except Refusal:
        return "zip"


def _ole(data: bytes) -> str:
    try:
        return packages.compound_code(data)
    except Refusal:
        return "ole"


def _text(data: bytes) -> str:
    """What bytes without a signature are, by what they hold; text only when all of it is in an encoding known here."""
    start = data[:65536]
    head = start.decode("utf-8", errors="ignore").lstrip("\ufeff \t\r\n").lower()
    if data.startswith(b"AutoCAD Binary DXF") or _is_dxf(start):
        return "dxf"
    if b"\0" not in start and head.startswith("<"):
        for sign, code in (("<svg", "svg"), ("<!doctype html", "html"), ("<html", "html"), ("<?xml", "xml")):
            if sign in head if code == "svg" else head.startswith(sign):
                return code
    if mails.is_mail(data):
        return "eml"
    if len(data) > texts.MAX_TEXT:
        return "text" if texts.decoded(start.rpartition(b"\n")[0] or start) is not None else "unknown"
    text = texts.decoded(data)
    if text is None:
        return "unknown"
    return "csv" if texts.table(text) is not None else "text"


def _is_dxf(start: bytes) -> bool:
    """Group codes and values by turns; comments (999) may stand first."""
    lines = [line.strip().lower() for line in start[:8192].splitlines()]
    pairs = [pair for pair in zip(lines[::2], lines[1::2], strict=False) if pair[0] != b"999"]
    return pairs[:1] == [(b"0", b"section")]


def identify(data: bytes, password: str = "") -> Kind:
    """Prove what the bytes are by parsing them whole; for the child process only. A refusal is given as a Kind, not raised."""
    code = family(data)
    try:
        if code == "pdf":
            return _pdf(data, password)
        if code in images.FORMATS:
            return _image(data, code)
        if code in ROUTES:
            prove(code, data)
            return Kind(code, MIMES[code], "convert", None, 0)
    except Refusal as refusal:
        return refused_kind(code, refusal.code)
    return refused_kind(code)


def _pdf(data: bytes, password: str) -> Kind:
    """A PDF that only pdfium can show is one too; its pages are marked as pictures."""
    try:
        with sanitize.open_pdf(data, password=password) as pdf:
            return Kind("pdf", MIMES["pdf"], "stamp", None, len(pdf.pages))
    except Refusal as refusal:
        if refusal.code != "BROKEN":
            raise
        return Kind("pdf", MIMES["pdf"], "stamp", None, pictures.count(data, password))


def prove(code: str, data: bytes) -> dict[str, int]:
    """Parse a file that is to be converted; gives what the conversion will leave behind, counted. Raises Refusal."""
    if code in ("doc", "xls", "ppt"):
        return packages.compound_active_parts(data)
    if ROUTES[code] == "office":
        return packages.active_parts(data)
    if code == "svg":
        vectors.size(vectors.parsed(data))
    elif code == "dxf":
        drawings.check(drawings.opened(data))
    elif code == "zip":
        archives.open_archive(data).close()
    elif code == "eml":
        mails.parsed(data)
    elif len(data) > texts.MAX_TEXT:
        raise Refusal("BUDGET_BYTES", "the text is longer than the budget")
    return {}


def _image(data: bytes, code: str) -> Kind:
    """Every frame is decoded: a header alone proves nothing."""
    opened = images.open_image(data, code)
    count = sum(1 for _ in images.frames(opened, Counter()))
    return Kind(code, MIMES[code], "stamp", None, count)
