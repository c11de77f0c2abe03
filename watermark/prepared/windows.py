"""A prepared document read from start to end, a window at a time, with one recipient's words and keys written in."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from watermark.errors import BadPrepared
from watermark.prepared.format import HEADER, Header, Index, Patch, read_header, read_index

WINDOW = 1 << 19
ROOM = 16  # Before a window for bytes kept from the last one, and behind it for what ciphers ask beyond their data.
ReadInto = Callable[[memoryview], int]
Edits = list[tuple[int, bytes]]


def from_descriptor(fd: int) -> ReadInto:
    """Reads a file or memory file from its start; the descriptor's own position is left alone."""
    position = 0

    def read_into(view: memoryview) -> int:
        nonlocal position
        count = os.preadv(fd, [view], position)
        position += count
        return count

    return read_into


def from_pieces(pieces: Iterator[bytes | memoryview]) -> ReadInto:
    """Reads an iterator of bytes, as a store gives them."""
    rest = memoryview(b"")

    def read_into(view: memoryview) -> int:
        nonlocal rest
        while not rest:
            piece = next(pieces, None)
            if piece is None:
                return 0
            rest = memoryview(piece)
        count = min(len(view), len(rest))
        view[:count] = rest[:count]
        rest = rest[count:]
        return count

    return read_into


def _fill(read_into: ReadInto, view: memoryview) -> None:
    while view:
        count = read_into(view)
        if count == 0:
            raise BadPrepared("the prepared document is cut short")
        view = view[count:]


@dataclass(frozen=True, slots=True)
class Window:
    """`size` bytes of the image from `offset`; they lie in `whole` with ROOM bytes before and behind them."""

    offset: int
    size: int
    whole: memoryview

    @property
    def data(self) -> memoryview:
        """The bytes themselves."""
        return self.whole[ROOM : ROOM + self.size]


class Watch:
    """Keeps the bytes of some spans of what passes by: the ciphertext of the fields, for the check."""

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
        self.spans = [(start, end) for start, end in spans]
        self.kept = [bytearray() for _ in spans]

    def see(self, offset: int, data: memoryview) -> None:
        """`data` passes, its first byte at `offset`."""
        end = offset + len(data)
        for (start, stop), kept in zip(self.spans, self.kept, strict=True):
            if start < end and stop > offset:
                kept.extend(data[max(start - offset, 0) : stop - offset])


@dataclass(frozen=True, slots=True)
class Opened:
    """A prepared document whose header and index were read and checked; its image is still to be read, once."""

    header: Header
    index: Index
    read_into: ReadInto

    @classmethod
    def of(cls, read_into: ReadInto) -> Self:
        """Reads header and index. Raises BadPrepared for bytes that are not a prepared document."""
        head = bytearray(HEADER.size)
        _fill(read_into, memoryview(head))
        header = read_header(bytes(head))
        data = bytearray(header.index_size)
        _fill(read_into, memoryview(data))
        return cls(header, read_index(header, bytes(data)), read_into)

    def edits(self, fields: dict[str, bytes], patches: dict[Patch, bytes]) -> Edits:
        """Where which bytes go, in order. Words too long for their place raise BadPrepared."""
        found: Edits = []
        for field in self.index.fields:
            words = fields[field.name]
            if len(words) > field.size:
                raise BadPrepared(
                    "the words of the mark are longer than the room the prepared document keeps"
                )
            found.append((field.offset, words))
        found.extend((offset, patches[what]) for what, offset in self.index.patches)
        return sorted(found)

    def windows(self, edits: Edits) -> Iterator[Window]:
        """The image with the edits in it; each window is good until the next is asked for."""
        room = ROOM + min(WINDOW, self.header.image_size) + ROOM
        whole, offset, pending = memoryview(bytearray(room)), 0, list(edits)
        while offset < self.header.image_size:
            size = min(WINDOW, self.header.image_size - offset)
            data = whole[ROOM : ROOM + size]
            _fill(self.read_into, data)
            pending = _edited(data, offset, pending)
            yield Window(offset, size, whole)
            offset += size


def _edited(window: memoryview, offset: int, pending: Edits) -> Edits:
    """Write into a window what falls into it; gives what is left for later windows."""
    end = offset + len(window)
    while pending and pending[0][0] < end:
        at, data = pending[0]
        count = min(len(data), end - at)
        window[at - offset : at - offset + count] = data[:count]
        pending = [(at + count, data[count:]), *pending[1:]] if count < len(data) else pending[1:]
    return pending
