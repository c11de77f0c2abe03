"""The child process: walls, deadline, and a parent that no file can break."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pikepdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from watermark import child, memory, worker
from watermark.mark import Mark
from watermark.report import PageReport, Report, from_child
from watermark.zygote import Zygote

ROOT = Path(__file__).resolve().parents[3]
Marked = Callable[..., tuple[bytes | None, Report]]


# Nothing is loaded in these zygotes: what they run needs none of it, and they start at once.
_PRELUDE = """
from watermark import job, landlock, memory, sandbox
import os, select, json
job.preload = lambda: None
"""


@pytest.fixture
def spoiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Children of a zygote that first runs a piece of code; `doing` in it stands in for every job."""
    made: list[Zygote] = []

    def spoil(code: str) -> None:
        made.append(Zygote(f"{_PRELUDE}\n{code}"))
        monkeypatch.setattr(child, "ZYGOTE", made[-1])

    yield spoil
    for zygote in made:
        zygote.close()


def _doing(code: str) -> str:
    return f"def run(order, source, out):\n    {code}\njob.run = run"


def test_a_wall_that_does_not_stand_refuses_the_job(
    a4: bytes, mark: Mark, spoiled: Callable[[str], None]
) -> None:
    spoiled("sandbox.program = lambda machine, calls: b'12345678'")
    fd = memory.create("source", a4)
    out, report = worker.mark(fd, mark)
    os.close(fd)
    assert out is None
    assert report.reason == "SANDBOX"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("os.abort()", "CRASHED"),
        ("os._exit(3)", "CRASHED"),
        ("return None", "CRASHED"),
        ("return {'pages': float('nan'), 'x': object()}", "CRASHED"),
        ("select.poll().poll()", "TIMEOUT"),
        ("1 / 0", "BROKEN"),
        ("all(iter(lambda: 1, 0))", "TIMEOUT"),
    ],
)
@pytest.mark.usefixtures("open_descriptors")
def test_a_child_that_dies_or_stalls_is_a_refusal(
    code: str, reason: str, a4: bytes, mark: Mark, spoiled: Callable[[str], None]
) -> None:
    spoiled(_doing(code) if reason != "BROKEN" else "job._TASKS['mark'] = lambda *given: 1 / 0")
    fd = memory.create("source", a4)
    child.ZYGOTE.start()
    started = time.monotonic()
    out, report = worker.mark(fd, mark, deadline_s=1)
    os.close(fd)
    child.ZYGOTE.close()
    assert out is None
    assert (report.status, report.reason, report.sha256_out) == ("refused", reason, None)
    assert time.monotonic() - started < 8


@pytest.mark.usefixtures("open_descriptors")
def test_a_zygote_that_was_killed_is_replaced(a4: bytes) -> None:
    zygote = Zygote()
    out, source, result = (memory.create(name, data) for name, data in (("o", b""), ("s", a4), ("r", b"")))
    given = {"walls": {}, "limits": {"memory": 1 << 31, "output": 1 << 20, "cpu_s": 9}}
    order = memory.create("job", b'{"task": "inspect"}')
    assert child.ended(zygote.spawn(given, (order, source, out, result)), 30)
    os.kill(zygote._pid, signal.SIGKILL)
    assert child.ended(zygote.spawn(given, (order, source, out, result)), 30)
    assert b'"treatment": "stamp"' in memory.read(result)
    zygote.close()
    for fd in (out, source, result, order):
        os.close(fd)


def test_a_zygote_that_does_not_start_refuses_the_job(
    a4: bytes, mark: Mark, spoiled: Callable[[str], None]
) -> None:
    spoiled("os._exit(1)")
    fd = memory.create("source", a4)
    out, report = worker.mark(fd, mark)
    os.close(fd)
    assert (out, report.reason) == (None, "SANDBOX")


def test_children_end_with_the_process_that_asked_for_them(tmp_path: Path) -> None:
    code = (
        f"import sys, os, signal; sys.path.insert(0, {str(ROOT)!r})\n"
        "from watermark import child, memory\nfrom watermark.zygote import Zygote\n"
        "z = Zygote('from watermark import job; import signal; job.run = lambda *given: signal.pause()')\n"
        "fds = tuple(memory.create('x', b'{}') for _ in range(4))\n"
        "z.spawn({'walls': {}, 'limits': {'memory': 1 << 31, 'output': 1, 'cpu_s': 9}}, fds)\n"
        "print(z._pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=90
    )
    pid = int(done.stdout)
    deadline = time.monotonic() + 20
    while _lives(pid) and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    assert not _lives(pid)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def _answer(values: object) -> str:
    return _doing(f"memory.write_all(out, b'x'); return json.loads({json.dumps(values)!r})")


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
    values: object, a4: bytes, mark: Mark, spoiled: Callable[[str], None]
) -> None:
    spoiled(_answer(values))
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
    a4: bytes, spoiled: Callable[[str], None]
) -> None:
    """What a child is told goes through a memory file: neither its zygote's command line nor its environment holds it."""
    spoiled("")
    fd = memory.create("source", a4)
    os.close(worker.run_seal(fd, "K7QF-canary"))
    os.close(fd)
    home = Path(f"/proc/{child.ZYGOTE._pid}")
    assert home.joinpath("environ").read_bytes() == b""
    assert b"canary" not in home.joinpath("cmdline").read_bytes()


def test_two_children_of_one_zygote_draw_different_keys(a4: bytes) -> None:
    fd = memory.create("source", a4)
    keys = set()
    for _ in range(2):
        out = worker.run_seal(fd, "K7QF")
        with pikepdf.open(io.BytesIO(memory.read(out)), password="K7QF") as pdf:
            keys.add(pdf.encryption.encryption_key)
        os.close(out)
    os.close(fd)
    assert len(keys) == 2


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
        done = child.read_result(fd)
    finally:
        os.close(fd)
    assert from_child(done, child.FAILED).status == "refused"


def test_a_report_reads_back_as_it_was_written() -> None:
    report = Report(
        "pdf",
        "marked",
        pages=(PageReport(1, 1.5, 2.0, 90, 2.0, True),),
        removed={"actions": 2},
        sha256_in="a",
    )
    assert Report.from_json(report.as_json()) == report
