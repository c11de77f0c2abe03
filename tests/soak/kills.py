"""Programs killed by strace at a chosen system call, and what they left behind (SECURITY.md §7).

    places = list(rehearse(command, folder, calls=("write", "fsync")))   every call that the whole run makes
    for place in spread(places, 200):
        trial = run(command, fresh_folder, place)
        assert trial.killed
        ...                                                              the owner's own invariants
        assert leaks(trial, fresh_folder, canary) == []

A command is any program; what it prints, line by line and flushed, is what it had acknowledged before it died. It is killed
on entering the call, so that the call itself no longer happens; the moment after a call is the entry of the next. The program
should do the same calls every time: what it makes random must not change their number much. A place that a run no longer
reaches leaves `killed` false, and the run is then simply whole.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# Everything by which bytes or names reach a disk or another process.
CALLS = (
    "write",
    "writev",
    "pwrite64",
    "fsync",
    "fdatasync",
    "ftruncate",
    "rename",
    "link",
    "unlink",
    "mkdir",
    "sendto",
    "sendmsg",
)
DEADLINE_S = 180.0
# On some machines the older call of a pair is gone; both spellings then count as one.
_TWINS = {
    "rename": ("renameat", "renameat2"),
    "link": ("linkat",),
    "unlink": ("unlinkat", "rmdir"),
    "mkdir": ("mkdirat",),
}
_CALLED = re.compile(r"^(\d+) +(\w+)\(")
_OPENED = re.compile(r'^\d+ +openat\([^"]*"([^"]+)", [A-Z_|]*O_(?:WRONLY|RDWR)[^)]*\) += \d+')
_NAMED = re.compile(r'^\d+ +(?:rename|link)\w*\(.*"([^"]+)"(?:, \w+)?\) += 0')


@dataclass(frozen=True)
class Place:
    """The `nth` entry, counted from 1 in each thread, of one system call."""

    call: str
    nth: int

    def __str__(self) -> str:
        return f"{self.call} {self.nth}"


@dataclass(frozen=True)
class Trial:
    """One run: whether the kill took place, the lines printed until then, files opened for writing or given a name."""

    killed: bool
    lines: tuple[str, ...]
    written: tuple[Path, ...]
    errors: str


def available() -> bool:
    """Whether strace is installed and may trace here."""
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run(["strace", "-qq", "-e", "trace=none", "true"], capture_output=True, check=False)
    return tried.returncode == 0


def rehearse(
    command: Sequence[str],
    folder: Path,
    *,
    calls: Iterable[str] = CALLS,
    environment: dict[str, str] | None = None,
) -> Iterator[Place]:
    """Run the command once without harm and yield every place at which it could be killed."""
    trace, done = _traced(command, folder, (), environment)
    if done.returncode != 0:
        raise AssertionError(f"the program fails by itself: {done.stderr[-2000:]}")
    wanted, seen = set(calls), Counter(_calls(trace))
    most = Counter[str]()
    for (_, call), number in seen.items():
        most[call] = max(most[call], number)
    for call in sorted(wanted & set(most)):
        yield from (Place(call, nth) for nth in range(1, most[call] + 1))


def spread(places: Sequence[Place], number: int) -> list[Place]:
    """`number` of the places, from the first to the last, each as often as any other."""
    return [places[index * len(places) // number] for index in range(number)]


def run(
    command: Sequence[str], folder: Path, place: Place, *, environment: dict[str, str] | None = None
) -> Trial:
    """Run the command and kill it at the place; its standard input is empty."""
    inject = f"inject={_spelt(place.call)}:signal=SIGKILL:when={place.nth}"
    trace, done = _traced(command, folder, ("-e", inject), environment)
    written = tuple(dict.fromkeys(_written(trace, folder)))
    return Trial(done.returncode == -signal.SIGKILL, tuple(done.stdout.splitlines()), written, done.stderr)


def leaks(trial: Trial, folder: Path, canary: bytes) -> list[Path]:
    """Every file of the folder, or written by the run elsewhere, that holds the canary."""
    below = {path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}
    elsewhere = {path for path in trial.written if path.is_file()}
    return sorted(path for path in below | elsewhere if holds(path, canary))


def holds(path: Path, canary: bytes) -> bool:
    """Whether the file holds the bytes, read in pieces that overlap; one that vanishes meanwhile holds nothing."""
    kept = b""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as source:
        while piece := source.read(1 << 20):
            if canary in kept + piece:
                return True
            kept = piece[-len(canary) :]
    return False


def _traced(
    command: Sequence[str], folder: Path, inject: Sequence[str], environment: dict[str, str] | None
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    # Beside the folder, not in it: the names of files are no plaintext, but the folder is scanned as a whole.
    trace = folder.parent / f"{folder.name}.strace"
    traced = ",".join(f"?{name}" for call in (*CALLS, "openat") for name in (call, *_TWINS.get(call, ())))
    # Names of files are shown whole whatever -s says; of the data nothing has to stand in the trace.
    program = [
        "strace",
        "-f",
        "-qq",
        "-s",
        "0",
        "-o",
        str(trace),
        "-e",
        f"trace={traced}",
        *inject,
        "--",
        *command,
    ]
    env = (
        os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(_temporary(folder))} | (environment or {})
    )
    done = subprocess.run(
        program,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return trace, done


def _temporary(folder: Path) -> Path:
    """Where the program's temporary files go: into the folder, so that they are looked at too."""
    path = folder / "tmp"
    path.mkdir(parents=True, exist_ok=True)
    return path


def _spelt(call: str) -> str:
    return ",".join(f"?{name}" for name in (call, *_TWINS.get(call, ())))


def _calls(trace: Path) -> Iterator[tuple[str, str]]:
    """(thread, call) of each line, twins under their first name."""
    first = {twin: call for call, twins in _TWINS.items() for twin in twins}
    with trace.open(errors="replace") as lines:
        for line in lines:
            if called := _CALLED.match(line):
                yield called[1], first.get(called[2], called[2])


def _written(trace: Path, folder: Path) -> Iterator[Path]:
    with trace.open(errors="replace") as lines:
        for line in lines:
            for pattern in (_OPENED, _NAMED):
                if found := pattern.match(line):
                    yield folder / found[1]
