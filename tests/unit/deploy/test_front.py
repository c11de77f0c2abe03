"""The two programs before the portal in production, run with the files that production uses."""

import contextlib
import http.server
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[3] / "deploy"
DEADLINE_S = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(command: list[str], ready: int, environment: dict[str, str], log: Path) -> Iterator[None]:
    """The program, from the moment its port accepts until the end of the block."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=os.environ | environment, stdout=out, stderr=out)
    pause, until = threading.Event(), time.monotonic() + DEADLINE_S
    try:
        while True:
            assert process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < until, log.read_text("utf-8")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", ready), 1):
                break
            pause.wait(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


def test_gunicorn_takes_its_configuration(tmp_path: Path) -> None:
    port = free_port()
    config = [
        "--config",
        str(DEPLOY / "gunicorn.conf.py"),
        "--bind",
        f"127.0.0.1:{port}",
        "--no-control-socket",
    ]
    command = [sys.executable, "-m", "gunicorn", *config, "--workers", "1", "wsgiref.simple_server:demo_app"]
    log = tmp_path / "log"
    with (
        running(command, port, {}, log),
        urllib.request.urlopen(
            f"http://127.0.0.1:{port}/invitation/sesame?ticket=sesame", timeout=5
        ) as answer,
    ):
        assert answer.status == 200
    text = log.read_text("utf-8")
    assert "gthread" in text
    assert "GET 200" in text
    assert "sesame" not in text


@pytest.fixture
def portal() -> Iterator[int]:
    """Stands in for the portal: answers with the headers it was asked with."""

    class Echo(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Server", "portal/1")
            self.end_headers()
            self.wfile.write(json.dumps(dict(self.headers)).encode())

        def log_message(self, *_: object) -> None:
            """Says nothing: the tests read the proxy's log."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.tools
def test_caddy_replaces_what_strangers_claim_and_logs_no_address(portal: int, tmp_path: Path) -> None:
    secure, plain, health = free_port(), free_port(), free_port()
    text = (DEPLOY / "Caddyfile").read_text("utf-8")
    # A certificate of its own, and ports that are free here; all else is the file of production.
    text = text.replace("admin off", "admin off\n\tlocal_certs\n\tskip_install_trust")
    text = text.replace("https_port 8443", f"https_port {secure}").replace(
        "http_port 8080", f"http_port {plain}"
    )
    text = text.replace("127.0.0.1:8081", f"127.0.0.1:{health}").replace("web:8000", f"127.0.0.1:{portal}")
    (tmp_path / "Caddyfile").write_text(text, "utf-8")
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(tmp_path / "Caddyfile")]
    places = {"SEALGATE_HOST": "localhost", "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    claims = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "for=203.0.113.9",
    }
    url = f"https://localhost:{secure}/invitation/sesame?ticket=sesame"
    log = tmp_path / "log"
    with running(command, secure, places, log):
        trust = ssl.create_default_context(cafile=authority(tmp_path))
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=claims), timeout=5, context=trust
        ) as answer:
            seen = json.loads(answer.read())
            assert answer.headers.get("Server") is None
        with urllib.request.urlopen(f"http://127.0.0.1:{health}/", timeout=5) as answer:
            assert answer.status == 200
    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert seen["X-Forwarded-Host"].partition(":")[0] == "localhost"
    assert seen["X-Forwarded-Proto"] == "https"
    assert "Forwarded" not in seen
    assert "handled request" in log.read_text("utf-8")
    assert "sesame" not in log.read_text("utf-8")


def authority(folder: Path) -> str:
    """The certificate of Caddy's own authority, once it has been made."""
    path, pause = folder / "caddy" / "pki" / "authorities" / "local" / "root.crt", threading.Event()
    until = time.monotonic() + DEADLINE_S
    while not path.exists():
        assert time.monotonic() < until
        pause.wait(0.05)
    return str(path)
