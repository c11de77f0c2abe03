"""ZIP archives read with a budget: hostile names, bombs and overlapping members are refused before anything is unpacked."""

import io
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from watermark import texts
from watermark.errors import Refusal

MAX_MEMBERS = 2_000
MAX_UNPACKED = 1 << 30
MAX_RATIO = 400  # Deflate reaches 1032; what is packed so tightly is no document.
_SMALL = 1 << 20  # Below this a ratio says nothing.
_UTF8_FLAG, _ENCRYPTED_FLAG = 0x800, 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LONGEST_NAME = 120
_ERRORS = (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError, zlib.error, KeyError)


@dataclass(frozen=True, slots=True)
class Item:
    """One file out of a container: a harmless relative name, and its bytes."""

    name: str
    data: bytes


def _decoded(member: zipfile.ZipInfo) -> str:
    """A name as its maker meant it: UTF-8 when flagged, else what the bytes allow of UTF-8, GB18030 and code page 437."""
    if member.flag_bits & _UTF8_FLAG:
        return member.filename
    raw = member.filename.encode("cp437", "replace")
    for encoding in ("utf-8", "gb18030"):
        try:
            name = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "gb18030" or not texts.mistaken(name):
            return name
    return member.filename


def harmless(name: str) -> str:
    """A relative path without steps up, drive letters, control characters or ends that some systems cut off."""
    parts = []
    for part in re.split(r"[/\\]+", unicodedata.normalize("NFC", name)):
        shown = "".join(char if unicodedata.category(char)[0] != "C" else "_" for char in part)
        shown = re.sub(r'[<>:"|?*]', "_", shown).strip(" .")
        if shown:
            parts.append(_shortened(shown))
    return "/".join(parts[-8:]) or "unnamed"


def _shortened(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{stem[: _LONGEST_NAME - 10]}{dot}{suffix[:9]}" if dot else name[:_LONGEST_NAME]


def unique(name: str, taken: set[str]) -> str:
    """The name, or the name with a number where another item has it; compared without case, as many systems do."""
    stem, dot, suffix = name.rpartition(".") if "." in name.rpartition("/")[2] else (name, "", "")
    tried, number = name, 1
    while tried.casefold() in taken:
        number += 1
        tried = f"{stem} ({number}){dot}{suffix}"
    taken.add(tried.casefold())
    return tried


def open_archive(data: bytes) -> zipfile.ZipFile:
    """Open and weigh an archive. Raises Refusal BROKEN, ENCRYPTED, BUDGET_OBJECTS or BUDGET_BYTES."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = archive.infolist()
    except _ERRORS as error:
        raise Refusal("BROKEN", "the archive does not parse") from error
    _weigh(members, len(data))
    return archive


def _weigh(members: list[zipfile.ZipInfo], size: int) -> None:
    if len(members) > MAX_MEMBERS:
        raise Refusal("BUDGET_OBJECTS", f"the archive has more than {MAX_MEMBERS} members")
    if any(member.flag_bits & _ENCRYPTED_FLAG for member in members):
        raise Refusal("ENCRYPTED", "the archive is encrypted; ask for one without a password")
    if any(member.compress_type not in _METHODS for member in members):
        raise Refusal("NOT_MARKABLE", "the archive is packed by a method that is not unpacked here")
    total = sum(member.file_size for member in members)
    if total > MAX_UNPACKED or (total > _SMALL and total > MAX_RATIO * max(1, size)):
        raise Refusal("BUDGET_BYTES", "the archive unpacks to more than the budget")
    end = 0
    for member in sorted(members, key=lambda found: found.header_offset):
        if member.header_offset < end:
            raise Refusal("BUDGET_BYTES", "members of the archive overlap")
        end = member.header_offset + member.compress_size


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo | str) -> bytes:
    """One member whole; never more than its own entry said, for that is what was weighed. Raises Refusal BROKEN."""
    try:
        with archive.open(member) as opened:
            size = (archive.getinfo(member) if isinstance(member, str) else member).file_size
            data = opened.read(size + 1)
    except (*_ERRORS, RuntimeError) as error:
        raise Refusal("BROKEN", "a member of the archive does not unpack") from error
    if len(data) != size:
        raise Refusal("BROKEN", "a member of the archive is not as long as its entry says")
    return data


def items(data: bytes) -> Iterator[Item]:
    """Every file of an archive, in its order; folders and what systems leave behind are skipped."""
    with open_archive(data) as archive:
        for member in archive.infolist():
            name = harmless(_decoded(member))
            litter = name.startswith("__MACOSX/") or name.rpartition("/")[2] in (".DS_Store", "Thumbs.db")
            if not member.is_dir() and not litter:
                yield Item(name, read_member(archive, member))
