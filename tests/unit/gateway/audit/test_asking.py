"""One request to somebody who need not be trusted: its deadline and its size hold whatever the other side does."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from gateway.audit.asking import post

LIMIT = 1000


@contextmanager
def answering(pieces: Callable[[], Iterator[bytes]]) -> Iterator[str]:
    """The address of a server that sends these pieces to whoever asks, until the asker is gone."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            link, _ = listener.accept()
            with link:
                link.recv(65_536)
                try:
                    for piece in pieces():
                        link.sendall(piece)
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/ask"
        thread.join(20)
        assert not thread.is_alive()


def asked(url: str, seconds: float = 10) -> tuple[int, bytes]:
    return post(url, b"question", "text/plain", end=time.monotonic() + seconds, limit=LIMIT)


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_an_answer_within_the_limit_is_whole(size: int) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode()
    with answering(lambda: iter([head, b"x" * size])) as url:
        assert asked(url) == (200, b"x" * size)


@pytest.mark.parametrize("head", [b"Content-Length: 1001\r\n", b"Connection: close\r\n"])
def test_one_byte_more_is_refused(head: bytes) -> None:
    with (
        answering(lambda: iter([b"HTTP/1.1 200 OK\r\n" + head + b"\r\n", b"x" * (LIMIT + 1)])) as url,
        pytest.raises(OSError, match="too large"),
    ):
        asked(url)


def test_bytes_that_drip_do_not_stretch_the_deadline() -> None:
    pause = threading.Event()

    def drip() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"
        for _ in range(60):
            yield b"x"
            pause.wait(0.05)

    begun = time.monotonic()
    with answering(drip) as url, pytest.raises(TimeoutError):
        asked(url, 0.4)
    assert time.monotonic() - begun < 5


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    with answering(lambda: iter([head])) as url:
        assert asked(url) == (302, b"")
