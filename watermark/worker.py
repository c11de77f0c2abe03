"""The child process, seen from the parent: one job, one process, a deadline; plaintext in memory files only.

Safe in a threaded parent: the child is a fresh interpreter, not a fork of this one.
"""

import json
import math
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from watermark import memory
from watermark.errors import SealError
from watermark.kinds import Kind, refused_kind
from watermark.mark import Mark
from watermark.report import PageReport, Report, refused

__all__ = ["PageReport", "Report", "inspect", "mark", "preview", "run_seal"]

_MEMORY, _MEMORY_PER_BYTE, _MEMORY_MOST = 2 << 30, 8, 6 << 30
_OUTPUT, _OUTPUT_PER_BYTE, _OUTPUT_MOST = 256 << 20, 4, 2 << 30
_MAX_RESULT = 16 << 20
# -I shuts out the caller's environment and folder, so the package's own folder is named.
_HOME = str(Path(__file__).resolve().parent.parent)
_START = (
    f"import sys; sys.path.insert(0, {_HOME!r}); from watermark.job import main; sys.exit(main(sys.argv[1:]))"
)


@contextmanager
def _opened(source: int | Path) -> Iterator[int]:
    """A read-only descriptor of its own: position and rights are not shared with the caller's."""
    fd = os.open(f"/proc/self/fd/{source}" if isinstance(source, int) else source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _limits(size: int, deadline_s: float) -> list[str]:
    memory_limit = min(_MEMORY + _MEMORY_PER_BYTE * size, _MEMORY_MOST)
    output_limit = min(_OUTPUT + _OUTPUT_PER_BYTE * size, _OUTPUT_MOST)
    return [str(memory_limit), str(output_limit), str(math.ceil(deadline_s) + 1)]


def _finish(process: "subprocess.Popen[bytes]", deadline_s: float) -> bool:
    """Wait for the child; at the deadline kill its whole group. True when it ended by itself."""
    watch = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        ended = bool(poll.poll(deadline_s * 1000))
    finally:
        os.close(watch)
        with _gone_already():
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return ended


@contextmanager
def _gone_already() -> Iterator[None]:
    try:
        yield
    except ProcessLookupError:
        pass


def _child(job: int, source: int, out: int, result: int, deadline_s: float) -> str | None:
    """Run one child to its end; None when it ended well, else the code of what went wrong."""
    descriptors = (job, source, out, result)
    command = [
        sys.executable,
        "-I",
        "-B",
        "-X",
        "utf8",
        "-c",
        _START,
        *map(str, descriptors),
        str(os.getpid()),
    ]
    process = subprocess.Popen(
        [*command, *_limits(memory.size(source), deadline_s)],
        pass_fds=descriptors,
        env={},
        cwd="/",
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    if not _finish(process, deadline_s):
        return "TIMEOUT"
    return None if process.returncode == 0 else "CRASHED"


def _run(source: int, job: dict[str, Any], deadline_s: float) -> tuple[int, dict[str, Any] | str]:
    """One job; gives the output's descriptor, to be closed by the caller, and the result or the code of a failure."""
    order = memory.create("job", json.dumps(job).encode("utf-8"))
    result, out = memory.create("result"), memory.create("out")
    try:
        failed = _child(order, source, out, result, deadline_s)
        return out, failed or _read_result(result)
    except BaseException:
        os.close(out)
        raise
    finally:
        os.close(order)
        os.close(result)


def _read_result(result: int) -> dict[str, Any] | str:
    if memory.size(result) > _MAX_RESULT:
        return "CRASHED"
    try:
        values = json.loads(memory.read(result))
    except ValueError:
        return "CRASHED"
    return values if isinstance(values, dict) else "CRASHED"


_FAILED = {
    "TIMEOUT": "the file took longer than its time",
    "CRASHED": "the process working on the file ended early",
}


def inspect(source: int | Path, *, deadline_s: float = 30) -> Kind:
    """What a file is, proved in the sandboxed child. A file that crashes or stalls its parser is a Kind to refuse."""
    with _opened(source) as fd:
        out, done = _run(fd, {"task": "inspect"}, deadline_s)
    os.close(out)
    if isinstance(done, str):
        return refused_kind("unknown", done)
    if "treatment" not in done:
        return refused_kind(str(done.get("kind", "unknown")), str(done.get("reason", "CRASHED")))
    return Kind.from_dict(done)


def mark(source: int | Path, mark: Mark, *, deadline_s: float = 120) -> tuple[int | None, Report]:
    """Mark every page of a file. Gives a sealed memory file, to be closed by the caller, or None and the reason.

    Never raises for a bad file and never hangs: at the deadline the child's process group is killed.
    """
    return _marked(source, {"task": "mark", "mark": _words(mark)}, deadline_s)


def preview(
    source: int | Path, page: int, mark: Mark, *, dpi: int = 110, deadline_s: float = 30
) -> tuple[bytes | None, Report]:
    """Page `page` (from 1) as WebP with the mark burnt in, or None and the reason."""
    fd, report = _marked(
        source, {"task": "preview", "page": page, "dpi": dpi, "mark": _words(mark)}, deadline_s
    )
    if fd is None:
        return None, report
    try:
        return memory.read(fd), report
    finally:
        os.close(fd)


def _words(mark: Mark) -> dict[str, Any]:
    return {"lines": list(mark.lines), "copy_number": mark.copy_number, "opacity": mark.opacity}


def _marked(source: int | Path, job: dict[str, Any], deadline_s: float) -> tuple[int | None, Report]:
    with _opened(source) as fd:
        digest = memory.sha256(fd)
        out, done = _run(fd, job, deadline_s)
    report = _report(done)
    if report.status == "refused" or memory.size(out) == 0:
        os.close(out)
        return None, report.hashed(digest, None) if report.status == "refused" else refused(
            "CRASHED", _FAILED["CRASHED"]
        )
    memory.freeze(out)
    return out, report.hashed(digest, memory.sha256(out))


def _report(done: dict[str, Any] | str) -> Report:
    """The child's word is checked for form: a child taken over by its file must not break the parent."""
    if isinstance(done, str):
        return refused(done, _FAILED[done])
    try:
        report = Report.from_json(json.dumps(done))
    except (ValueError, KeyError, TypeError):
        return refused("CRASHED", _FAILED["CRASHED"])
    covered = bool(report.pages) and all(page.marked for page in report.pages)
    return (
        report
        if report.status == "refused" or covered
        else refused("MARK_NOT_SEEN", "a page was left out", report.kind)
    )


def run_seal(marked: int, passphrase: str, *, deadline_s: float = 60) -> int:
    """Encrypt a marked PDF in the child; gives a sealed memory file. SealError when the child fails."""
    with _opened(marked) as fd:
        out, done = _run(fd, {"task": "seal", "passphrase": passphrase}, deadline_s)
    if isinstance(done, str) or done.get("status") != "marked" or memory.size(out) == 0:
        os.close(out)
        raise SealError("the PDF could not be encrypted")
    memory.freeze(out)
    return out
