"""The embedded installation: waitress, the worker and the sweeps in one process."""

import signal
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from waitress import create_server

from gateway import bootstrap
from gateway.app import create_app
from gateway.config import Settings
from gateway.deps import Deps
from gateway.engine import Engine

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MAX_BODY = 16 << 20
SLICE = 64 << 10
SEND_BUFFER = 256 << 10
STALLED_S = 120
GRACE_S = 2


def serve_portal(settings: Settings, host: str, port: int) -> None:
    """Serves until SIGINT or SIGTERM; the work at hand is finished first.

    Raises ConfigError, and OSError for a port that is taken.
    """
    deps = bootstrap.start(settings)
    try:
        with running(deps, host, port):
            until_ended()
    finally:
        deps.database.close()


def run_worker(settings: Settings) -> None:
    """Runs jobs, mail and sweeps until SIGINT or SIGTERM; the job at hand is finished first. Raises ConfigError."""
    deps = bootstrap.start(settings)
    engine = Engine(deps)
    engine.start()
    try:
        until_ended()
    finally:
        engine.stop()
        deps.database.close()


def until_ended() -> None:
    """Blocks the main thread for good; `ends_on_signals` is the way out."""
    threading.Event().wait()


@contextmanager
def ends_on_signals() -> Iterator[None]:
    """A block that SIGINT and SIGTERM end wherever it is, unwinding what it began; for the main thread."""
    raise_on_signals()
    try:
        yield
    except KeyboardInterrupt:
        pass


def raise_on_signals() -> None:
    """Makes SIGTERM, and SIGINT even where it is ignored, raise KeyboardInterrupt in the main thread.

    An exception unwinds whatever was begun; a handler that stopped threads itself could wait for a lock its own thread holds.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)


def _server(deps: Deps, host: str, port: int) -> Any:
    return create_server(
        _sliced(create_app(deps)),
        sockets=[_listener(host, port)],
        threads=8,
        ident=None,
        max_request_body_size=MAX_BODY,
        # What waits here was let through already: little of it, so that a revocation stops a download in time,
        # and all of it in memory.
        outbuf_high_watermark=SLICE,
        outbuf_overflow=MAX_BODY,
        # A part of an upload is clear text until it is sealed; a body larger than this would be spooled to a file.
        inbuf_overflow=MAX_BODY + 1,
    )


def _listener(host: str, port: int) -> socket.socket:
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    # Accepted connections inherit both: the kernel's buffer is small for the same reason, and a reader who takes nothing
    # for so long gives the thread back.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_S * 1000)
    return listener


def _sliced(app: "WSGIApplication") -> "WSGIApplication":
    """The same application with its answers in slices: waitress takes a piece whole however much it has waiting."""

    def sliced(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        return _Slices(app(environ, start_response))

    return sliced


class _Slices:
    """An answer's bytes in slices; closing it closes the answer."""

    def __init__(self, answer: Iterable[bytes]) -> None:
        self._answer = answer
        self._slices = (piece[at : at + SLICE] for piece in answer for at in range(0, len(piece) or 1, SLICE))

    def __iter__(self) -> Iterator[bytes]:
        return self._slices

    def close(self) -> None:
        """Called by the server when the answer is over or the reader is gone."""
        close = getattr(self._answer, "close", None)
        if close is not None:
            close()


@contextmanager
def running(deps: Deps, host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """The portal in background threads, for as long as the block lasts; yields the port (a free one for 0)."""
    engine = Engine(deps)
    server = _server(deps, host, port)
    thread = threading.Thread(target=server.run, name="waitress", daemon=True)
    engine.start()
    thread.start()
    try:
        yield int(server.effective_port)
    finally:
        _end(server, thread)
        engine.stop()


def _end(server: Any, thread: threading.Thread) -> None:
    # Short requests are answered; then streams are cut, and each writes its closing entry.
    server.task_dispatcher.shutdown(timeout=GRACE_S)
    server.trigger.pull_trigger(lambda: _hang_up(server))
    server.task_dispatcher.shutdown(timeout=GRACE_S)
    thread.join(GRACE_S)


def _hang_up(server: Any) -> None:
    for channel in list(server.active_channels.values()):
        channel.handle_close()
    server.close()


def free_port() -> int:
    """A loopback port that is free now, for an origin that has to be known before the server starts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
