"""The bytes of a prepared document, version 1 (docs/formats.md, Prepared document). Integers are big-endian.

    file   = header ‖ index ‖ image
    header = "SGPD" ‖ version ‖ kind ‖ 0 ‖ 0 ‖ key (32) ‖ length of index (4) ‖ length of image (8) ‖ SHA-256 of index (32)

The image is the whole output file of one recipient with its fields blank; the index tells which of its bytes are ciphered,
filled or patched. Nothing in it is ever executed, and a reader refuses whatever does not hold together.
"""

import functools
import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Any

from watermark.errors import BadMark, BadPrepared
from watermark.profiles import Profile

MAGIC, VERSION = b"SGPD", 1
HEADER = struct.Struct(">4sBBBB32sIQ32s")
BLOCK = 16
PERMISSIONS = -1340  # Printing in any quality, and reading aloud: bits 3, 10 and 12 (ISO 32000-2, table 22).
MAX_INDEX = 64 << 20
MAX_IMAGE = 8 << 30
MAX_STREAMS = 1_000_000
_SMALL = 1 << 17  # Bytes of an index that is worth keeping for the next recipient.
_COUNTS = struct.Struct(">IIIIII")
_SPAN = struct.Struct(">QQ")
_PATCH = struct.Struct(">BQ")
_PAGE = struct.Struct(">ddHd")


class Kind(IntEnum):
    """What an image becomes: a plain PDF (for ZIP and age) or an encrypted one of revision 6."""

    PLAIN = 0
    R6 = 1


class Patch(IntEnum):
    """Clear bytes that are new in every copy, written as hex digits: the second half of /ID is the same as the first."""

    ID = 1
    O = 2  # noqa: E741  # The specification's name.
    U = 3
    OE = 4
    UE = 5
    PERMS = 6


DIGITS = {Patch.ID: 32, Patch.O: 96, Patch.U: 96, Patch.OE: 64, Patch.UE: 64, Patch.PERMS: 32}


@dataclass(frozen=True, slots=True)
class Field:
    """Room for the words of one place: where its bytes begin in the image, and how many there are."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Page:
    """Width and height of a page in points before rotation, its turn in degrees, points per user unit."""

    width: float
    height: float
    rotation: int
    user_unit: float


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """What is known of an image.

    `streams` are spans (offset, length) of slot, payload and padding, in order, each a whole number of blocks; empty when plain.
    `patches` are (what, offset). `removed` and `pages` are the coverage of the sanitised document.
    """

    profile: Profile
    streams: tuple[tuple[int, int], ...]
    fields: tuple[Field, ...]
    patches: tuple[tuple[Patch, int], ...]
    pages: tuple[Page, ...]
    removed: dict[str, int]


@dataclass(frozen=True, slots=True)
class Header:
    """The fixed part: what the document was made from and by (`key`), and how long the rest is."""

    kind: Kind
    key: bytes
    index_size: int
    image_size: int
    index_sha256: bytes

    def to_bytes(self) -> bytes:
        """The header as it stands in a file."""
        return HEADER.pack(
            MAGIC, VERSION, self.kind, 0, 0, self.key, self.index_size, self.image_size, self.index_sha256
        )


def header_for(kind: Kind, key: bytes, index: bytes, image_size: int) -> Header:
    """The header in front of an index and an image."""
    return Header(kind, key, len(index), image_size, hashlib.sha256(index).digest())


def read_header(data: bytes) -> Header:
    """Reads a header. Raises BadPrepared for another magic, version, kind, or lengths outside the limits."""
    if len(data) != HEADER.size:
        raise BadPrepared("the prepared document is cut short")
    magic, version, kind, zero, zero2, key, index_size, image_size, digest = HEADER.unpack(data)
    if magic != MAGIC or version != VERSION or zero or zero2 or kind not in (Kind.PLAIN, Kind.R6):
        raise BadPrepared("not a prepared document of this version")
    if not 0 < index_size <= MAX_INDEX or not 0 < image_size <= MAX_IMAGE:
        raise BadPrepared("a length in the prepared document is out of range")
    return Header(Kind(kind), key, index_size, image_size, digest)


def write_index(index: Index) -> bytes:
    """The index as bytes; the last count, of choices between two variants, is 0 in this version."""
    about = json.dumps(
        {"profile": json.loads(index.profile.as_json()), "removed": index.removed},
        sort_keys=True,
        separators=(",", ":"),
    ).encode()
    out = [
        _COUNTS.pack(
            len(about), len(index.streams), len(index.fields), len(index.patches), len(index.pages), 0
        ),
        about,
    ]
    out += [_SPAN.pack(*span) for span in index.streams]
    out += [field.name.encode("ascii") + _SPAN.pack(field.offset, field.size) for field in index.fields]
    out += [_PATCH.pack(*patch) for patch in index.patches]
    out += [_PAGE.pack(page.width, page.height, page.rotation, page.user_unit) for page in index.pages]
    return b"".join(out)


def read_index(header: Header, data: bytes) -> Index:
    """Reads an index and checks that it holds together with its header; small ones are kept. Raises BadPrepared."""
    return _read_small(header, data) if len(data) <= _SMALL else _read_index(header, data)


@functools.lru_cache(maxsize=32)
def _read_small(header: Header, data: bytes) -> Index:
    return _read_index(header, data)


def _read_index(header: Header, data: bytes) -> Index:
    if len(data) != header.index_size or hashlib.sha256(data).digest() != header.index_sha256:
        raise BadPrepared("the index of the prepared document was changed or cut")
    try:
        index = _parsed(data)
    except (struct.error, ValueError, KeyError, TypeError, UnicodeDecodeError, BadMark) as error:
        raise BadPrepared("the index of the prepared document does not parse") from error
    if write_index(index) != data:
        raise BadPrepared("the index of the prepared document is not in its one spelling")
    _check(header, index)
    return index


def _parsed(data: bytes) -> Index:
    about_size, streams, fields, patches, pages, choices = _COUNTS.unpack_from(data)
    sizes = (about_size, streams * 16, fields * 17, patches * 9, pages * _PAGE.size)
    if choices or _COUNTS.size + sum(sizes) != len(data) or streams > MAX_STREAMS:
        raise ValueError("counts and length disagree")
    parts = list(_cut(data, sizes))
    about: dict[str, Any] = json.loads(parts[0])
    removed = about["removed"]
    if not all(isinstance(name, str) and type(count) is int for name, count in removed.items()):
        raise ValueError("counts of what was removed are whole numbers")
    return Index(
        profile=Profile.from_json(json.dumps(about["profile"])),
        streams=tuple(_SPAN.iter_unpack(parts[1])),
        fields=tuple(_field(parts[2][at : at + 17]) for at in range(0, len(parts[2]), 17)),
        patches=tuple((Patch(what), offset) for what, offset in _PATCH.iter_unpack(parts[3])),
        pages=tuple(Page(*values) for values in _PAGE.iter_unpack(parts[4])),
        removed=removed,
    )


def _cut(data: bytes, sizes: tuple[int, ...]) -> Iterator[bytes]:
    at = _COUNTS.size
    for size in sizes:
        yield data[at : at + size]
        at += size


def _field(data: bytes) -> Field:
    offset, size = _SPAN.unpack_from(data, 1)
    return Field(data[:1].decode("ascii"), offset, size)


def _check(header: Header, index: Index) -> None:
    """Spans lie in the image, in order, apart; fields lie within one ciphered span each; patches in the clear."""
    _apart(header.image_size, [(start, start + size) for start, size in index.streams])
    marks = [(field.offset, field.offset + field.size) for field in index.fields]
    places = [(offset, offset + DIGITS[what]) for what, offset in index.patches]
    _apart(header.image_size, sorted(marks + places))
    if (
        not index.pages
        or not index.fields
        or len({field.name for field in index.fields}) != len(index.fields)
    ):
        raise BadPrepared("a prepared document has pages, and fields with a name each")
    if header.kind is Kind.PLAIN:
        if index.streams or any(what is not Patch.ID for what, _ in index.patches):
            raise BadPrepared("a plain document has nothing to cipher")
        return
    if any(size < 2 * BLOCK or size % BLOCK for _, size in index.streams):
        raise BadPrepared("a ciphered span is a slot and at least one block")
    spans = [(start, start + size) for start, size in index.streams]
    if not all(any(a + BLOCK <= start and end < b for a, b in spans) for start, end in marks):
        raise BadPrepared("a field lies outside the ciphered spans")
    _apart(header.image_size, sorted(spans + places))
    if {what for what, _ in index.patches} != set(Patch):
        raise BadPrepared("an encrypted document has each of its keys' places")


def _apart(size: int, spans: list[tuple[int, int]]) -> None:
    if any(start < 0 or end <= start or end > size for start, end in spans):
        raise BadPrepared("a span of the prepared document lies outside it")
    if any(before[1] > after[0] for before, after in pairwise(spans)):
        raise BadPrepared("spans of the prepared document overlap or stand out of order")
