"""One recipient's copy of a prepared document, streamed: words and keys filled in, one pass of encryption, no PDF library.

Before the last bytes leave, the fields' ciphertext is decrypted and compared with the mark it should hold.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from secrets import token_bytes
from typing import Literal

from watermark.errors import BadPassphrase, BadPrepared, MarkNotHeld
from watermark.mark import Mark
from watermark.prepared import ae2, age
from watermark.prepared.cipher import chained, decrypted, steps
from watermark.prepared.fill import filling
from watermark.prepared.format import BLOCK, Field, Kind, Patch
from watermark.prepared.standard import new_keys
from watermark.prepared.windows import Opened, ReadInto, Watch, Window, from_descriptor

Sealing = Literal["pdf", "zip", "age", "plain"]
Piece = bytes | memoryview
ENTRY = "copy.pdf"


@dataclass(frozen=True, slots=True)
class Issued:
    """What was written: the sealing used and the number of bytes."""

    kind: Sealing
    size: int


def issue(
    prepared: int, mark: Mark, key: str, out: int, *, kind: Sealing | None, name: str = ENTRY
) -> Issued:
    """Write one copy from the prepared document behind a descriptor to another.

    `kind` pdf needs a document prepared as R6; zip, age and plain need one prepared as plain; None takes pdf or plain.
    `key` is the passphrase, or the age recipient. `name` is the neutral name inside a ZIP. Raises BadPrepared, MarkNotHeld (what
    was written by then must be thrown away), SealError, or Refusal for words that do not fit.
    """
    opened = Opened.of(from_descriptor(prepared))
    chosen: Sealing = kind or ("pdf" if opened.header.kind is Kind.R6 else "plain")
    size = 0
    for piece in copy(opened, mark, key, chosen, name=name):
        write_all(out, piece)
        size += len(piece)
    return Issued(chosen, size)


def write_all(fd: int, data: Piece) -> None:
    """Every byte to a descriptor; OSError when it takes no more."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def pieces(source: ReadInto, mark: Mark, key: str, kind: Sealing, *, name: str = ENTRY) -> Iterator[bytes]:
    """The same copy as pieces of bytes, for a store that takes an iterator. Raises like `issue`."""
    for piece in copy(Opened.of(source), mark, key, kind, name=name):
        yield bytes(piece)


def copy(opened: Opened, mark: Mark, key: str, kind: Sealing, *, name: str = ENTRY) -> Iterator[Piece]:
    """A copy of an opened document; each piece is good until the next is asked for."""
    filled = _filled(opened, mark, plain=kind != "pdf")
    if kind != "plain" and (not key or not key.isascii()):
        raise BadPassphrase("a passphrase is printable ASCII")
    return _SEALED[kind](opened, filled, key, name)


def _filled(opened: Opened, mark: Mark, *, plain: bool) -> dict[str, bytes]:
    if plain is not (opened.header.kind is Kind.PLAIN):
        raise BadPrepared("the document was prepared for another sealing")
    if abs(mark.opacity - opened.index.profile.opacity) > 1e-9:
        raise BadPrepared("the document was prepared for a mark of another opacity")
    return filling(mark, tuple(field.name for field in opened.index.fields))


def _pdf(opened: Opened, filled: dict[str, bytes], key: str, name: str) -> Iterator[Piece]:
    keys = new_keys(key)
    watch = Watch([(field.offset - BLOCK, field.offset + field.size) for field in opened.index.fields])
    plan = steps(opened.index, opened.header.image_size)

    def plain(kept: bytearray, field: Field) -> bytes:
        return decrypted(keys.file_key, bytes(kept[:BLOCK]), bytes(kept[BLOCK:]))

    ciphered = chained(keys.file_key, opened.windows(opened.edits(filled, keys.patches)), plan)
    return _held_back(ciphered, opened, filled, watch, plain)


def marked(opened: Opened, filled: dict[str, bytes]) -> Iterator[Window]:
    """The windows of a plain copy with a fresh /ID."""
    return opened.windows(opened.edits(filled, {Patch.ID: token_bytes(16).hex().encode("ascii")}))


def _plain(opened: Opened, filled: dict[str, bytes], key: str, name: str) -> Iterator[Piece]:
    windows = ((window.offset, window.data) for window in marked(opened, filled))
    return _held_back(windows, opened, filled, _watch(opened), lambda kept, _: bytes(kept))


def member(opened: Opened, mark: Mark, name: str) -> ae2.Member:
    """One recipient's plain copy as a file of an archive. Raises like `issue` before the first byte."""
    return _member(opened, _filled(opened, mark, plain=True), name)


def _member(opened: Opened, filled: dict[str, bytes], name: str) -> ae2.Member:
    """Where the archive is sealed, the fields are read back from its ciphertext."""

    def guard(sealer: ae2.Sealer) -> ae2.Guard:
        watch = _watch(opened)
        return ae2.Guard(
            watch.see,
            lambda: _compare(
                opened, filled, watch, lambda kept, field: sealer.opened(bytes(kept), field.offset)
            ),
        )

    return ae2.Member(name, opened.header.image_size, _plain(opened, filled, "", name), guard)


def _watch(opened: Opened) -> Watch:
    return Watch([(field.offset, field.offset + field.size) for field in opened.index.fields])


def _zip(opened: Opened, filled: dict[str, bytes], key: str, name: str) -> Iterator[Piece]:
    return ae2.archive([_member(opened, filled, name)], key)


def _age(opened: Opened, filled: dict[str, bytes], key: str, name: str) -> Iterator[Piece]:
    return age.Sealer(key).sealed(_plain(opened, filled, key, name))


Opening = Callable[[bytearray, Field], bytes]


def _held_back(
    windows: Iterator[tuple[int, memoryview]],
    opened: Opened,
    filled: dict[str, bytes],
    watch: Watch,
    plain: Opening,
) -> Iterator[Piece]:
    """Pass pieces on; the last one only after the fields were read back."""
    for offset, data in windows:
        watch.see(offset, data)
        if offset + len(data) >= opened.header.image_size:
            _compare(opened, filled, watch, plain)
        yield data


def _compare(opened: Opened, filled: dict[str, bytes], watch: Watch, plain: Opening) -> None:
    for field, kept in zip(opened.index.fields, watch.kept, strict=True):
        if len(kept) < field.size or plain(kept, field) != filled[field.name].ljust(field.size):
            raise MarkNotHeld("the copy does not hold the mark that it should")


_SEALED: dict[Sealing, Callable[[Opened, dict[str, bytes], str, str], Iterator[Piece]]] = {
    "pdf": _pdf,
    "zip": _zip,
    "age": _age,
    "plain": _plain,
}
