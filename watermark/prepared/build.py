"""From a hostile PDF to a prepared document: sanitised, laid out, its mark's places kept, every page drawn once to check it.

Done once for each item version and kind; belongs into the sandboxed child, for it parses the file.
"""

import functools
import hashlib
import io
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import pikepdf
from pikepdf import Dictionary, Name, Pdf

from watermark import allowlist, layout, sanitize, stamp, verify
from watermark.errors import Refusal
from watermark.geometry import Geometry
from watermark.mark import Mark
from watermark.prepared import format as fmt
from watermark.prepared import writer
from watermark.prepared.fill import METADATA, METADATA_BYTES
from watermark.prepared.format import Index, Kind, Page
from watermark.prepared.issue import copy, write_all
from watermark.prepared.windows import Opened, from_pieces
from watermark.prepared.writer import Writer
from watermark.profiles import Profile

CHOICES = 0  # Version of the choices between two variants; none are made yet.
MAX_GEOMETRIES = 5_000
SAMPLE = Mark(
    (
        "核对样张 Sample for the check",
        "领取人 Recipient: 样张 Sample",
        "SAMPLE-0000 · 0000-00-00",
        "用途 Purpose: 核对 Check",
    ),
    "SAMPLE-0000",
)


@functools.cache
def _made_by() -> bytes:
    """Digest of the code that sanitises and lays out: what was prepared by other code is prepared anew."""
    parts: tuple[ModuleType, ...] = (allowlist, sanitize, stamp, layout, writer, fmt)
    files = [Path(str(part.__file__)).read_bytes() for part in parts]
    return hashlib.sha256(b"".join(hashlib.sha256(data).digest() for data in files)).digest()


def key(source_sha256: str, profile: Profile, kind: Kind) -> bytes:
    """What a document is kept under: source, profile, kind, and the versions of sanitiser, layout, choices and writer."""
    versions = bytes([fmt.VERSION, layout.VERSION, CHOICES, kind])
    about = profile.as_json().encode()
    return hashlib.sha256(bytes.fromhex(source_sha256) + _made_by() + versions + about).digest()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared document in memory: header and index, image, and the index as values, with the coverage."""

    head: bytes
    image: memoryview
    index: Index

    def write(self, fd: int) -> None:
        """The whole document to a descriptor."""
        write_all(fd, self.head)
        write_all(fd, self.image)


def prepare(
    source: bytes,
    profile: Profile,
    kind: Kind,
    *,
    made_key: bytes | None = None,
    password: str = "",
    signature_loss: bool = False,
    checked: bool = True,
) -> Prepared:
    """Prepare a PDF: sanitised, laid out, and a sample copy of every page drawn and compared.

    `made_key` is `key(…)`, which the sandboxed child cannot work out, for it reads the code's files. Raises Refusal for
    what cannot be sanitised, marked or seen.
    """
    with sanitize.open_pdf(source, password=password, signature_loss=signature_loss) as opened:
        rebuilt = sanitize.rebuild(opened)
        with rebuilt.pdf as pdf:
            unmarked = stamp.save(pdf) if checked else b""
            blanks = _blank(pdf, rebuilt.geometries, profile)
            image = io.BytesIO()
            index = _laid_out(pdf, kind, image, blanks, rebuilt, profile)
    head, data = fmt.write_index(index), image.getbuffer()
    made = made_key or key(hashlib.sha256(source).hexdigest(), profile, kind)
    header = fmt.header_for(kind, made, head, len(data))
    fmt.read_index(header, head)
    prepared = Prepared(header.to_bytes() + head, data, index)
    if checked:
        check(unmarked if password else source, unmarked, prepared, rebuilt.geometries, profile)
    return prepared


def _laid_out(
    pdf: Pdf,
    kind: Kind,
    image: BinaryIO,
    blanks: dict[int, tuple[str, int]],
    rebuilt: sanitize.Rebuilt,
    profile: Profile,
) -> Index:
    laid = Writer(pdf, kind, image, blanks).write()
    pages = tuple(
        Page(*geometry.size, geometry.rotation, geometry.user_unit) for geometry in rebuilt.geometries
    )
    return Index(
        profile, tuple(laid.streams), tuple(laid.fields), tuple(laid.patches), pages, dict(rebuilt.removed)
    )


def _blank(pdf: Pdf, geometries: tuple[Geometry, ...], profile: Profile) -> dict[int, tuple[str, int]]:
    """Stamp every page with forms whose words are blank; gives name and size of each field by its object's number."""
    if len(set(geometries)) > MAX_GEOMETRIES:
        raise Refusal("BUDGET_OBJECTS", "the pages have too many different sizes")
    sizes = {layout.TILE.name: profile.tile_bytes, layout.CODE: 8192, METADATA: METADATA_BYTES}
    blanks: dict[int, tuple[str, int]] = {}

    def blank(name: str) -> pikepdf.Object:
        made = pdf.make_stream(b"")
        blanks[made.objgen[0]] = (name, -(-sizes.get(name, profile.footer_bytes) // 16) * 16)
        return made

    stamp.titled(pdf, "SealGate")
    forms = stamp.Forms(pdf, profile, blank)
    for page, geometry in zip(pdf.pages, geometries, strict=True):
        forms.stamp(page, geometry)
    about = blank(METADATA)
    about.Type, about.Subtype = Name.Metadata, Name.XML
    pdf.Root.Metadata = about
    return blanks


def check(
    source: bytes,
    unmarked: bytes,
    prepared: Prepared,
    geometries: tuple[Geometry, ...],
    profile: Profile,
) -> None:
    """Issue a sample copy and draw every page of it against the unmarked one and the mark alone. Raises Refusal."""
    address = "https://example.cn/0" if profile.qr else ""
    sample = Mark(SAMPLE.lines, SAMPLE.copy_number, profile.opacity, address)
    opened = Opened.of(from_pieces(iter([prepared.head, prepared.image])))
    encrypted = opened.header.kind is Kind.R6
    marked = b"".join(
        bytes(piece) for piece in copy(opened, sample, "sample", "pdf" if encrypted else "plain")
    )
    alone = mark_alone(geometries, sample, profile)
    pages = [alone[geometry.view] for geometry in geometries]
    verify.check_copy(source, unmarked, marked, pages, profile, password="sample" if encrypted else None)


def mark_alone(
    geometries: tuple[Geometry, ...], mark: Mark, profile: Profile
) -> dict[tuple[float, ...], bytes]:
    """The mark on an empty page of each different view, stamped by the library and not by the writer."""
    made: dict[tuple[float, ...], bytes] = {}
    words = layout.words(mark)
    for geometry in geometries:
        if geometry.view not in made:
            made[geometry.view] = _alone(geometry.view, mark, words, profile)
    return made


def _alone(view: tuple[float, float], mark: Mark, words: layout.Words, profile: Profile) -> bytes:
    with Pdf.new() as pdf:
        pdf.add_blank_page(page_size=view)
        page = pdf.pages[0].obj
        page.Resources, page.Contents = Dictionary(XObject=Dictionary()), pdf.make_stream(b"")
        box = (0.0, 0.0, *view)
        stamp.Stamper(pdf, mark, words, profile).stamp(pdf.pages[0], Geometry(box, box, 0, 1.0))
        out = io.BytesIO()
        with closing(out):
            pdf.save(out)
            return out.getvalue()
