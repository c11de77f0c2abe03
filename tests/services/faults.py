"""A TCP proxy that spoils what passes: between a client and a server of HTTP, one fault at a time, on chosen requests.

    with broken_line("http://127.0.0.1:9000") as line:
        client of line.url …
        line.spoil(FAULTS["answer lost"], count=1)     the next request only
        line.spoil(FAULTS["black hole"])               every request from now on
        line.heal()

It knows of HTTP only where a request begins, so that a fault meets one request however connections are reused.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

_REQUEST = re.compile(rb"(?:GET|HEAD|PUT|POST|DELETE) [^ ]+ HTTP/1\.1\r\n")
_SLOW_DOWN = (
    b"<Error><Code>SlowDown</Code><Message>Reduce your rate</Message><RequestId>0</RequestId></Error>"
)
_INTERNAL = b"<Error><Code>InternalError</Code><Message>We failed</Message><RequestId>0</RequestId></Error>"


def _answer(status: str, body: bytes = b"") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\nConnection: close"
    return head.encode() + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Fault:
    """What happens to one request and its answer; lengths in bytes, times in seconds.

    `request_cut` and `answer_cut`: the line breaks after so many bytes of it have passed, by an orderly end, by a reset
    (`reset`), or by ending only the way to the client (`half`). `instead` is sent to the client in place of the answer,
    before the server hears of the request or, with `done`, after it has answered.
    """

    delay: float = 0.0
    request_cut: int | None = None
    answer_cut: int | None = None
    reset: bool = False
    half: bool = False
    hole: bool = False
    lost: bool = False
    instead: bytes | None = None
    done: bool = False
    twice: str = ""
    trickle: int = 0


FAULTS = {
    "late": Fault(delay=0.1),
    "too late": Fault(delay=1.8),
    "answer cut at 0": Fault(answer_cut=0),
    "answer cut at 1": Fault(answer_cut=1),
    "answer cut in the status": Fault(answer_cut=17),
    "answer cut in the headers": Fault(answer_cut=120),
    "answer cut at 400": Fault(answer_cut=400),
    "answer cut at 700000": Fault(answer_cut=700_000),
    "request cut at 0": Fault(request_cut=0),
    "request cut in the headers": Fault(request_cut=50),
    "request cut at 2000": Fault(request_cut=2000),
    "reset at once": Fault(request_cut=0, reset=True),
    "reset in the request": Fault(request_cut=300, reset=True),
    "reset in the answer": Fault(answer_cut=200, reset=True),
    "black hole": Fault(hole=True),
    "answer lost": Fault(lost=True),
    "503 SlowDown": Fault(instead=_answer("503 Slow Down", _SLOW_DOWN)),
    "bare 503 though done": Fault(instead=_answer("503 Service Unavailable"), done=True),
    "500 InternalError": Fault(instead=_answer("500 Internal Server Error", _INTERNAL)),
    "answer twice at once": Fault(twice="now"),
    "answer again later": Fault(twice="later"),
    "garbage": Fault(instead=b"\x16\x03\x01 this is no HTTP at all \x00\xff\r\n\r\n"),
    "half closed": Fault(answer_cut=100, half=True),
    "trickle": Fault(trickle=150),
}


class Line:
    """The proxy: its address, and what happens to requests from now on. `met` counts those that met a fault."""

    def __init__(self, upstream: str) -> None:
        self._target = (urlsplit(upstream).hostname, urlsplit(upstream).port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.over, self._lock = threading.Event(), threading.Lock()
        self._fault: Fault | None = None
        self._after, self._count, self.met = 0, 0, 0
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def spoil(self, fault: Fault, *, after: int = 0, count: int = 1 << 30) -> None:
        """Let `after` requests pass and spoil the `count` that follow."""
        with self._lock:
            self._fault, self._after, self._count, self.met = fault, after, count, 0

    def heal(self) -> None:
        """Let everything pass."""
        with self._lock:
            self._fault = None

    def next_fault(self) -> Fault | None:
        """What the request that begins now meets."""
        with self._lock:
            if self._fault is None or self._count == 0:
                return None
            if self._after:
                self._after -= 1
                return None
            self._count -= 1
            self.met += 1
            return self._fault

    def close(self) -> None:
        """End every connection and wait for the threads."""
        self.over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self.over.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server, contextlib.suppress(OSError, _Broken):
            _Connection(self, client, server).run()


class _Broken(Exception):
    """The fault has ended this connection."""


class _Connection:
    def __init__(self, line: Line, client: socket.socket, server: socket.socket) -> None:
        self._line, self._client, self._server = line, client, server
        self._fault: Fault | None = None
        self._asked = self._answered = 0
        self._copy, self._head = bytearray(), False

    def run(self) -> None:
        while not self._line.over.is_set():
            ready, _, _ = select.select([self._client, self._server], [], [], 0.02)
            if self._client in ready:
                self._request(self._read(self._client))
            if self._server in ready:
                self._reply(self._read(self._server))

    def _read(self, end: socket.socket) -> bytes:
        data = end.recv(65536)
        if not data:
            raise _Broken
        return data

    def _request(self, data: bytes) -> None:
        if _REQUEST.match(data):
            if self._fault and self._fault.twice == "later" and self._copy:
                self._client.sendall(self._copy)
            self._fault, self._asked, self._answered = self._line.next_fault(), 0, 0
            self._head = data.startswith(b"HEAD ")
            self._copy.clear()
        fault = self._fault
        if fault and fault.hole:
            return
        if fault and fault.instead is not None and not fault.done:
            self._part(fault.instead)
        if fault and fault.request_cut is not None and self._asked + len(data) >= fault.request_cut:
            self._server.sendall(data[: fault.request_cut - self._asked])
            self._break(fault)
        self._asked += len(data)
        self._server.sendall(data)

    def _reply(self, data: bytes) -> None:
        fault = self._fault
        if fault is None or data.startswith(b"HTTP/1.1 100"):
            self._client.sendall(data)
            return
        if fault.delay and not self._answered:
            self._line.over.wait(fault.delay)
        if fault.lost:
            return
        if fault.instead is not None:
            self._part(fault.instead)
        if fault.answer_cut is not None and self._answered + len(data) >= fault.answer_cut:
            self._client.sendall(data[: fault.answer_cut - self._answered])
            self._break(fault)
        self._pass_on(data, fault)
        self._answered += len(data)

    def _pass_on(self, data: bytes, fault: Fault) -> None:
        if fault.twice:
            self._copy += data
        slow = max(0, min(len(data), fault.trickle - self._answered))
        for at in range(slow):
            self._line.over.wait(0.001)
            self._client.sendall(data[at : at + 1])
        self._client.sendall(data[slow:])
        if fault.twice == "now" and self._is_whole():
            self._client.sendall(self._copy)

    def _is_whole(self) -> bool:
        """Whether the answer in the copy has come to its end; one of unknown length is not sent again."""
        head, border, body = bytes(self._copy).partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        bare = self._head or b" 204 " in head[:16]
        return bool(border) and (bare or (length is not None and len(body) == int(length[1])))

    def _part(self, last: bytes) -> None:
        """Send the last words and wait until the client has taken them and gone."""
        self._client.sendall(last)
        self._client.shutdown(socket.SHUT_WR)
        self._drain()

    def _break(self, fault: Fault) -> None:
        if fault.half:
            self._client.shutdown(socket.SHUT_WR)
            self._drain()
        if fault.reset:
            # Without lingering, closing sends a reset.
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise _Broken

    def _drain(self) -> None:
        while not self._line.over.is_set():
            if select.select([self._client], [], [], 0.05)[0] and not self._client.recv(65536):
                break
        raise _Broken


@contextlib.contextmanager
def broken_line(upstream: str) -> Iterator[Line]:
    """A proxy in front of the server at `upstream`, a URL, for as long as the block lasts."""
    line = Line(upstream)
    try:
        yield line
    finally:
        line.close()
