"""A rebuilt document laid out as an image: every byte of a copy but its words, its keys and its ciphertext.

Objects that are no streams go into object streams, whose strings are not encrypted by themselves (ISO 32000-2, 7.5.7 and 7.6.2);
so only streams are ciphered, their ciphertext's lengths are known, and offsets, lengths and the cross-reference stream are
computed once. Strings in a stream's dictionary would be ciphered by themselves: they are put into objects of their own first.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pikepdf
from pikepdf import Array, Dictionary, Pdf, Stream, String

from watermark.errors import Refusal
from watermark.prepared.format import BLOCK, DIGITS, PERMISSIONS, Field, Kind, Patch

_REFERENCE = re.compile(rb"(\d+) 0 R\b")
_IN_ONE_STREAM = 200
_MAX_DEPTH = 96
_HEAD = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"


@dataclass
class Layout:
    """What the writer found while writing: spans to cipher, fields, patches, and the image's length."""

    streams: list[tuple[int, int]] = field(default_factory=list)
    fields: list[Field] = field(default_factory=list)
    patches: list[tuple[Patch, int]] = field(default_factory=list)
    size: int = 0


@dataclass
class Writer:
    """Writes one image. `blanks` gives for an object's number the name and size of the field its stream is."""

    pdf: Pdf
    kind: Kind
    out: BinaryIO
    blanks: dict[int, tuple[str, int]]
    layout: Layout = field(default_factory=Layout)
    entries: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    last: int = 0

    def write(self) -> Layout:
        """Streams, object streams, fields, keys and cross-references, in this order."""
        self._put(_HEAD)
        root = self.pdf.Root
        root.Extensions = Dictionary(
            ADBE=Dictionary(BaseVersion=pikepdf.Name("/1.7"), ExtensionLevel=8)  # R6 in a 1.7 file.
        )
        plain = self._streams(_indirect(self.pdf, root), _indirect(self.pdf, self.pdf.trailer.Info))
        self._object_streams(plain)
        for number, (name, size) in self.blanks.items():
            self._field(number, name, size)
        self._tail(root.objgen[0], self.pdf.trailer.Info.objgen[0])
        return self.layout

    def _put(self, data: bytes) -> None:
        self.out.write(data)
        self.layout.size += len(data)

    def _streams(self, *roots: int) -> dict[int, bytes]:
        """Write every stream that can be reached; gives the other objects' text by number."""
        waiting, seen, plain = list(roots), set(roots), {}
        while waiting:
            number = waiting.pop()
            found = self.pdf.get_object(number, 0)
            if isinstance(found, Stream):
                text = self._stream(number, found)
            else:
                text = plain[number] = _text(found)
            for match in _REFERENCE.finditer(text):
                named = int(match[1])
                if named not in seen:
                    seen.add(named)
                    waiting.append(named)
        self.last = max(seen) + 1
        return plain

    def _stream(self, number: int, stream: Any) -> bytes:
        _hoist(self.pdf, stream)
        keys = Dictionary({key: value for key, value in stream.stream_dict.items() if key != "/Length"})
        text: bytes = keys.unparse()
        if number not in self.blanks:
            self._body(number, text, stream.read_raw_bytes())
        return text

    def _body(self, number: int, dictionary: bytes, payload: bytes) -> int:
        """One stream object; gives the offset of its payload in the image."""
        packed = self._packed(payload)
        self.entries[number] = (1, self.layout.size, 0)
        self._put(b"%d 0 obj\n%s /Length %d>>\nstream\n" % (number, dictionary[:-2], len(packed)))
        start = self.layout.size
        if self.kind is Kind.R6:
            self.layout.streams.append((start, len(packed)))
        self._put(packed)
        self._put(b"\nendstream\nendobj\n")
        return start + BLOCK if self.kind is Kind.R6 else start

    def _packed(self, payload: bytes) -> bytes:
        """Room for the initial vector, the payload, PKCS#7 padding; a plain image holds the payload alone."""
        if self.kind is Kind.PLAIN:
            return payload
        pad = BLOCK - len(payload) % BLOCK
        return b"".join((bytes(BLOCK), payload, bytes([pad]) * pad))

    def _new(self) -> int:
        self.last += 1
        return self.last

    def _object_streams(self, plain: dict[int, bytes]) -> None:
        numbers = sorted(plain)
        for start in range(0, len(numbers), _IN_ONE_STREAM):
            chosen = numbers[start : start + _IN_ONE_STREAM]
            container, heads, bodies, at = self._new(), [], [], 0
            for place, number in enumerate(chosen):
                self.entries[number] = (2, container, place)
                heads.append(b"%d %d" % (number, at))
                bodies.append(plain[number])
                at += len(plain[number]) + 1
            head = b" ".join(heads) + b"\n"
            keys = b"<</Type /ObjStm /N %d /First %d /Filter /FlateDecode>>" % (len(chosen), len(head))
            self._body(container, keys, zlib.compress(head + b"\n".join(bodies), 6))

    def _field(self, number: int, name: str, size: int) -> None:
        stream = self.pdf.get_object(number, 0)
        keys = Dictionary({key: value for key, value in stream.stream_dict.items() if key != "/Length"})
        self.layout.fields.append(Field(name, self._body(number, keys.unparse(), b" " * size), size))

    def _tail(self, root: int, info: int) -> None:
        encrypt = self._encrypt() if self.kind is Kind.R6 else None
        number = self._new()
        start = self.layout.size
        self.entries[number] = (1, start, 0)
        table = zlib.compress(b"".join(self._table(number)), 6)
        keys = b"%d 0 obj\n<</Type /XRef /Size %d /W [1 8 4] /Root %d 0 R /Info %d 0 R /Filter /FlateDecode /Length %d" % (
            number, number + 1, root, info, len(table),
        )  # fmt: skip
        self._put(keys + (b" /Encrypt %d 0 R" % encrypt if encrypt else b"") + b" /ID [")
        for _ in range(2):
            self._patch(b"", Patch.ID)
        self._put(b"]>>\nstream\n" + table + b"\nendstream\nendobj\n")
        self._put(b"startxref\n%d\n%%%%EOF\n" % start)

    def _table(self, number: int) -> Iterator[bytes]:
        """One entry for each object number; those never used are free."""
        for each in range(number + 1):
            kind, second, third = self.entries.get(each, (0, 0, 65535))
            yield kind.to_bytes(1, "big") + second.to_bytes(8, "big") + third.to_bytes(4, "big")

    def _encrypt(self) -> int:
        """The encryption dictionary (ISO 32000-2, 7.6.4): it stands in the clear, its keys are patched in."""
        number = self._new()
        self.entries[number] = (1, self.layout.size, 0)
        self._put(
            b"%d 0 obj\n<</Filter /Standard /V 5 /R 6 /Length 256 /P %d /EncryptMetadata true "
            b"/CF <</StdCF <</AuthEvent /DocOpen /CFM /AESV3 /Length 32>>>> /StmF /StdCF /StrF /StdCF"
            % (number, PERMISSIONS)
        )
        for name, what in (
            (b" /O ", Patch.O),
            (b" /U ", Patch.U),
            (b" /OE ", Patch.OE),
            (b" /UE ", Patch.UE),
            (b" /Perms ", Patch.PERMS),
        ):
            self._patch(name, what)
        self._put(b">>\nendobj\n")
        return number

    def _patch(self, before: bytes, what: Patch) -> None:
        self._put(before + b"<")
        self.layout.patches.append((what, self.layout.size))
        self._put(b"0" * DIGITS[what] + b">")


def _indirect(pdf: Pdf, value: Any) -> int:
    number: int = value.objgen[0]
    if number == 0:
        raise Refusal("BROKEN", "the rebuilt document has no root of its own")
    return number


def _text(value: Any) -> bytes:
    """An object as text; numbers and the like come from the library as Python's own."""
    if isinstance(value, pikepdf.Object):
        written: bytes = value.unparse(resolved=True)
        return written
    return bytes(Array([value]).unparse()[1:-1].strip())


def _hoist(pdf: Pdf, stream: Any) -> None:
    """Give every string in a stream's dictionary an object of its own."""
    text = stream.stream_dict.unparse().replace(b"<<", b"")
    if b"(" in text or b"<" in text:
        _hoist_in(pdf, stream, 0)
        left = stream.stream_dict.unparse().replace(b"<<", b"")
        if b"(" in left or b"<" in left:
            raise Refusal("BROKEN", "a string in a stream's dictionary cannot be moved")


def _hoist_in(pdf: Pdf, holder: Any, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise Refusal("BUDGET_OBJECTS", "the document's structure is too deep")
    keys: Any = range(len(holder)) if isinstance(holder, Array) else list(holder.keys())
    for key in keys:
        value = holder[key]
        if not isinstance(value, pikepdf.Object) or value.is_indirect:
            continue
        if isinstance(value, String):
            holder[key] = pdf.make_indirect(value)
        elif isinstance(value, Array | Dictionary):
            _hoist_in(pdf, value, depth + 1)
