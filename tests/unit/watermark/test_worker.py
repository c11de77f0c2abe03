"""The child process: walls, deadline, and a parent that no file can break."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pikepdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from watermark import memory, sandbox, worker
from watermark.errors import Refusal
from watermark.mark import Mark
from watermark.report import PageReport, Report

ROOT = Path(__file__).resolve().parents[3]
Marked = Callable[..., tuple[bytes | None, Report]]

_WALLED = """
import sys; sys.path.insert(0, sys.argv[1])
import os, socket, subprocess, ctypes, signal
from watermark import sandbox
kept = os.open("/etc/passwd", os.O_RDONLY)
sandbox.enter(os.getppid(), sandbox.Limits(1 << 30, 1 << 20, 5))
try:
    {attempt}
except OSError as error:
    sys.exit(10 + (error.errno == 1))
except MemoryError:
    sys.exit(12)
sys.exit(0)
"""


def _walled(attempt: str) -> int:
    """What a process behind the walls ends with: 0 when the attempt works, 11 for EPERM, 12 for want of memory."""
    return subprocess.run(
        [sys.executable, "-I", "-c", _WALLED.format(attempt=attempt), str(ROOT)],
        check=False,
        env={},
        timeout=60,
    ).returncode


@pytest.mark.parametrize(
    "attempt",
    [
        "open('/etc/passwd')",
        "open('/canary', 'w')",
        "os.listdir('/')",
        "os.stat('/etc/passwd')",
        "socket.socket()",
        "socket.socket(socket.AF_UNIX)",
        "socket.socketpair()",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "subprocess.run(['true'])",
        "os.kill(os.getppid(), 0)",
        "os.mkdir('/canary')",
        "os.unlink('/etc/hostname')",
        "os.setuid(0)",
        "os.memfd_create('x')",
        "os.pipe()",
    ],
)
def test_behind_the_walls_nothing_can_be_opened_started_or_reached(attempt: str) -> None:
    assert _walled(attempt) == 11


def test_behind_the_walls_computing_still_works() -> None:
    assert _walled("sum(range(1000)); bytes(10 << 20); os.getpid(); os.urandom(8); os.read(kept, 10)") == 0


def test_memory_and_processor_time_are_bounded() -> None:
    assert _walled("bytes(2 << 30)") == 12
    assert _walled("[x for x in iter(int, 1)]") in (-signal.SIGKILL, 12)
    assert _walled("all(iter(lambda: 1, 0))") == -signal.SIGKILL


def test_root_is_given_up() -> None:
    assert _walled("sys.exit(0 if os.geteuid() else 20)") == 0


def test_no_walls_on_an_unknown_machine() -> None:
    with pytest.raises(Refusal, match="SANDBOX"):
        sandbox.program("pdp11")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_jumps_inside_itself_and_ends_in_allow(machine: str) -> None:
    code = sandbox.program(machine)
    count = len(code) // 8
    for index in range(count):
        kind, yes, no = code[8 * index], code[8 * index + 2], code[8 * index + 3]
        if kind & 0x07 == 0x05:
            assert index + 1 + max(yes, no) < count
    assert code[-4:] == (0x7FFF0000).to_bytes(4, "little")
    assert code[-12:-8] == (0x00050001).to_bytes(4, "little")


def test_a_wall_that_does_not_stand_refuses_the_job(
    a4: bytes, mark: Mark, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = worker._START.replace(
        "from watermark.job import main", "from watermark import sandbox; from watermark.job import main"
    )
    broken = broken.replace("sys.exit(", "sandbox.program = lambda machine: b'12345678'; sys.exit(")
    monkeypatch.setattr(worker, "_START", broken)
    fd = memory.create("source", a4)
    out, report = worker.mark(fd, mark)
    os.close(fd)
    assert out is None
    assert report.reason == "SANDBOX"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.abort()", "CRASHED"),
        ("import sys; sys.exit(3)", "CRASHED"),
        ("pass", "CRASHED"),
        ("import signal; signal.pause()", "TIMEOUT"),
        ("import os, signal; os.fork(); signal.pause()", "TIMEOUT"),
    ],
)
@pytest.mark.usefixtures("open_descriptors")
def test_a_child_that_dies_or_stalls_is_a_refusal(
    code: str, reason: str, a4: bytes, mark: Mark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_START", code)
    fd = memory.create("source", a4)
    started = time.monotonic()
    out, report = worker.mark(fd, mark, deadline_s=1)
    os.close(fd)
    assert out is None
    assert (report.status, report.reason, report.sha256_out) == ("refused", reason, None)
    assert time.monotonic() - started < 8


def _answer(values: object) -> str:
    return f"import os, sys; os.write(int(sys.argv[3]), b'x'); os.write(int(sys.argv[4]), {json.dumps(values)!r}.encode())"


@pytest.mark.parametrize(
    "values",
    [
        [],
        {},
        {"status": "marked"},
        {"kind": "pdf", "status": "odd", "pages": []},
        {"kind": "pdf", "status": "marked", "pages": [{"number": 1}]},
        {"kind": "pdf", "status": "marked", "pages": []},
        {
            "kind": "pdf",
            "status": "marked",
            "pages": [{"number": 1, "width": 1, "height": 1, "rotation": 0, "user_unit": 1, "marked": False}],
        },
    ],
)
def test_a_child_taken_over_cannot_pass_off_what_is_not_covered(
    values: object, a4: bytes, mark: Mark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_START", _answer(values))
    fd = memory.create("source", a4)
    out, report = worker.mark(fd, mark)
    kind = worker.inspect(fd)
    os.close(fd)
    assert out is None
    assert report.status == "refused"
    assert kind.treatment == "refuse"


@pytest.mark.usefixtures("open_descriptors")
def test_the_output_is_frozen_hashed_and_the_source_untouched(a4: bytes, mark: Mark) -> None:
    fd = memory.create("source", a4)
    os.lseek(fd, 5, os.SEEK_SET)
    out, report = worker.mark(fd, mark)
    assert out is not None
    assert os.lseek(fd, 0, os.SEEK_CUR) == 5
    assert memory.sha256(fd) == report.sha256_in
    assert memory.sha256(out) == report.sha256_out
    with pytest.raises(PermissionError):
        os.write(out, b"x")
    with pytest.raises(PermissionError):
        os.ftruncate(out, 0)
    os.close(out)
    os.close(fd)


def test_a_path_is_a_source_too(tmp_path: Path, a4: bytes, mark: Mark) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(a4)
    out, report = worker.mark(path, mark)
    assert out is not None
    os.close(out)
    assert report.pages == (PageReport(1, 595.0, 842.0, 0, 1.0, True),)


def test_threads_mark_side_by_side(a4: bytes, mark: Mark) -> None:
    done: list[str] = []

    def one() -> None:
        fd = memory.create("source", a4)
        out, report = worker.mark(fd, mark)
        os.close(fd)
        if out is not None:
            os.close(out)
        done.append(report.status)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert done == ["marked"] * 4


def test_no_secret_stands_on_the_command_line_or_in_the_environment(
    a4: bytes, mark: Mark, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, object] = {}
    real = subprocess.Popen

    def spy(command: list[str], **options: object) -> object:
        seen.update(options, command=command)
        return real(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", spy)
    fd = memory.create("source", a4)
    worker.run_seal(fd, "K7QF-canary")
    os.close(fd)
    assert seen["env"] == {}
    assert "canary" not in repr(seen)


def test_a_page_as_a_picture_carries_the_mark(
    saved: Callable[..., bytes], add_page: Callable[..., object], mark: Mark
) -> None:
    with pikepdf.Pdf.new() as pdf:
        add_page(pdf)
        add_page(pdf, (842, 595), b"")
        fd = memory.create("source", saved(pdf))
    data, report = worker.preview(fd, 2, mark, dpi=72)
    nothing, refusal = worker.preview(fd, 3, mark)
    os.close(fd)
    assert data is not None
    image = Image.open(io.BytesIO(data))
    assert (image.size, image.format) == ((842, 595), "WEBP")
    assert image.convert("L").getextrema()[0] < 235  # type: ignore[operator]
    assert [page.number for page in report.pages] == [2]
    assert nothing is None
    assert refusal.reason == "NO_SUCH_PAGE"


def test_a_picture_is_previewed_as_marked(picture: Callable[..., bytes], mark: Mark) -> None:
    fd = memory.create("source", picture("JPEG"))
    data, report = worker.preview(fd, 1, mark)
    os.close(fd)
    assert data is not None
    assert data[8:12] == b"WEBP"
    assert report.pages[0].marked


@given(st.binary(max_size=2000))
@settings(deadline=None)
def test_any_bytes_as_a_result_are_read_without_raising(data: bytes) -> None:
    fd = memory.create("result", data)
    try:
        done = worker._read_result(fd)
    finally:
        os.close(fd)
    assert worker._report(done).status == "refused"


def test_a_report_reads_back_as_it_was_written() -> None:
    report = Report(
        "pdf",
        "marked",
        pages=(PageReport(1, 1.5, 2.0, 90, 2.0, True),),
        removed={"actions": 2},
        sha256_in="a",
    )
    assert Report.from_json(report.as_json()) == report
