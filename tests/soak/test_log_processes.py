"""Several processes download at once and are killed at any moment: no gap, no fork, nothing lost, each checkpoint a beginning."""

import base64
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from gateway.audit import folder, leaf, note, publish
from gateway.audit.models import Leaf
from gateway.audit.rebuild import audit_rebuild
from gateway.audit.service import Log
from gateway.audit.signer import Signer
from gateway.db import Base, Database
from tests.services.postgres import running_postgres
from tests.soak import kills, logging_worker
from tests.soak.logging_worker import ORIGIN, SPENT

PROGRAM = str(Path(logging_worker.__file__))


@dataclass
class Site:
    """One database with a log, its key, and all that any process has acknowledged so far."""

    url: str
    home: Path
    signer: Signer
    notes: set[str] = field(default_factory=set)
    done: dict[str, tuple[int, int]] = field(default_factory=dict)
    rounds: int = 0

    def command(self, name: str, count: int) -> list[str]:
        return [sys.executable, PROGRAM, self.url, str(self.home / "log.key"), name, str(count)]

    def hear(self, lines: Sequence[str]) -> None:
        for words in (line.split(" ") for line in lines):
            if words[0] == "note":
                self.notes.add(base64.b64decode(words[1]).decode())
            elif words[0] == "done" and len(words) == 4:
                self.done[words[1]] = (int(words[2]), int(words[3]))


def build(url: str, home: Path, most: int) -> Site:
    database = Database(url, b"m" * 32)
    tables = [table for name, table in Base.metadata.tables.items() if name.startswith("audit_")]
    Base.metadata.create_all(database.engine, tables=tables)
    SPENT.metadata.create_all(database.engine)
    with database.write() as session:
        session.execute(insert(SPENT), {"id": "share", "used": 0, "most": most})
    database.close()
    return Site(url, home, Signer.generate(home / "log.key", ORIGIN))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'log.db'}"
        return
    with running_postgres() as server:
        yield server.database()


def start(command: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def holds(site: Site, *, unspent: bool) -> int:
    """Everything that must be true of the log at rest; returns how many entries it has."""
    database = Database(site.url, b"m" * 32)
    log = Log(database, site.signer, origin=ORIGIN)
    while log.sequence(now=datetime.now(UTC)):
        pass
    last = log.heartbeat(now=datetime.now(UTC))
    with database.read() as session:
        audit_rebuild(session, [site.signer.key])
        rows = session.execute(select(Leaf.id, Leaf.seq, Leaf.body).order_by(Leaf.seq)).all()
        used, most = session.execute(select(SPENT.c.used, SPENT.c.most)).one()
        out = site.home / f"published-{site.rounds}"
        site.rounds += 1
        for name, content in publish.files(session, last):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(content)
    database.close()
    assert [row.seq for row in rows] == list(range(len(rows)))
    assert len(rows) == used <= most and (used == most) != unspent
    assert set(site.done) <= {row.id for row in rows}
    heads = [note.open_checkpoint(text, [site.signer.key]) for text in site.notes]
    folder.verify(out, [site.signer.key], earlier=heads, full=True)
    in_order([site.done[row.id] for row in rows if row.id in site.done])
    each_in_order(rows)
    return len(rows)


def in_order(times: Sequence[tuple[int, int]]) -> None:
    """Nothing that began after another's commit stands before it."""
    latest_begin = 0
    for began, committed in times:
        assert committed > latest_begin, "an entry stands behind one that began after its commit"
        latest_begin = max(latest_begin, began)


def each_in_order(rows: Sequence[object]) -> None:
    seen: dict[str, int] = {}
    for entry in (leaf.parse(row.body) for row in rows):
        name = entry.object[1]
        assert entry.data["i"] == seen.get(name, -1) + 1
        seen[name] = entry.data["i"]


def test_the_check_of_the_order_sees_what_is_out_of_order() -> None:
    in_order([(1, 4), (2, 3), (5, 6)])
    with pytest.raises(AssertionError):
        in_order([(5, 6), (1, 4)])


def at_once(site: Site, processes: int, downloads: int) -> None:
    workers = [start(site.command(f"p{n}", downloads)) for n in range(processes)]
    answers = [None] * processes

    def listen(n: int) -> None:
        answers[n] = workers[n].communicate(timeout=3000)

    threads = [threading.Thread(target=listen, args=(n,)) for n in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for worker, (out, errors) in zip(workers, answers, strict=True):
        assert worker.returncode == 0, errors[-2000:]
        site.hear(out.splitlines())


def test_processes_download_at_once(url: str, tmp_path: Path) -> None:
    site = build(url, tmp_path, most=3 * 15 - 5)
    at_once(site, 3, 15)
    assert holds(site, unspent=False) == len(site.done) == 40


@pytest.mark.soak
def test_eight_processes_download_a_thousand_each(url: str, tmp_path: Path) -> None:
    site = build(url, tmp_path, most=8_000)
    at_once(site, 8, 1_000)
    assert holds(site, unspent=False) == len(site.done) == 8_000


def killed_at_random(site: Site, rounds: int, processes: int) -> int:
    """Starts processes, kills each after a random number of its acknowledgements, checks, and goes on."""
    chance = random.Random(7)
    for turn in range(rounds):
        workers = [start(site.command(f"r{turn}-{n}", 1_000)) for n in range(processes)]
        threads = [
            threading.Thread(target=kill_after, args=(site, worker, chance.randrange(1, 12)))
            for worker in workers
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert holds(site, unspent=True) >= len(site.done)
    return len(site.done)


def kill_after(site: Site, worker: subprocess.Popen[str], lines: int) -> None:
    heard = [worker.stdout.readline() for _ in range(lines)]
    os.kill(worker.pid, signal.SIGKILL)
    rest, _ = worker.communicate(timeout=60)
    assert worker.returncode == -signal.SIGKILL
    # The last line may be cut off in the middle: it was not acknowledged then.
    whole = ("".join(heard) + rest).rpartition("\n")[0]
    site.hear(whole.splitlines())


def test_processes_are_killed_at_random(url: str, tmp_path: Path) -> None:
    site = build(url, tmp_path, most=10**6)
    assert killed_at_random(site, 1, 2) > 0


@pytest.mark.soak
def test_processes_are_killed_at_random_many_times(url: str, tmp_path: Path) -> None:
    site = build(url, tmp_path, most=10**6)
    assert killed_at_random(site, 25, 4) > 100


def killed_at_calls(tmp_path: Path, number: int) -> int:
    """A process is killed on entering a system call; `number` calls, from the first to the last. Returns how many took place."""
    killed = 0
    calls = ("write", "pwrite64", "fdatasync", "fsync", "ftruncate", "unlink")

    def fresh(name: str) -> Site:
        home = tmp_path / name
        home.mkdir()
        return build(f"sqlite:///{home / 'log.db'}", home, most=10**6)

    first = fresh("rehearsal")
    places = list(kills.rehearse(first.command("p", 6), first.home, calls=calls))
    for n, place in enumerate(kills.spread(places, number)):
        site = fresh(f"trial-{n}")
        trial = kills.run(site.command("p", 6), site.home, place)
        killed += trial.killed
        site.hear(trial.lines)
        holds(site, unspent=True)
    return killed


@pytest.mark.skipif(not kills.available(), reason="strace is not to be had")
def test_a_process_is_killed_at_system_calls(tmp_path: Path) -> None:
    assert killed_at_calls(tmp_path, 3) >= 2


@pytest.mark.soak
@pytest.mark.skipif(not kills.available(), reason="strace is not to be had")
def test_a_process_is_killed_at_two_hundred_system_calls(tmp_path: Path) -> None:
    assert killed_at_calls(tmp_path, 200) >= 190
