"""A C2SP witness that is not ours: litewitness, built once from source, run on a free loopback port.

`python tests/services/litewitness.py build` builds it into the cache folder. Its key lives in an ssh-agent of its own, as
litewitness wants it; the log it shall know is entered into its database.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

VERSION = "v0.9.0"
MODULE = f"filippo.io/torchwood/cmd/litewitness@{VERSION}"
BUILD_S = 1200.0
START_S = 30.0


class ServiceError(Exception):
    """The witness could not be built, or did not become ready in time."""


@dataclass(frozen=True)
class LiteWitness:
    """A running litewitness: its address, and the vkey its cosignatures are checked with."""

    url: str
    vkey: str


def cache() -> Path:
    """Return the folder for what is built once per machine, made when it is not there."""
    folder = Path(os.environ.get("SEALGATE_CACHE") or Path.home() / ".cache" / "sealgate")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def binary() -> Path:
    """Return where the built program is, or will be; the name carries the pinned version."""
    return cache() / f"litewitness-{VERSION}"


def build() -> Path:
    """Build the witness unless it is in the cache already, and return its path; raises ServiceError."""
    target = binary()
    with (cache() / "litewitness.lock").open("w") as lock:
        # Parallel test workers wait here for the one that builds.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _install(target)
    return target


def _install(target: Path) -> None:
    """Compile with the Go that came with the environment; the last step is one rename for each program."""
    go = Path(sys.executable).parent / "go"
    with tempfile.TemporaryDirectory(dir=cache()) as out:
        environment = os.environ | {
            "GOBIN": out,
            "GOPATH": str(Path(out) / "path"),
            "GOCACHE": str(Path(out) / "build"),
            # The module cache goes with the folder, so it must not be read-only.
            "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -modcacherw".strip(),
            "CGO_ENABLED": "0",
        }
        command = [str(go), "install", "-trimpath", "-ldflags=-s -w", MODULE]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=BUILD_S)
        if done.returncode != 0:
            raise ServiceError(f"litewitness was not built: {done.stderr[-2000:]}")
        (Path(out) / "litewitness").replace(target)


@contextlib.contextmanager
def running_litewitness(log_vkey: str, name: str = "lite.example/w") -> Iterator[LiteWitness]:
    """Serve a witness that knows one log, and stop it at the end."""
    server = build()
    # A socket's path may not be long, and a test's own folder is.
    folder = Path(tempfile.mkdtemp(prefix="lw-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / "key")], check=True
        )
        environment = os.environ | {"SSH_AUTH_SOCK": str(folder / "agent")}
        _start(stack, ["ssh-agent", "-D", "-a", str(folder / "agent")], folder, environment)
        _until((folder / "agent").exists, "the agent")
        subprocess.run(["ssh-add", "-q", str(folder / "key")], env=environment, check=True)
        public = base64.b64decode((folder / "key.pub").read_text().split()[1])
        port = _free_port()
        command = [
            str(server),
            "-db",
            str(folder / "db"),
            "-name",
            name,
            "-ssh-agent",
            str(folder / "agent"),
            "-key",
        ]
        print_ = "SHA256:" + base64.b64encode(hashlib.sha256(public).digest()).decode().rstrip("=")
        _start(stack, [*command, print_, "-listen", f"127.0.0.1:{port}"], folder, environment)
        _until(lambda: _open(port), "litewitness")
        _introduce(folder / "db", log_vkey)
        yield LiteWitness(f"http://127.0.0.1:{port}", _vkey(name, public[-32:]))


def _introduce(database: Path, log_vkey: str) -> None:
    """Enter a log at size zero, and its key; the program that does it needs a module that is not always to be had."""
    origin, empty = log_vkey.partition("+")[0], base64.b64encode(hashlib.sha256(b"").digest()).decode()
    with contextlib.closing(sqlite3.connect(database)) as rows, rows:
        rows.execute("INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)", (origin, empty))
        rows.execute("INSERT INTO key (origin, key) VALUES (?, ?)", (origin, log_vkey))


def _vkey(name: str, public: bytes) -> str:
    """The text form of a cosignature key (C2SP signed-note, type 04)."""
    digest = hashlib.sha256(name.encode() + b"\n\x04" + public).digest()[:4]
    return f"{name}+{digest.hex()}+{base64.b64encode(bytes([4]) + public).decode()}"


def _start(
    stack: contextlib.ExitStack, command: list[str], folder: Path, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    with (folder / "service.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    stack.callback(_stop, process)
    return process


def _stop(process: subprocess.Popen[bytes], *, grace_s: float = 10.0) -> None:
    process.terminate()
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def _until(ready: Callable[[], bool], what: str) -> None:
    pause, until = threading.Event(), time.monotonic() + START_S
    while time.monotonic() < until:
        if ready():
            return
        pause.wait(0.05)
    raise ServiceError(f"{what} was not ready within {START_S:.0f} s")


if __name__ == "__main__":
    if sys.argv[1:] != ["build"]:
        sys.exit("usage: litewitness.py build")
    print(build())
