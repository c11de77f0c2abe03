"""The walls: what a process behind them can no longer do, all together and each layer by itself."""

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from watermark import landlock, sandbox, syscalls
from watermark.errors import Refusal

ROOT = Path(__file__).resolve().parents[3]

_WALLED = """
import sys; sys.path.insert(0, sys.argv[1])
import os, socket, subprocess, ctypes, signal, resource
from watermark import sandbox, landlock
uid, folder = int(sys.argv[2]), sys.argv[3]
if uid != os.geteuid():
    os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
kept = os.open("/etc/passwd", os.O_RDONLY)
parent = os.getppid()
{setup}
try:
    {attempt}
except OSError as error:
    os._exit(10 + (error.errno == 1) + 5 * (error.errno == 13))
except MemoryError:
    os._exit(12)
os._exit(0)
"""
_ENTER = "sandbox.enter(parent, sandbox.Limits(1 << 30, 1 << 20, 5), {walls})"
_FOLDER = "sandbox.Walls('files', read=('/usr/share',), write=(folder,))"
USERS = [0, 1000] if os.geteuid() == 0 else [os.geteuid()]
EPERM, EACCES = 11, 15


def _run(setup: str, attempt: str, *, uid: int = USERS[0], folder: str = "/") -> int:
    """What the process ends with: 0 when the attempt works, 11 for EPERM, 15 for EACCES, 12 for want of memory."""
    return subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            _WALLED.format(setup=setup, attempt=attempt),
            str(ROOT),
            str(uid),
            folder,
        ],
        check=False,
        env={},
        timeout=60,
    ).returncode


def _walled(attempt: str, *, uid: int = USERS[0]) -> int:
    return _run(_ENTER.format(walls="sandbox.COMPUTING"), attempt, uid=uid)


REACHING = [
    "open('/etc/passwd')",
    "open('/canary', 'w')",
    "os.listdir('/')",
    "os.stat('/etc/passwd')",
    "socket.socket()",
    "socket.socket(socket.AF_UNIX)",
    "socket.socketpair()",
    "os.fork()",
    "os.execv('/bin/true', ['true'])",
    "os.kill(os.getppid(), 0)",
    "os.mkdir('/canary')",
    "os.unlink('/etc/hostname')",
    "os.setuid(0)",
    "os.memfd_create('x')",
    "os.pipe()",
]


@pytest.mark.parametrize("uid", USERS)
def test_behind_the_walls_nothing_can_be_opened_started_or_reached(uid: int) -> None:
    setup = _ENTER.format(walls="sandbox.COMPUTING")
    tries = "\n".join(
        f"try:\n    {attempt}\n    os._exit({50 + index})\nexcept OSError as error:\n    assert error.errno == 1, {attempt!r}"
        for index, attempt in enumerate(REACHING)
    )
    assert _run(f"{setup}\n{tries}", "pass", uid=uid) == 0


@pytest.mark.parametrize("uid", USERS)
def test_a_job_folder_is_all_that_a_job_with_files_reaches(uid: int, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    folder.chmod(0o777)
    for above in (tmp_path, *tmp_path.parents):
        if above.stat().st_uid == os.getuid() and not above.stat().st_mode & 0o001:
            above.chmod(0o755)
    (tmp_path / "canary").write_text("not for the job")
    (tmp_path / "canary").chmod(0o666)
    setup = _ENTER.format(walls=_FOLDER)

    def tried(attempt: str) -> int:
        return _run(setup, attempt, uid=uid, folder=str(folder))

    assert tried("open('written', 'w').write('x'); open('written').read(); os.listdir('/usr/share')") == 0
    assert tried("open('../canary')") == EACCES
    assert tried("open('../canary', 'w')") == EACCES
    assert tried("open('/etc/passwd')") == EACCES
    assert tried("open('/usr/share/canary', 'w')") == EACCES
    assert tried("os.fork()") == EPERM
    assert tried("socket.socket()") == EPERM
    assert tried("os.execv('/bin/true', ['true'])") == EPERM
    assert tried("import threading; t = threading.Thread(target=int); t.start(); t.join()") == 0


def test_behind_the_walls_computing_still_works() -> None:
    assert _walled("sum(range(1000)); bytes(10 << 20); os.getpid(); os.urandom(8); os.read(kept, 10)") == 0


@pytest.mark.parametrize(
    ("attempt", "stopped"),
    [
        ("open('/etc/passwd')", EACCES),
        ("open(folder + '/x', 'w')", EACCES),
        ("os.listdir('/')", EACCES),
        ("os.execv('/bin/true', ['true'])", EACCES),
    ],
)
def test_landlock_alone_stops_every_file(attempt: str, stopped: int, tmp_path: Path) -> None:
    setup = "sandbox.no_new_privileges(); landlock.restrict()"
    assert _run("", attempt, folder=str(tmp_path)) == 0
    assert _run(setup, attempt, folder=str(tmp_path)) == stopped


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root has something to give up; the ordinary user is tried above"
)
def test_giving_up_root_alone_stops_what_root_may() -> None:
    assert _run("", "os.setpriority(os.PRIO_PROCESS, 0, -1); open('/etc/shadow')", uid=0) == 0
    assert _run("sandbox.drop_root()", "open('/etc/shadow')", uid=0) == EACCES
    assert _run("sandbox.drop_root()", "os.setuid(0)", uid=0) == EPERM


@pytest.mark.parametrize("attempt", ["socket.socket()", "os.fork()", "open('/etc/passwd')", "os.pipe()"])
def test_the_filter_alone_stops_calls(attempt: str) -> None:
    assert _run("", attempt.replace("os.fork()", "os.waitpid(os.fork() or os._exit(0), 0)")) == 0
    assert _run("sandbox.no_new_privileges(); sandbox.filter_calls()", attempt) == EPERM


def test_the_filter_alone_ends_what_no_parser_does_by_mistake() -> None:
    ptrace = "ctypes.CDLL(None).syscall({}, 0, 0, 0, 0)".format(
        next(call for call in syscalls.KILLED if call.name == "ptrace").on(platform.machine())
    )
    assert _run("sandbox.no_new_privileges(); sandbox.filter_calls('program')", ptrace) == -signal.SIGSYS


def test_new_privileges_are_given_up() -> None:
    asks = "os._exit(0 if ctypes.CDLL(None).prctl(39, 0, 0, 0, 0) == 1 else 30)"
    assert _run("", asks) == 30
    assert _run("sandbox.no_new_privileges()", asks) == 0
    # As an ordinary user the kernel takes a filter only from who gave them up: the wall's own order holds it.
    calls = "sandbox.no_new_privileges = lambda: None\n" + _ENTER.format(walls="sandbox.COMPUTING")
    assert (
        _run(
            f"try:\n    {calls.replace(chr(10), chr(10) + '    ')}\nexcept Exception: os._exit(31)",
            "pass",
            uid=USERS[-1],
        )
        == 31
    )


def test_memory_output_and_processor_time_are_bounded(tmp_path: Path) -> None:
    alone = "sandbox.limit(sandbox.Limits(1 << 30, 1 << 20, 1))"
    assert _run("", "bytes(2 << 30)") == 0
    assert _run(alone, "bytes(2 << 30)") == 12
    assert (
        _run(
            f"{alone}; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)",
            "open(folder + '/x', 'wb').write(bytes(2 << 20))",
            folder=str(tmp_path),
        )
        == 10
    )
    assert _run(alone, "all(iter(lambda: 1, 0))") == -signal.SIGKILL
    assert _walled("bytes(2 << 30)") == 12


def test_root_is_given_up() -> None:
    assert _walled("sys.exit(0 if os.geteuid() else 20)") == 0


@pytest.mark.parametrize(
    "broken",
    [
        "landlock._CREATE = 9999",
        "sandbox.program = lambda machine, calls: b'12345678'",
        "sandbox.resource.setrlimit = lambda *given: (_ for _ in ()).throw(ValueError)",
        "sandbox._PR_SET_NO_NEW_PRIVS = 9999",
        "os.setgroups = os.setresuid = lambda *given: (_ for _ in ()).throw(PermissionError)",
    ],
)
def test_a_layer_that_cannot_be_had_refuses_the_job(broken: str) -> None:
    if "setgroups" in broken and os.geteuid() != 0:
        broken = "sandbox._PR_SET_DUMPABLE = 9999"  # An ordinary user has no root to give up.
    enter = _ENTER.format(walls="sandbox.COMPUTING")
    setup = f"{broken}\ntry:\n    {enter}\nexcept Exception as error:\n    os._exit(40 if error.code == 'SANDBOX' else 41)"
    assert _run(setup, "pass") == 40


def test_no_walls_on_an_unknown_machine() -> None:
    with pytest.raises(Refusal, match="SANDBOX"):
        sandbox.program("pdp11")


@pytest.mark.parametrize("calls", ["computing", "files", "program"])
@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_the_filter_jumps_inside_itself_and_ends_in_a_refusal(machine: str, calls: str) -> None:
    code = sandbox.program(machine, calls)
    count = len(code) // 8
    for index in range(count):
        kind, yes, no = code[8 * index], code[8 * index + 2], code[8 * index + 3]
        if kind & 0x07 == 0x05:
            assert index + 1 + max(yes, no) < count
    assert code[-4:] == (0x00050001).to_bytes(4, "little")
    assert code[-8] == 0x06


def test_each_wider_filter_only_adds() -> None:
    names = [call.name for call in (*syscalls.COMPUTING, *syscalls.FILES, *syscalls.PROGRAM)]
    assert len(names) == len(set(names))
    never = {
        "socketpair",
        "connect",
        "sendto",
        "sendmsg",
        "fork",
        "vfork",
        "execveat",
        "truncate",
        "kill",
        "ptrace",
    }
    assert not never & set(names)


def test_the_kernel_knows_landlock() -> None:
    assert landlock.version() >= 1
