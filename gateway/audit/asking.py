"""One HTTP request to somebody who need not be trusted: over by its deadline, of bounded size, never redirected."""

import http.client
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

PIECE = 4096


def post(url: str, body: bytes, mime: str, *, end: float, limit: int) -> tuple[int, bytes]:
    """Status and body of one POST that is over by `end` (monotonic seconds), of at most `limit` bytes.

    Raises OSError (TimeoutError when the time is up) or HTTPException.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    link = kind(parts.hostname or "", parts.port, timeout=_left(end))
    try:
        link.request("POST", parts.path or "/", body, {"Content-Type": mime})
        if link.sock is not None:
            link.sock.settimeout(_left(end))
        got = link.getresponse()
        return got.status, b"".join(_read(link, got, end, limit))
    finally:
        link.close()


def _read(
    link: http.client.HTTPConnection, got: http.client.HTTPResponse, end: float, limit: int
) -> Iterator[bytes]:
    # Read bit by bit: a socket's own time-out begins anew with every byte that drips in.
    size = 0
    while True:
        left = _left(end)
        if link.sock is not None:
            link.sock.settimeout(left)
        piece = got.read1(PIECE)
        if not piece:
            return
        size += len(piece)
        if size > limit:
            raise OSError("the answer is too large")
        yield piece


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left
