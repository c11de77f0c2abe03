"""What a parser that was taken over would try first; each must be refused behind the walls."""

import os
import socket
from collections.abc import Callable
from typing import Any

ATTEMPTS: dict[str, Callable[[], object]] = {
    "open a file": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "write a file": lambda: os.open("/canary", os.O_WRONLY | os.O_CREAT),
    "open a socket": socket.socket,
    "start a process": lambda: os.fork() or os._exit(0),
    "run a program": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606  # It must fail.
    "signal the parent": lambda: os.kill(os.getppid(), 0),
}


def tried() -> dict[str, Any]:
    """For the child: what each attempt came to, and whose rights it runs with."""
    return {
        "attempts": {name: _refused(attempt) for name, attempt in ATTEMPTS.items()},
        "uid": os.geteuid(),
    }


def _refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return True
    return False
