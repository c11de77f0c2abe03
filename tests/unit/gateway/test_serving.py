"""The embedded server: it ends in time, and what a revocation stops is stopped."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from flask import Flask
from waitress.parser import HTTPRequestParser

from gateway import serving
from gateway.sharing import service as sharing
from gateway.sharing.models import Bundle, Transfer
from gateway.sharing.service.sealing import FILE, object_id
from gateway.web.visitor import TOKEN
from tests.worlds import Scene

SIZE = 32 << 20
PIECE = 1 << 20
RECEIVE = 64 << 10


def await_true(until: Callable[[], bool], *, within_s: float = 30) -> bool:
    pause, end = threading.Event(), time.monotonic() + within_s
    while not until():
        if time.monotonic() > end:
            return False
        pause.wait(0.02)
    return True


@pytest.fixture
def big(scene: Scene) -> Scene:
    """The ready bundle with 32 MiB of stored bytes in its place."""
    store = scene.deps.bundles
    store.delete(object_id(scene.bundle), FILE)
    store.put(object_id(scene.bundle), FILE, (bytes([n]) * PIECE for n in range(SIZE // PIECE)))
    scene.sql("UPDATE bundle SET size = :n WHERE id = :b", n=SIZE, b=scene.bundle)
    return scene


@pytest.fixture
def port(big: Scene) -> Iterator[int]:
    with serving.running(big.deps) as port:
        yield port


def cookie(app: Flask, token: str) -> str:
    """The session cookie of a browser that holds this token."""
    client = app.test_client()
    with client.session_transaction() as held:
        held[TOKEN] = token
    found = client.get_cookie("sealgate")
    assert found is not None
    return f"sealgate={found.value}"


class Reader:
    """A download over a socket that takes little at a time."""

    def __init__(self, scene: Scene, port: int) -> None:
        token, actor = scene.world.session("s1")
        ticket = scene.collect(actor)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", port))
        head = (
            f"GET /t/{ticket} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie(scene.world.app, token)}\r\n\r\n"
        )
        self.socket.sendall(head.encode())
        self.got = 0

    def headers(self) -> bytes:
        read = b""
        while b"\r\n\r\n" not in read:
            read += self.socket.recv(1)
        return read

    def take(self, size: int) -> None:
        until = self.got + size
        while self.got < until and (data := self.socket.recv(min(65536, until - self.got))):
            self.got += len(data)

    def rest(self) -> None:
        """Reads until the server ends the connection."""
        try:
            while data := self.socket.recv(65536):
                self.got += len(data)
        except ConnectionResetError:
            pass

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def reader(big: Scene, port: int) -> Iterator[Reader]:
    made = Reader(big, port)
    yield made
    made.close()


def outcomes(scene: Scene) -> list[tuple[str | None, int | None]]:
    with scene.deps.database.read() as session:
        return [(row.outcome, row.sent) for row in session.query(Transfer)]


def test_a_whole_download_arrives(big: Scene, reader: Reader) -> None:
    head = reader.headers()
    assert head.startswith(b"HTTP/1.1 200") and f"Content-Length: {SIZE}".encode() in head
    reader.take(SIZE)
    assert reader.got == SIZE
    assert await_true(lambda: outcomes(big) == [("COMPLETED", SIZE)]), outcomes(big)


def test_a_revocation_stops_a_running_download(big: Scene, reader: Reader) -> None:
    assert reader.headers().startswith(b"HTTP/1.1 200")
    reader.take(3 * PIECE)
    sharing.revoke(
        big.deps, big.share, "供应商变更，不再需要资料", actor=big.world.actor("biz.sj"), now=big.world.now()
    )
    at = reader.got
    reader.rest()
    # Doubled by the kernel on both sides; and one piece that was let through before.
    buffers = 2 * serving.SEND_BUFFER + 2 * RECEIVE + 2 * serving.SLICE
    assert reader.got < SIZE
    assert reader.got - at <= PIECE + buffers, reader.got - at
    assert await_true(lambda: bool(big.world.leaves("release.aborted")))
    assert await_true(lambda: outcomes(big)[0][0] == "ABORTED")
    assert not big.world.leaves("release.completed")


def test_a_reader_who_goes_away_leaves_an_aborted_entry(big: Scene, reader: Reader) -> None:
    assert reader.headers().startswith(b"HTTP/1.1 200")
    reader.take(PIECE)
    reader.close()
    assert await_true(lambda: bool(big.world.leaves("release.aborted")))
    assert await_true(lambda: outcomes(big)[0][0] == "ABORTED")
    assert len(outcomes(big)) == 1 and 0 < (outcomes(big)[0][1] or 0) < SIZE


def test_ending_cuts_a_stalled_download_and_closes_its_entry(big: Scene) -> None:
    with serving.running(big.deps) as port:
        reader = Reader(big, port)
        reader.headers()
        reader.take(PIECE)
        began = time.monotonic()
    taken = time.monotonic() - began
    reader.close()
    assert taken < 10
    assert big.world.leaves("release.aborted")
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        pass


def test_an_idle_portal_ends_at_once(scene: Scene) -> None:
    with serving.running(scene.deps) as port:
        with socket.create_connection(("127.0.0.1", port)) as asked:
            asked.sendall(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
            assert asked.recv(64).startswith(b"HTTP/1.0 200")
        began = time.monotonic()
    assert time.monotonic() - began < 5


def test_a_port_that_is_taken_stops_the_start(scene: Scene) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError),
        serving.running(scene.deps, port=taken.getsockname()[1]),
    ):
        pass


def test_a_free_port_can_be_bound() -> None:
    with socket.create_server(("127.0.0.1", serving.free_port())):
        pass


# --- a worker that was lost -------------------------------------------------------------------------------------


def test_another_worker_finishes_what_a_lost_one_had_begun(scene: Scene) -> None:
    """The row as a killed worker leaves it: RUNNING, with a heartbeat that has gone stale."""
    partner = scene.partner("s2")
    made = sharing.prepare(
        scene.deps, scene.share, scene.items[:1], wanted=None, actor=partner, now=scene.world.now()
    )[0]
    queue = scene.deps.queue
    (job,) = (row[0] for row in scene.sql("SELECT id FROM job WHERE state = 'QUEUED'"))
    assert queue._claim(job) is not None
    scene.world.drain()
    assert scene.bundle_row(made).state == "PREPARING"
    scene.world.clock.offset += timedelta(seconds=90)
    assert queue.reap(now=scene.world.now()) == 1
    scene.world.drain()
    with scene.deps.database.read() as session:
        assert session.get_one(Bundle, made).state == "READY"


def test_the_largest_body_waits_in_memory_and_never_in_a_file(scene: Scene) -> None:
    server = serving._server(scene.deps, "127.0.0.1", 0)
    try:
        parser = HTTPRequestParser(server.adj)
        parser.received(
            b"PUT /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (serving.MAX_BODY - 1)
        )
        for _ in range(serving.MAX_BODY >> 20):
            parser.received(bytes(1 << 20))
        assert parser.completed and parser.error is None
        assert parser.body_rcv is not None
        assert not parser.body_rcv.getbuf().overflowed
    finally:
        server.close()
