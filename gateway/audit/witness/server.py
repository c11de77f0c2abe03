"""The witness's door: HTTP/1.1 with the standard library; TLS, where it is wanted, ends in front of it."""

import threading
from collections.abc import Callable
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any

from gateway.audit.witness.errors import PLAIN, Rejected
from gateway.audit.witness.rules import Witness

MAX_BODY_BYTES = 64 << 10
IDLE_S = 15.0
MAX_AT_ONCE = 64

Tell = Callable[[str], None]


class Server(ThreadingHTTPServer):
    """Serves one witness; `tell` hears one line a submission. More than MAX_AT_ONCE connections are closed unheard."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, address: tuple[str, int], witness: Witness, *, clock: Callable[[], datetime], tell: Tell
    ) -> None:
        self.witness, self.clock, self.tell = witness, clock, tell
        self._free = threading.BoundedSemaphore(MAX_AT_ONCE)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Starts a thread for the connection, or closes it when too many are open."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answers one connection and frees its place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """Says that a connection broke; who was connected is not kept."""
        self.tell("connection broke")


class _Handler(BaseHTTPRequestHandler):
    """GET / tells the key, POST /add-checkpoint cosigns, everything else is not there."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "witness", ""
    timeout = IDLE_S

    def do_GET(self) -> None:
        """The witness's public key, which is also the sign that it runs."""
        if self.path == "/":
            self._answer(200, self.server.witness.vkey + "\n")
        else:
            self._answer(404, "not found\n")

    def do_POST(self) -> None:
        """One submission."""
        if self.path.rpartition("/")[2] != "add-checkpoint":
            self._refuse_unread(404, "not found")
            return
        body = self._body()
        if body is None:
            return
        try:
            line = self.server.witness.add_checkpoint(body, now=self.server.clock())
        except Rejected as refusal:
            self.server.tell(f"{refusal.status} {refusal.what}")
            self._answer(refusal.status, refusal.body, refusal.content_type)
        except OSError:
            self.server.tell("500 the record cannot be kept")
            self._answer(500, "the record cannot be kept\n")
        else:
            self.server.tell("200 cosigned")
            self._answer(200, line)

    def _body(self) -> bytes | None:
        """The request's bytes, or None after it was refused."""
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdecimal()):
            self._refuse_unread(411, "the length must be stated")
            return None
        if int(length[:9]) > MAX_BODY_BYTES or len(length) > 9:
            self._refuse_unread(413, "too large")
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self._refuse_unread(400, "cut off")
            return None
        return body

    def _refuse_unread(self, status: int, what: str) -> None:
        # What was not read would be taken for the next request.
        self.close_connection = True
        self._answer(status, what + "\n")

    def _answer(self, status: int, text: str, content_type: str = PLAIN) -> None:
        content = text.encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's.
        """Says nothing: addresses and paths are not kept."""
