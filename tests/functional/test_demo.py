"""The demo as people run it: what it leaves behind proves itself, and a step that breaks makes it fail."""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyotp
import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.demo import run as demo
from gateway.demo.browser import Browser
from gateway.demo.opening import opens, unzip
from gateway.demo.stage import Failed
from gateway.serving import free_port

SEALGATE = Path(sys.executable).parent / "sealgate"
LEFT = ("bundle", "passphrase", "receipt", "checkpoint_key", "manifest")


def proves_itself(out: Path, storage: str) -> None:
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert report["ok"] is True and report["storage"] == storage
    assert len(report["steps"]) >= 14
    for step in report["steps"]:
        assert set(step) == {"name", "ok", "detail"}
        assert step["ok"] is True and step["detail"], step
    paths = {role: Path(report[role]) for role in LEFT}
    assert all(path.is_file() and path.stat().st_size for path in paths.values())
    verified = subprocess.run(
        [sys.executable, "-m", "gateway.audit", "verify", paths["receipt"], "--key", paths["checkpoint_key"]],
        capture_output=True,
        text=True,
    )
    assert verified.returncode == 0, verified.stderr
    assert "ACCEPTED" in verified.stdout
    bundle, passphrase = paths["bundle"].read_bytes(), paths["passphrase"].read_text()
    assert unzip(bundle, passphrase)["manifest.json"] == paths["manifest"].read_bytes()
    assert not opens(bundle, passphrase[::-1])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One whole demo, and what it printed."""
    out = tmp_path_factory.mktemp("demo") / "out"
    done = subprocess.run([SEALGATE, "demo", "--out", out], capture_output=True, text=True, timeout=280)
    return out, done


def test_the_demo_ends_well_and_leaves_its_proof(told: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, done = told
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((out / "report.json").read_text("utf-8"))
    lines = done.stdout.splitlines()
    for step in report["steps"]:
        assert any(step["name"] in line and line.startswith("✔") for line in lines), step
    proves_itself(out, "local")


@pytest.mark.tools
def test_seven_zip_opens_the_bundle_with_the_passphrase_only(
    told: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, _ = told
    if shutil.which("7zz") is None:
        pytest.skip("7zz is not installed")
    report = json.loads((out / "report.json").read_text("utf-8"))
    passphrase = Path(report["passphrase"]).read_text()
    for word, code in ((passphrase, 0), ("AAAA-AAAA-AAAA-AAAA-AAAA", 2)):
        tried = subprocess.run(["7zz", "t", f"-p{word}", report["bundle"]], capture_output=True)
        assert tried.returncode == code, tried.stdout


@pytest.mark.services
def test_the_demo_on_a_real_minio(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        [SEALGATE, "demo", "--storage", "minio", "--out", out], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    proves_itself(out, "minio")


# --- what breaks ------------------------------------------------------------------------------------------------


class Short:
    """A story of three steps, of which the second goes wrong."""

    def __init__(self, error: Exception) -> None:
        self.error, self.paths, self.told = error, {"bundle": "b"}, list[str]()

    def steps(self) -> Sequence[tuple[str, Callable[[], str]]]:
        return (
            ("first", lambda: self._tell("first")),
            ("second", self._break),
            ("third", lambda: self._tell("x")),
        )

    def _tell(self, name: str) -> str:
        self.told.append(name)
        return name

    def _break(self) -> str:
        raise self.error


@pytest.mark.parametrize("error", [Failed("nothing was refused"), RuntimeError("boom"), KeyError("x")])
def test_a_step_that_breaks_ends_the_demo_with_one(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Short(error)
    monkeypatch.setattr(demo, "_stage", lambda *given: story)
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert report["ok"] is False
    assert [step["ok"] for step in report["steps"]] == [True, False]
    assert str(error) in report["steps"][1]["detail"]
    assert story.told == ["first"]
    assert "✘" in result.output


def test_a_portal_that_does_not_start_ends_the_demo_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(demo, "_stage", broken)
    assert CliRunner().invoke(main, ["demo", "--out", str(tmp_path / "out")]).exit_code == 1
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert report["ok"] is False and report["steps"][0]["ok"] is False


def test_a_folder_with_something_else_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert (tmp_path / "letter.txt").read_text() == "mine"


# --- the portal left up -----------------------------------------------------------------------------------------


@dataclass
class Served:
    """A running `sealgate serve --demo` and its temporary folder."""

    process: subprocess.Popen[str]
    port: int
    temporary: Path
    lines: list[str]


def lines_until(process: subprocess.Popen[str], enough: Callable[[list[str]], bool]) -> list[str]:
    """What it prints, until that is enough or it says nothing for two minutes."""
    said: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_listen, args=(process, said), name=f"ear-{process.pid}", daemon=True).start()
    lines: list[str] = []
    while not enough(lines):
        try:
            line = said.get(timeout=120)
        except queue.Empty:
            break
        if line is None:
            break
        lines.append(line.rstrip("\n"))
    return lines


def _listen(process: subprocess.Popen[str], said: queue.Queue[str | None]) -> None:
    # A thread of its own, because what readline has buffered no select on the pipe would see. It ends with the pipe.
    assert process.stdout is not None
    with process.stdout as pipe:
        for line in pipe:
            said.put(line)
    said.put(None)


@pytest.fixture
def served() -> Iterator[Served]:
    port = free_port()
    temporary = Path(tempfile.mkdtemp(prefix="sg-"))
    process = subprocess.Popen(
        [sys.executable, "-u", SEALGATE, "serve", "--demo", "--port", str(port)],
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=1,
    )
    try:
        yield Served(
            process, port, temporary, lines_until(process, lambda seen: sum("TOTP" in x for x in seen) >= 15)
        )
    finally:
        process.kill()
        process.wait()
        for thread in threading.enumerate():
            if thread.name == f"ear-{process.pid}":
                thread.join()
        shutil.rmtree(temporary)


def signed_in(served: Served, name: str) -> Browser:
    line = next(line for line in served.lines if line.split()[:1] == [name])
    _, email, password, _, secret = line.split()
    browser = Browser(f"http://127.0.0.1:{served.port}")
    browser.get("/sign-in")
    browser.submit("/sign-in", {"email": email, "password": password})
    page = browser.submit("/verify", {"otp": pyotp.TOTP(secret).now()})
    assert page.status == 200 and "/verify" not in page.url, page.url
    return browser


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_portal_stays_up_lets_people_in_and_leaves_nothing(
    number: signal.Signals, served: Served
) -> None:
    origin = f"http://127.0.0.1:{served.port}"
    assert any(origin in line for line in served.lines), served.lines
    accounts = [line for line in served.lines if re.search(r"TOTP [A-Z2-7]{16,}$", line)]
    assert len(accounts) == 15
    assert Browser(origin).get("/healthz").body == b"ok\n"
    for name in ("biz.sj", "s1"):
        assert signed_in(served, name).get("/").status == 200
    assert list(served.temporary.iterdir())
    served.process.send_signal(number)
    assert served.process.wait(15) == 0
    assert list(served.temporary.iterdir()) == []


def test_a_taken_port_is_said_in_one_line() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run(
            [SEALGATE, "serve", "--demo", "--port", str(taken.getsockname()[1])],
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and done.stderr.startswith("Error: ")
