"""Health of a container: `probe.py` asks the portal for its health page, `probe.py worker` looks for the worker, `probe.py
witness` asks the witness for its key."""

import http.client
import os
import sys
from itertools import pairwise
from pathlib import Path


def portal(port: int = 8000) -> bool:
    """Whether the portal answers its health page with 200."""
    # The portal answers to its own names only.
    host = os.environ.get("SEALGATE_TRUSTED_HOSTS", "127.0.0.1").split(",")[0].strip()
    return _answers(port, "/healthz", host)


def witness(port: int = 7380) -> bool:
    """Whether the witness tells its key."""
    return _answers(port, "/", "127.0.0.1")


def _answers(port: int, path: str, host: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    try:
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def worker(processes: Path = Path("/proc")) -> bool:
    """Whether a process `sealgate worker` runs and is no zombie."""
    for command in processes.glob("[0-9]*/cmdline"):
        try:
            words = command.read_bytes().split(b"\0")
        except OSError:
            continue
        names = [word.rpartition(b"/")[2] for word in words]
        if any(pair == (b"sealgate", b"worker") for pair in pairwise(names)):
            return True
    return False


if __name__ == "__main__":
    sys.exit(0 if {"worker": worker, "witness": witness}.get("".join(sys.argv[1:]), portal)() else 1)
