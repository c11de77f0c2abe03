"""The witness's door, over real sockets."""

import socket
from typing import Any

import pytest

from gateway.audit import note
from gateway.audit.witness import server


def test_cosigns_over_http(door: Any, growing: Any, cosigner: Any) -> None:
    growing.grow(4)
    got = door.ask(growing.submission(0))
    assert (got.status, got.content_type) == (200, "text/plain; charset=utf-8")
    held = note.parse(growing.checkpoint() + got.body.decode())
    cosigner.key.verify(held.text, held.signatures[-1])
    assert door.told == ["200 cosigned"]


def test_every_status_of_the_specification(door: Any, growing: Any, other: Any) -> None:
    growing.grow(4)
    fork = other()
    fork.grow(9, "fork")
    foreign = other(name="else.example/log")
    assert door.ask(b"nonsense").status == 400
    assert door.ask(other(seed=5).submission(0)).status == 403
    assert door.ask(foreign.submission(0)).status == 404
    assert door.ask(growing.submission(0)).status == 200
    conflict = door.ask(growing.submission(2))
    assert (conflict.status, conflict.body, conflict.content_type) == (409, b"4\n", "text/x.tlog.size")
    assert door.ask(fork.submission(4)).status == 422


def test_tells_its_key_and_nothing_else(door: Any, cosigner: Any) -> None:
    assert door.ask(b"", "GET", "/").body.decode() == cosigner.key.text + "\n"
    assert door.ask(b"", "GET", "/records.json").status == 404
    assert door.ask(b"x", "POST", "/").status == 404
    assert door.ask(b"x", "PUT").status == 501


def test_a_prefix_before_the_call_is_allowed(door: Any, growing: Any) -> None:
    growing.grow(1)
    assert door.ask(growing.submission(0), path="/witness/add-checkpoint").status == 200


def test_a_large_body_is_not_read(door: Any) -> None:
    assert door.ask(b"", Content_Length=str(server.MAX_BODY_BYTES + 1)).status == 413
    assert door.ask(b"", Content_Length="9" * 5000).status == 413


def test_a_body_without_length_is_not_read(door: Any) -> None:
    # Two statements of one length is how requests are smuggled.
    assert door.ask(b"", Transfer_Encoding="chunked", Content_Length="0").status == 411
    assert door.ask(b"", Content_Length="-1").status == 411
    assert door.ask(b"", Content_Length="²").status in (400, 411)


def test_one_connection_serves_several_requests(door: Any, growing: Any) -> None:
    growing.grow(2)
    body = growing.submission(0)
    head = f"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection((door.host, door.port), timeout=20) as link, link.makefile("rb") as answers:
        for status in (b"200", b"409"):
            link.sendall(head + body)
            line, length = answers.readline(), 0
            assert status in line
            while (header := answers.readline()) != b"\r\n":
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            answers.read(length)


def test_too_many_connections_are_closed(door: Any, growing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    held = [
        socket.create_connection((door.host, door.port), timeout=20) for _ in range(server.MAX_AT_ONCE + 1)
    ]
    try:
        assert held[-1].recv(1) == b""
    finally:
        for link in held:
            link.close()


def test_a_broken_connection_is_told_without_address(door: Any, growing: Any) -> None:
    growing.grow(1)
    with socket.create_connection((door.host, door.port), timeout=20) as link:
        link.sendall(b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 100\r\n\r\nold 0")
        link.shutdown(socket.SHUT_WR)
        assert b" 400 " in link.makefile("rb").readline()
    assert door.ask(growing.submission(0)).status == 200
