"""Office files proved by their own structure: OOXML and ODF packages, and the compound files of older Office."""

import re
import struct
import zipfile
from collections import Counter
from xml.parsers import expat

from watermark import archives
from watermark.errors import Refusal

_MAIN_PARTS = {
    "wordprocessingml.document.main+xml": "docx",
    "wordprocessingml.template.main+xml": "docx",
    "ms-word.document.macroEnabled.main+xml": "docx",
    "spreadsheetml.sheet.main+xml": "xlsx",
    "ms-excel.sheet.macroEnabled.main+xml": "xlsx",
    "presentationml.presentation.main+xml": "pptx",
    "presentationml.slideshow.main+xml": "pptx",
    "ms-powerpoint.presentation.macroEnabled.main+xml": "pptx",
}
_ODF = {
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.oasis.opendocument.presentation": "odp",
    "application/vnd.oasis.opendocument.graphics": "odg",
}
_MAX_PART = 64 << 20
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_STREAMS = (("WordDocument", "doc"), ("Workbook", "xls"), ("Book", "xls"), ("PowerPoint Document", "ppt"))
_END, _MAX_SECTORS = 0xFFFFFFFA, 1 << 20
_EXTERNAL = re.compile(rb'<(?:\w+:)?Relationship\b[^>]*\bTargetMode\s*=\s*["\']External["\'][^>]*>')
_ODF_LINK = re.compile(rb'xlink:href\s*=\s*["\'](?:\w+:|/|\.\./)[^"\']*["\']')


def package_code(data: bytes) -> str | None:
    """docx, xlsx, pptx, odt, ods, odp, odg or ofd when the archive is such a package, else None."""
    with archives.open_archive(data) as archive:
        names = {member.filename for member in archive.infolist()}
        if "[Content_Types].xml" in names:
            return _ooxml(_part(archive, "[Content_Types].xml"), names)
        if "mimetype" in names:
            kind = _part(archive, "mimetype").decode("ascii", "replace").strip()
            return _ODF.get(kind, "odf" if "opendocument" in kind else None)
        return "ofd" if "OFD.xml" in names else None


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _MAX_PART:
        raise Refusal("BUDGET_BYTES", "a part of the document is larger than the budget")
    return archives.read_member(archive, name)


def _ooxml(types: bytes, names: set[str]) -> str | None:
    text = types.decode("utf-8", "replace")
    found = {code for kind, code in _MAIN_PARTS.items() if kind in text}
    main = {"docx": "word/", "xlsx": "xl/", "pptx": "ppt/"}
    proved = {code for code in found if any(name.startswith(main[code]) for name in names)}
    return proved.pop() if len(proved) == 1 else None


def active_parts(data: bytes) -> dict[str, int]:
    """What a converted package leaves behind, counted: macros, embedded objects, links to what lies outside, embedded fonts."""
    counted: Counter[str] = Counter()
    with archives.open_archive(data) as archive:
        for member in archive.infolist():
            name = member.filename.lower()
            if name.endswith((".xml", ".rels")):
                _well_formed(_part(archive, member.filename))
            counted["macros"] += name.endswith("vbaproject.bin") or name.startswith("basic/")
            counted["embedded_objects"] += "/embeddings/" in name or name.startswith("object ")
            if name.endswith(".rels"):
                counted["external_links"] += len(_EXTERNAL.findall(_part(archive, member.filename)))
            if name in ("content.xml", "styles.xml"):
                counted["external_links"] += len(_ODF_LINK.findall(_part(archive, member.filename)))
    return {name: count for name, count in counted.items() if count}


def _well_formed(data: bytes) -> None:
    """LibreOffice leaves out what it cannot read and calls that a success; so every part has to parse."""
    parser = expat.ParserCreate()
    parser.EntityDeclHandler = _no_entities
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise Refusal("BROKEN", "a part of the document does not parse") from error


def _no_entities(*_: object) -> None:
    raise Refusal("NOT_MARKABLE", "the document declares entities, which are not expanded here")


def compound_code(data: bytes) -> str:
    """doc, xls or ppt by the streams of a compound file ([MS-CFB] 2.6). Raises Refusal ENCRYPTED, BROKEN or NOT_MARKABLE."""
    names = set(_entries(data))
    if names & {"EncryptedPackage", "EncryptionInfo"}:
        raise Refusal("ENCRYPTED", "the file is encrypted; ask for one without a password")
    for stream, code in _STREAMS:
        if stream in names:
            return code
    raise Refusal("NOT_MARKABLE", "the compound file holds no document that is converted here")


def compound_active_parts(data: bytes) -> dict[str, int]:
    """As `active_parts`, for a compound file."""
    names = _entries(data)
    macros = sum(name in ("_VBA_PROJECT", "Macros", "_VBA_PROJECT_CUR") for name in names)
    objects = sum(name in ("ObjectPool", "\x01Ole10Native") for name in names)
    return {name: count for name, count in (("macros", macros), ("embedded_objects", objects)) if count}


def _entries(data: bytes) -> list[str]:
    """The names in the directory, by the sector chain from the header."""
    if len(data) < 512 or not data.startswith(_OLE):
        raise Refusal("BROKEN", "the compound file does not parse")
    shift, first = struct.unpack_from("<H", data, 30)[0], struct.unpack_from("<I", data, 48)[0]
    if shift not in (9, 12):
        raise Refusal("BROKEN", "the compound file does not parse")
    size = 1 << shift
    table = _table(data, size)
    names, sector, steps = [], first, 0
    while sector < _END:
        steps += 1
        start = (sector + 1) * size
        if start + size > len(data) or steps > _MAX_SECTORS or sector >= len(table):
            raise Refusal("BROKEN", "the compound file's directory does not parse")
        names += [_name(data[at : at + 128]) for at in range(start, start + size, 128)]
        sector = table[sector]
    return [name for name in names if name]


def _name(entry: bytes) -> str:
    length = struct.unpack_from("<H", entry, 64)[0]
    return entry[: max(0, min(length, 64) - 2)].decode("utf-16-le", "replace")


def _table(data: bytes, size: int) -> list[int]:
    """The sector allocation table, as far as the header's own list and its first extension name it."""
    sectors = list(struct.unpack_from("<109I", data, 76))
    extension, steps = struct.unpack_from("<I", data, 68)[0], 0
    while extension < _END and steps < 4096:
        start = (extension + 1) * size
        if start + size > len(data):
            break
        found = struct.unpack_from(f"<{size // 4}I", data, start)
        sectors += found[:-1]
        extension, steps = found[-1], steps + 1
    table: list[int] = []
    for sector in sectors:
        start = (sector + 1) * size
        if sector < _END and start + size <= len(data):
            table += struct.unpack_from(f"<{size // 4}I", data, start)
    return table
