"""Ranges, names in headers, and the stream that always gets its last words."""

from __future__ import annotations

from collections.abc import Generator
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sharing.views.delivery import UNSATISFIABLE, Outgoing, asked_range, disposition


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, None),
        ("bytes=0-", (0, 100)),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 10)),
        ("bytes=90-200", (90, 10)),
        ("bytes=-1", (99, 1)),
        ("bytes=-500", (0, 100)),
        ("bytes=100-", UNSATISFIABLE),
        ("bytes=-0", UNSATISFIABLE),
        ("bytes=20-10", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("bytes=１-２", None),
        ("bytes=" + "9" * 30 + "-", None),
    ],
)
def test_one_range_or_the_whole(header: str | None, wanted: tuple[int, int] | None) -> None:
    assert asked_range(header, None, 100, "tag") == wanted


def test_another_file_is_sent_whole() -> None:
    assert asked_range("bytes=5-9", '"tag"', 100, "tag") == (5, 5)
    assert asked_range("bytes=5-9", '"other"', 100, "tag") is None
    assert asked_range("bytes=5-9", 'W/"tag"', 100, "tag") is None


@given(st.text(alphabet="bytes=-,0123456789 x", max_size=30), st.integers(0, 10**6))
def test_no_header_asks_beyond_the_file(header: str, size: int) -> None:
    found = asked_range(header, None, size, "tag")
    if found is not None and found != UNSATISFIABLE:
        start, length = found
        assert 0 <= start < size and 0 < length <= size - start


@given(st.text(min_size=1, max_size=80).filter(lambda name: name.isprintable()))
def test_any_name_makes_one_safe_header_and_comes_back_whole(name: str) -> None:
    header = disposition(name)
    assert header.isascii() and header.isprintable() and header.count('"') == 2
    assert unquote(header.partition("filename*=UTF-8''")[2]) == name


def test_a_stream_closed_before_its_first_byte_runs_its_last_words() -> None:
    closed = []

    def pieces() -> Generator[bytes, None, None]:
        try:
            yield b"one"
            yield b"two"
        finally:
            closed.append("yes")

    Outgoing(pieces()).close()
    assert closed == ["yes"]
    assert b"".join(Outgoing(pieces())) == b"onetwo"
    assert closed == ["yes", "yes"]
