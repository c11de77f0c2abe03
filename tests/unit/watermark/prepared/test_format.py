"""A prepared document is read whole and right, or not at all."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watermark.errors import BadPrepared
from watermark.prepared import format as fmt
from watermark.prepared.format import HEADER, Field, Index, Kind, Page, Patch
from watermark.prepared.windows import Opened, from_pieces
from watermark.profiles import VECTOR

VECTOR_FILE = Path(__file__).resolve().parents[3] / "vectors" / "watermark" / "prepared-1.bin"
PAGE = Page(595.0, 842.0, 90, 1.0)
PATCHES = tuple((what, 1000 + 100 * place) for place, what in enumerate(Patch))
GOOD = Index(VECTOR, ((16, 64), (80, 160)), (Field("T", 96, 96),), PATCHES, (PAGE,), {"actions": 2})


def _read(index: Index, kind: Kind = Kind.R6, size: int = 2000) -> Index:
    data = fmt.write_index(index)
    return fmt.read_index(fmt.header_for(kind, bytes(32), data, size), data)


def test_what_was_written_is_read() -> None:
    read = _read(GOOD)
    assert fmt.write_index(read) == fmt.write_index(GOOD)
    assert (read.fields, read.pages, read.removed) == (GOOD.fields, (PAGE,), {"actions": 2})


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, streams=((16, 64), (79, 160))),
        replace(GOOD, streams=((80, 160), (16, 64))),
        replace(GOOD, streams=((16, 60), (80, 160))),
        replace(GOOD, streams=((16, 16), (80, 160))),
        replace(GOOD, streams=((16, 64), (80, 1 << 40))),
        replace(GOOD, fields=(Field("T", 80, 96),)),
        replace(GOOD, fields=(Field("T", 96, 144),)),
        replace(GOOD, fields=(Field("T", 300, 16),)),
        replace(GOOD, fields=()),
        replace(GOOD, fields=(Field("T", 96, 16), Field("T", 112, 16))),
        replace(GOOD, fields=(Field("T", 96, 32), Field("F", 112, 16))),
        replace(GOOD, patches=PATCHES[1:]),
        replace(GOOD, patches=(*PATCHES[:-1], (Patch.PERMS, 100))),
        replace(GOOD, patches=(*PATCHES[:-1], (Patch.PERMS, 1990))),
        replace(GOOD, pages=()),
    ],
)
def test_what_does_not_hold_together_is_refused(bad: Index) -> None:
    with pytest.raises(BadPrepared):
        _read(bad)


def test_a_plain_document_has_nothing_to_cipher() -> None:
    plain = replace(GOOD, streams=(), patches=((Patch.ID, 1000), (Patch.ID, 1040)))
    assert _read(plain, Kind.PLAIN).streams == ()
    with pytest.raises(BadPrepared):
        _read(GOOD, Kind.PLAIN)
    with pytest.raises(BadPrepared):
        _read(plain, Kind.R6)


@given(st.data())
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_changed_byte_of_header_or_index_is_refused(
    prepared_bytes: dict[Kind, bytes], data: st.DataObject
) -> None:
    """But for the key, which is no part of what a reader must understand."""
    whole = bytearray(prepared_bytes[Kind.R6])
    index_size = fmt.read_header(bytes(whole[: HEADER.size])).index_size
    at = data.draw(st.integers(0, HEADER.size + index_size - 1).filter(lambda place: not 8 <= place < 40))
    whole[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadPrepared):
        _whole(bytes(whole), index_size)


def _whole(data: bytes, index_size: int) -> None:
    """Read everything; an image shorter than what follows it counts as refused too, for a store knows an object's length."""
    opened = Opened.of(from_pieces(iter([data])))
    list(opened.windows([]))
    if opened.header.image_size != len(data) - HEADER.size - index_size:
        raise BadPrepared("the image is shorter than the document")


@given(st.binary(max_size=400), st.binary(max_size=200))
@settings(deadline=None, max_examples=300)
def test_no_bytes_break_the_reader(index: bytes, tail: bytes) -> None:
    """An index of any bytes under a header that vouches for it is refused or read, never anything else."""
    header = fmt.Header(Kind.R6, bytes(32), len(index), 4096, hashlib.sha256(index).digest())
    for data in (tail, header.to_bytes() + index + tail):
        with pytest.raises(BadPrepared):
            Opened.of(from_pieces(iter([data])))


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_a_changed_index_under_a_right_digest_is_refused_or_holds_together(data: st.DataObject) -> None:
    written = bytearray(fmt.write_index(GOOD))
    for _ in range(data.draw(st.integers(1, 3))):
        written[data.draw(st.integers(0, len(written) - 1))] = data.draw(st.integers(0, 255))
    header = fmt.header_for(Kind.R6, bytes(32), bytes(written), 2000)
    try:
        read = fmt.read_index(header, bytes(written))
    except BadPrepared:
        return
    assert all(start >= 0 and start + size <= 2000 for start, size in read.streams)
    assert fmt.write_index(read) == bytes(written)


@pytest.mark.parametrize("cut", [0, 1, HEADER.size - 1, HEADER.size, HEADER.size + 10, -1])
def test_a_document_cut_short_is_refused(cut: int, prepared_bytes: dict[Kind, bytes]) -> None:
    data = prepared_bytes[Kind.PLAIN]
    with pytest.raises(BadPrepared):
        _whole(data[:cut], fmt.read_header(data[: HEADER.size]).index_size)


def test_choices_of_a_later_version_are_refused(prepared_bytes: dict[Kind, bytes]) -> None:
    data = bytearray(fmt.write_index(GOOD))
    data[23] = 1
    with pytest.raises(BadPrepared):
        fmt.read_index(fmt.header_for(Kind.R6, bytes(32), bytes(data), 2000), bytes(data))


def test_pieces_of_any_size_are_one_document(prepared_bytes: dict[Kind, bytes]) -> None:
    whole = prepared_bytes[Kind.PLAIN]
    cuts = [whole[at : at + 777] for at in range(0, len(whole), 777)]
    opened = Opened.of(from_pieces(iter(cuts)))
    assert b"".join(bytes(window.data) for window in opened.windows([])) == whole[-opened.header.image_size :]


def test_the_frozen_document_is_read_as_it_was_written() -> None:
    data = VECTOR_FILE.read_bytes()
    opened = Opened.of(from_pieces(iter([data])))
    assert opened.header.key == bytes(range(32))
    assert opened.header.kind is Kind.R6
    assert fmt.write_index(opened.index) == fmt.write_index(GOOD)
    image = b"".join(bytes(window.data) for window in opened.windows([]))
    assert image == bytes(place % 251 for place in range(2000))
    assert opened.header.to_bytes() + fmt.write_index(GOOD) + image == data
