"""The witness as a program of its own: what it loads, how it starts, and what a kill leaves behind."""

import contextlib
import http.client
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.audit import note
from gateway.audit.witness import __main__ as program
from gateway.audit.witness import cosignature
from gateway.cli import main as door_main

NAME = "witness.example/w1"


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, cosignature.CosignatureKey]:
    home = tmp_path / "w"
    assert program.main(["init", "--home", str(home), "--name", NAME]) == 0
    return home, cosignature.parse_key(capsys.readouterr().out)


def test_loads_nothing_of_the_portal() -> None:
    code = (
        "import sys, gateway.audit.witness.__main__;"
        "print([m for m in sys.modules if m.split('.')[0] in"
        " ('flask', 'sqlalchemy', 'pydantic', 'pydantic_settings', 'click', 'werkzeug', 'structlog')"
        " or m in ('gateway.config', 'gateway.db', 'gateway.bootstrap')])"
    )
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert got.stdout == "[]\n"


def test_init_prints_the_key_and_never_makes_another(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    home, key = made
    assert program.main(["vkey", "--home", str(home)]) == 0
    assert capsys.readouterr().out.strip() == key.text
    assert program.main(["init", "--home", str(home), "--name", NAME]) == 1
    assert "never overwritten" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["init", "--home", "{}", "--name", "two words"],
        ["vkey", "--home", "{}"],
        ["serve", "--home", "{}", "--log", "nonsense"],
        ["serve", "--home", "{}", "--log", "nonsense", "--listen", "nowhere"],
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert program.main([part.replace("{}", str(tmp_path / "h")) for part in arguments]) == 1
    said = capsys.readouterr().err
    assert said.startswith("sealgate witness: ") and said.count("\n") == 1 and str(tmp_path) not in said


def test_the_command_becomes_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda path, argv: seen.append(argv))
    done = CliRunner().invoke(door_main, ["witness", "serve", "--home", "x", "--log", "k"])
    assert done.exit_code == 0
    assert seen[0][1:] == ["-m", "gateway.audit.witness", "serve", "--home", "x", "--log", "k"]


@contextlib.contextmanager
def serving(home: Path, vkey: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "gateway.audit.witness", "serve", "--home", str(home)]
    process = subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0", "--log", vkey], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process, int(process.stdout.readline().rpartition(":")[2])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ask(port: int, body: bytes) -> tuple[int, bytes]:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        link.request("POST", "/add-checkpoint", body)
        got = link.getresponse()
        return got.status, got.read()
    finally:
        link.close()


def submit_until_killed(port: int, growing: Any, first: int, cosigned: list[int], enough: Any) -> None:
    """Submits ever larger checkpoints until the witness is gone; a size counts once its cosignature was read."""
    old = first
    with contextlib.suppress(OSError, http.client.HTTPException):
        while old < len(growing.leaves):
            answer, body = ask(port, growing.submission(old, old + 1))
            if answer == 409:
                old = int(body)
                continue
            assert answer == 200, body
            old += 1
            cosigned.append(old)
            enough()


def kills(made: Any, growing: Any, rounds: int) -> None:
    home, _ = made
    growing.grow(40 * rounds)
    fork = type(growing)()
    fork.grow(40 * rounds, "fork")
    cosigned = [0]
    for turn in range(rounds):
        with serving(home, growing.signer.vkey) as (process, port):
            # Started anew, the witness knows at least what it had answered for before it was killed.
            status, body = ask(port, fork.submission(max(cosigned) - 1 if turn else 1))
            assert status == 409 or (turn == 0 and status == 422)
            latest = int(body) if status == 409 else 0
            assert latest in (max(cosigned), max(cosigned) + 1)
            if latest:
                assert ask(port, fork.submission(latest))[0] == 422
            count = len(cosigned) + 3 + turn % 7
            done = threading.Event()

            def enough(count: int = count, done: threading.Event = done) -> None:
                if len(cosigned) >= count:
                    done.set()

            arguments = (port, growing, latest, cosigned, enough)
            thread = threading.Thread(target=submit_until_killed, args=arguments)
            thread.start()
            assert done.wait(30)
            process.kill()
            thread.join(30)
    assert cosigned == sorted(set(cosigned))


def test_a_killed_witness_remembers_what_it_cosigned(made: Any, growing: Any) -> None:
    kills(made, growing, 4)


@pytest.mark.soak
def test_a_witness_killed_two_hundred_times_remembers(made: Any, growing: Any) -> None:
    kills(made, growing, 200)


def test_ends_on_a_signal_and_starts_again(made: Any, growing: Any) -> None:
    home, key = made
    growing.grow(3)
    with serving(home, growing.signer.vkey) as (process, port):
        status, line = ask(port, growing.submission(0))
        assert status == 200
        held = note.parse(growing.checkpoint() + line.decode())
        assert cosignature.cosigned(held, [key])
        process.terminate()
        assert process.wait(20) == 0
    with serving(home, growing.signer.vkey) as (_, port):
        assert ask(port, growing.submission(0)) == (409, b"3\n")


def test_logs_may_stand_in_a_file(made: Any, growing: Any, tmp_path: Path) -> None:
    home, _ = made
    (tmp_path / "logs").write_text(f"{growing.signer.vkey}\n\n")
    growing.grow(1)
    with serving(home, str(tmp_path / "logs")) as (_, port):
        assert ask(port, growing.submission(0))[0] == 200
