"""The embedded installation: waitress, the worker and the sweeps in one process."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from waitress import create_server

from gateway import bootstrap
from gateway.app import create_app
from gateway.config import Settings
from gateway.deps import Deps
from gateway.engine import Engine

MAX_BODY = 16 << 20


def serve_portal(settings: Settings, host: str, port: int) -> None:
    """Serves until interrupted."""
    deps = bootstrap.build(settings)
    engine = Engine(deps)
    engine.start()
    server = _server(deps, host, port)
    try:
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        engine.stop()
        deps.database.close()


def _server(deps: Deps, host: str, port: int) -> Any:
    # A small send buffer keeps the server at most 1 MiB ahead of the client, so that a revocation stops a download in time.
    return create_server(
        create_app(deps),
        host=host,
        port=port,
        threads=8,
        ident=None,
        max_request_body_size=MAX_BODY,
        outbuf_high_watermark=1 << 20,
        outbuf_overflow=1 << 20,
    )


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
        server.close()
        engine.stop()


def free_port() -> int:
    """A loopback port that is free now, for an origin that has to be known before the server starts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
