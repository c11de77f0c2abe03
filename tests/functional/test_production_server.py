"""gunicorn with the product's own configuration: a revocation and a reader who goes away end a running download."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from gateway.serving import free_port
from gateway.sharing import service as sharing
from gateway.sharing.models import Transfer
from gateway.sharing.service.sealing import FILE, object_id
from gateway.web.visitor import TOKEN
from tests.factories import World
from tests.worlds import Scene, shared

ROOT = Path(__file__).parents[2]
PIECE = 1 << 20
SIZE = 32 << 20
RECEIVE = 64 << 10
# The kernel grows a connection's send buffer up to this.
SEND_MOST = int(Path("/proc/sys/net/ipv4/tcp_wmem").read_text().split()[2])


def await_true(until: Callable[[], bool], *, within_s: float = 60) -> bool:
    pause, end = threading.Event(), time.monotonic() + within_s
    while not until():
        if time.monotonic() > end:
            return False
        pause.wait(0.05)
    return True


@pytest.fixture
def scene(world: World) -> Scene:
    """A ready bundle with 32 MiB of stored bytes in its place."""
    made = shared(world)
    made.bundle = made.prepare()
    store = made.deps.bundles
    store.delete(object_id(made.bundle), FILE)
    store.put(object_id(made.bundle), FILE, (bytes([n]) * PIECE for n in range(SIZE // PIECE)))
    made.sql("UPDATE bundle SET size = :n WHERE id = :b", n=SIZE, b=made.bundle)
    return made


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as asked:
            asked.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return asked.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


@pytest.fixture
def port(scene: Scene, tmp_path: Path) -> Iterator[int]:
    """gunicorn over the scene's state, with deploy/gunicorn.conf.py but a loopback port of its own."""
    settings = scene.deps.settings
    env = os.environ | {
        "SEALGATE_HOME": str(settings.home),
        "SEALGATE_PUBLIC_ORIGIN": settings.public_origin,
        "SEALGATE_COMPANY_NAME": settings.company_name,
        "SEALGATE_COMPANY_USCC": settings.company_uscc,
        "SEALGATE_FONDS": settings.fonds,
        "SEALGATE_DEMO": "true",
        "WEB_WORKERS": "1",
    }
    port = free_port()
    command = [
        sys.executable, "-m", "gunicorn", "-c", str(ROOT / "deploy" / "gunicorn.conf.py"),
        "--bind", f"127.0.0.1:{port}", "gateway.app:create_app()",
    ]  # fmt: skip
    with (tmp_path / "gunicorn.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
    try:
        assert await_true(lambda: answers(port) or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "gunicorn.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(70)


def cookie(app: Flask, token: str) -> str:
    client = app.test_client()
    with client.session_transaction() as held:
        held[TOKEN] = token
    found = client.get_cookie("sealgate")
    assert found is not None
    return f"sealgate={found.value}"


@pytest.fixture
def download(scene: Scene, port: int) -> Iterator[socket.socket]:
    """A running download of which the headers are read."""
    token, actor = scene.world.session("s1")
    ticket = scene.collect(actor)
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE)
        made.settimeout(60)
        made.connect(("127.0.0.1", port))
        made.sendall(
            f"GET /t/{ticket} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie(scene.world.app, token)}\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head and (data := made.recv(1)):
            head += data
        assert head.startswith(b"HTTP/1.1 200"), head
        yield made


def take(reader: socket.socket, size: int) -> int:
    """Reads up to so many bytes; how many came before the end."""
    got = 0
    try:
        while got < size and (data := reader.recv(min(65536, size - got))):
            got += len(data)
    except ConnectionResetError:
        pass
    return got


def transfer(scene: Scene) -> Transfer:
    with scene.deps.database.read() as session:
        return session.query(Transfer).one()


def test_a_revocation_stops_a_running_download(scene: Scene, download: socket.socket) -> None:
    assert take(download, 3 * PIECE) == 3 * PIECE
    sharing.revoke(
        scene.deps,
        scene.share,
        "供应商变更，不再需要资料",
        actor=scene.world.actor("biz.sj"),
        now=scene.world.now(),
    )
    after = take(download, SIZE)
    assert after <= PIECE + SEND_MOST + 2 * RECEIVE < SIZE - 3 * PIECE
    assert await_true(lambda: transfer(scene).outcome == "ABORTED")
    assert [leaf.event for leaf in scene.world.leaves("release.completed")] == []


def test_a_reader_who_goes_away_leaves_an_aborted_entry(scene: Scene, download: socket.socket) -> None:
    assert take(download, PIECE) == PIECE
    download.close()
    assert await_true(lambda: transfer(scene).outcome == "ABORTED")
    (leaf,) = scene.world.leaves("release.aborted")
    assert leaf.object_id == scene.bundle
    assert 0 < transfer(scene).sent < SIZE
