"""One job in one child process, seen from the parent: a deadline, and plaintext in memory files only."""

import atexit
import json
import math
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from watermark import memory
from watermark.errors import Refusal
from watermark.sandbox import COMPUTING, Limits, Walls
from watermark.zygote import Zygote

_MEMORY, _MEMORY_PER_BYTE, _MEMORY_MOST = 2 << 30, 8, 6 << 30
_OUTPUT, _OUTPUT_PER_BYTE, _OUTPUT_MOST = 256 << 20, 4, 2 << 30
_CPU_PER_S, _MAX_RESULT = 10 << 20, 16 << 20
_DYING_S = 20.0
ZYGOTE = Zygote()
atexit.register(ZYGOTE.close)


@contextmanager
def opened(source: int | Path) -> Iterator[int]:
    """A read-only descriptor of its own: position and rights are not shared with the caller's."""
    fd = os.open(f"/proc/self/fd/{source}" if isinstance(source, int) else source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def limits(size: int, deadline_s: float) -> Limits:
    """The budgets for a source of `size` bytes: a base, and what its size adds."""
    return Limits(
        memory=min(_MEMORY + _MEMORY_PER_BYTE * size, _MEMORY_MOST),
        output=min(_OUTPUT + _OUTPUT_PER_BYTE * size, _OUTPUT_MOST),
        cpu_s=math.ceil(deadline_s) + 1 + size // _CPU_PER_S,
    )


def ended(watch: int, deadline_s: float) -> bool:
    """Wait for a child by its pidfd, which is closed; at the deadline kill it. True when it ended by itself."""
    try:
        if _over(watch, deadline_s):
            return True
        signal.pidfd_send_signal(watch, signal.SIGKILL)
        _over(watch, _DYING_S)
        return False
    except ProcessLookupError:
        return False
    finally:
        os.close(watch)


def _over(watch: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(watch, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))


def run(
    source: int,
    job: dict[str, Any],
    deadline_s: float,
    *,
    walls: Walls = COMPUTING,
    budget: Limits | None = None,
    program: list[str] | None = None,
    environment: dict[str, str] | None = None,
) -> tuple[int, dict[str, Any] | str]:
    """One job; gives the output's descriptor, to be closed by the caller, and the result or the code of a failure.

    A child told to become a `program`
    leaves no result: CRASHED is then the good end.
    """
    order = memory.create("job", json.dumps(job).encode("utf-8"))
    result, out = memory.create("result"), memory.create("out")
    budget = budget or limits(memory.size(source), deadline_s)
    given: dict[str, Any] = {"walls": asdict(walls), "limits": asdict(budget)}
    given |= {"program": program, "environment": environment}
    try:
        watch = ZYGOTE.spawn(given, (order, source, out, result))
        return out, read_result(result) if ended(watch, deadline_s) else "TIMEOUT"
    except Refusal as refusal:
        return out, refusal.code
    except BaseException:
        os.close(out)
        raise
    finally:
        os.close(order)
        os.close(result)


def read_result(result: int) -> dict[str, Any] | str:
    """What a child wrote last, or CRASHED: a child taken over by its file must not break the parent."""
    if memory.size(result) > _MAX_RESULT:
        return "CRASHED"
    try:
        values = json.loads(memory.read(result))
    except (ValueError, RecursionError):
        return "CRASHED"
    return values if isinstance(values, dict) else "CRASHED"


FAILED = {
    "TIMEOUT": "the file took longer than its time",
    "CRASHED": "the process working on the file ended early",
    "SANDBOX": "no child process could be started behind its walls",
}
