"""A real MinIO for tests and the demo: built once from source, run on a free loopback port.

`python tests/services/minio.py build` builds the server into the cache folder and prints its path;
`python tests/services/minio.py run FOLDER` serves FOLDER until interrupted, with the endpoint and the
credentials written to FOLDER/connection.json (0600).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

MODULE = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
START_S = 60.0
BUILD_S = 1800.0


class ServiceError(Exception):
    """A service could not be built, or did not become ready in time."""


@dataclass(frozen=True)
class Minio:
    """A running server: where it is and who may use it."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)


def cache() -> Path:
    """Return the folder for what is built once per machine, made when it is not there."""
    folder = Path(os.environ.get("SEALGATE_CACHE") or Path.home() / ".cache" / "sealgate")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def binary() -> Path:
    """Return where the built server is, or will be; the name carries the pinned version."""
    return cache() / f"minio-{MODULE.rpartition('-')[2]}"


def build() -> Path:
    """Build the server unless it is in the cache already, and return its path; raises ServiceError."""
    target = binary()
    with (cache() / "minio.lock").open("w") as lock:
        # Parallel test workers wait here for the one that builds.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _install(target)
    return target


def _install(target: Path) -> None:
    """Compile with the Go that came with the environment; the last step is one rename."""
    go = Path(sys.executable).parent / "go"
    with tempfile.TemporaryDirectory(dir=cache()) as out:
        environment = os.environ | {
            "GOBIN": out,
            "GOPATH": str(cache() / "go"),
            "GOCACHE": str(cache() / "go-build"),
            # The module cache is removed afterwards, so it must not be read-only.
            "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -modcacherw".strip(),
            "CGO_ENABLED": "0",
        }
        command = [str(go), "install", "-trimpath", "-ldflags=-s -w", MODULE]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=BUILD_S)
        if done.returncode != 0:
            raise ServiceError(f"MinIO was not built: {done.stderr[-2000:]}")
        (Path(out) / "minio").replace(target)
    # What the compiler left behind is some gigabytes and never needed again.
    shutil.rmtree(cache() / "go-build", ignore_errors=True)
    shutil.rmtree(cache() / "go", ignore_errors=True)


def free_port() -> int:
    """Return a loopback port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_http(url: str, process: subprocess.Popen[bytes], *, deadline_s: float = START_S) -> None:
    """Poll `url` until it answers 2xx; raises ServiceError when the process ends or the time is up."""
    pause, until = threading.Event(), time.monotonic() + deadline_s
    while time.monotonic() < until:
        if process.poll() is not None:
            raise ServiceError(f"the service ended with code {process.returncode} before it was ready")
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=5):
            return
        pause.wait(0.05)
    raise ServiceError(f"the service was not ready within {deadline_s:.0f} s")


def stop(process: subprocess.Popen[bytes], *, grace_s: float = 10.0) -> None:
    """End a process that was started here: politely first, then surely."""
    process.terminate()
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def running_minio(folder: Path) -> Iterator[Minio]:
    """Serve `folder/data` on a free loopback port with random credentials, and stop it at the end."""
    server, port = build(), free_port()
    minio = Minio(f"http://127.0.0.1:{port}", f"sg{secrets.token_hex(8)}", secrets.token_urlsafe(24))
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "MINIO_ROOT_USER": minio.access_key,
        "MINIO_ROOT_PASSWORD": minio.secret_key,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    command = [str(server), "server", "--quiet", "--address", f"127.0.0.1:{port}", str(data)]
    with (folder / "minio.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        await_http(f"{minio.endpoint}/minio/health/ready", process)
        yield minio
    finally:
        stop(process)


def _run(folder: Path) -> None:
    """Serve until interrupted; the connection stands in a file that only the owner reads."""
    folder.mkdir(parents=True, exist_ok=True)
    # Unhandled, a termination would end this process and leave the server behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    with running_minio(folder) as minio:
        handle = os.open(folder / "connection.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as out:
            json.dump(asdict(minio), out)
        print(minio.endpoint, folder / "connection.json", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


def main(arguments: list[str]) -> int:
    """Do one of the two verbs; return the exit code."""
    if arguments == ["build"]:
        print(build())
        return 0
    if len(arguments) == 2 and arguments[0] == "run":
        _run(Path(arguments[1]))
        return 0
    print("usage: minio.py build | run FOLDER", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
