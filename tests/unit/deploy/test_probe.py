"""The health probe: finds the worker, and believes the portal only when it answers 200."""

import http.server
import importlib.util
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def probe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("probe", ROOT / "deploy" / "probe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def process(folder: Path, number: int, *words: str) -> None:
    (folder / str(number)).mkdir()
    (folder / str(number) / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))


def test_finds_a_running_worker(probe: ModuleType, tmp_path: Path) -> None:
    process(tmp_path, 1, "/sbin/docker-init", "--", "sealgate", "serve")
    process(tmp_path, 7, "/opt/sealgate/bin/python", "/opt/sealgate/bin/sealgate", "worker")
    assert probe.worker(tmp_path)


@pytest.mark.parametrize("words", [(), ("python", "probe.py", "worker"), ("sealgate", "serve")])
def test_misses_a_worker_that_is_gone(probe: ModuleType, tmp_path: Path, words: tuple[str, ...]) -> None:
    process(tmp_path, 7, *words)
    assert not probe.worker(tmp_path)


@pytest.fixture
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """A server on loopback that answers /healthz with the status of the test's parameter, and 404 elsewhere."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing: the tests read no log of it."""

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("port", "healthy"), [(200, True), (503, False), (400, False)], indirect=["port"])
def test_believes_the_portal_only_when_it_says_so(probe: ModuleType, port: int, healthy: bool) -> None:
    assert probe.portal(port) is healthy


def test_a_portal_that_does_not_answer_is_ill(probe: ModuleType) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert not probe.portal(closed.getsockname()[1])


def test_a_witness_is_well_when_it_tells_its_key(probe: ModuleType) -> None:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            assert probe.witness(server.server_port)
        finally:
            server.shutdown()
            thread.join()
    assert not probe.witness(server.server_port)
