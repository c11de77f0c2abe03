"""The process that children are forked from: parsers loaded once, one thread, and no file's bytes ever in it.

The parent sends an order with the job's descriptors over a socket; the answer is a pidfd of the child, which the parent waits on
and kills. When the parent ends, the socket ends, and with it the zygote and every child.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from watermark import memory, sandbox
from watermark.errors import Refusal

_STARTING_S, _ANSWER_S = 60.0, 20.0
_CONTROL = 3
_MAX_ORDER = 1 << 16
# -I shuts out the caller's environment and folder, so the package's own folder is named.
_HOME = str(Path(__file__).resolve().parent.parent)


class Zygote:
    """The parent's side; safe in a threaded parent, and in a fork of it, which gets a zygote of its own."""

    def __init__(self, prelude: str = "") -> None:
        """`prelude` is Python run in the zygote before it serves; the tests spoil it in many ways."""
        self._prelude = prelude
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._pid = self._owner = 0

    def spawn(self, order: dict[str, Any], descriptors: tuple[int, ...]) -> int:
        """Fork a child for one order; gives its pidfd. Raises Refusal SANDBOX when no child can be had in time."""
        message = json.dumps(order).encode("utf-8")
        with self._lock:
            for _ in range(2):
                try:
                    return self._asked(message, descriptors)
                except OSError:
                    self._end()
        raise Refusal("SANDBOX", "no child process could be started")

    def start(self) -> None:
        """Load the parsers now, so that the first job need not wait; raises Refusal SANDBOX when that fails."""
        try:
            with self._lock:
                if self._control is None or self._owner != os.getpid():
                    self._start()
        except OSError as error:
            self.close()
            raise Refusal("SANDBOX", "no child process could be started") from error

    def _asked(self, message: bytes, descriptors: tuple[int, ...]) -> int:
        if self._control is None or self._owner != os.getpid():
            self._start()
        assert self._control is not None
        socket.send_fds(self._control, [message], descriptors)
        return self._answer(_ANSWER_S)[0]

    def _answer(self, deadline_s: float) -> list[int]:
        assert self._control is not None
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        if not poll.poll(deadline_s * 1000):
            raise TimeoutError
        answer, descriptors, _, _ = socket.recv_fds(self._control, 16, 1, socket.MSG_CMSG_CLOEXEC)
        if not answer:
            raise BrokenPipeError
        return descriptors

    def _start(self) -> None:
        if self._control is not None:
            self._control.close()  # A fork of the parent leaves the parent's zygote alone.
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        start = (
            f"import sys; sys.path.insert(0, {_HOME!r}); from watermark import zygote\n{self._prelude}\n"
            "zygote.serve()"
        )
        null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
        self._pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-B", "-X", "utf8", "-c", start],
            {},
            file_actions=[*null, (os.POSIX_SPAWN_DUP2, theirs.fileno(), _CONTROL)],
            setsid=True,
        )
        theirs.close()
        self._control, self._owner = ours, os.getpid()
        self._answer(_STARTING_S)

    def _end(self) -> None:
        """Give up a zygote that does not answer; its children die with it."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._pid and self._owner == os.getpid():
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
        self._pid = 0

    def close(self) -> None:
        """End the zygote and its children; the next order starts another."""
        with self._lock:
            self._end()


def serve() -> None:
    """The zygote's own life: load everything, then fork a child for each order until the parent is gone."""
    os.chdir("/")
    os.closerange(_CONTROL + 1, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") < 1 << 16 else 1 << 16)
    from watermark import job

    control = socket.socket(fileno=_CONTROL)
    control.set_inheritable(False)
    job.preload()
    control.send(b"ready")
    while _serve_one(control):
        pass
    os._exit(0)


def _serve_one(control: socket.socket) -> bool:
    message, descriptors, _, _ = socket.recv_fds(control, _MAX_ORDER, 8, socket.MSG_CMSG_CLOEXEC)
    _reap()
    if not message:
        return False
    zygote = os.getpid()
    pid = os.fork()
    if pid == 0:
        control.close()
        os._exit(_child(json.loads(message), descriptors, zygote))
    # The child is reaped at the earliest by the next order, so that its number is its own until then.
    watch = os.pidfd_open(pid)
    socket.send_fds(control, [b"child"], [watch])
    for fd in (watch, *descriptors):
        os.close(fd)
    return True


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _child(order: dict[str, Any], descriptors: list[int], zygote: int) -> int:
    """One job behind its walls; the result is written last, so that a child that dies leaves none."""
    from watermark import job

    job_fd, source, out, result = descriptors
    try:
        sandbox.die_with_parent(zygote)
        job.seed()
        walls = sandbox.Walls(**{name: _path_or_paths(value) for name, value in order["walls"].items()})
        sandbox.enter(zygote, sandbox.Limits(**order["limits"]), walls)
        if order.get("program"):
            os.execve(order["program"][0], order["program"], order["environment"])  # noqa: S606  # No shell is meant.
        done = job.run(json.loads(memory.read(job_fd)), source, out)
    except Refusal as refusal:
        done = job.refusal(refusal.code, refusal.detail)
    except OSError:
        done = job.refusal("SANDBOX", "the child could not be set up")
    memory.write_all(result, json.dumps(done, ensure_ascii=True).encode("ascii"))
    return 0


def _path_or_paths(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
