"""What runs beside the web door: jobs, mail, the log's sequencer, and the sweeps that time asks for (DESIGN.md §6).

Each task is idempotent and may run in several processes at once: rows are locked, the log has its lease, jobs are claimed.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from gateway.archive import service as archive
from gateway.audit import anchors, stamp
from gateway.audit.service import flush_strangers
from gateway.custody import shred
from gateway.custody import uploads as custody
from gateway.deps import Deps
from gateway.identity import service as identity
from gateway.oversight import indexing, watching
from gateway.oversight.daily_head import mail_head
from gateway.sharing import service as sharing
from gateway.signing import service as signing

log = structlog.get_logger()


@dataclass(frozen=True)
class Task:
    """One thing done again and again, `every_s` seconds apart."""

    name: str
    every_s: float
    run: Callable[[datetime], object]


def tasks(deps: Deps) -> tuple[Task, ...]:
    """All periodic work of a portal."""
    audit = deps.stores["audit"]
    authority = stamp.Authority.configured(deps.settings, deps.clock)
    return (
        Task("sequence", 1.0, lambda now: deps.log.sequence(now=now)),
        Task("mail", 2.0, lambda now: deps.mailer.flush(now=now)),
        Task("reap", 15.0, lambda now: deps.queue.reap(now=now)),
        Task("heartbeat", 60.0, lambda now: anchors.beat(deps.log, deps.database, audit, now=now)),
        Task("stamp", 3600.0, lambda now: stamp.weekly(deps.database, audit, authority, now=now)),
        Task("head", 900.0, lambda now: mail_head(deps, now=now)),
        Task("strangers", 60.0, lambda now: flush_strangers(deps.database, now=now)),
        Task("agreements", 60.0, lambda now: signing.sweep(deps, now=now)),
        Task("shares", 60.0, lambda now: sharing.sweep(deps, now=now)),
        Task("index", 2.0, lambda _now: indexing.catch_up(deps)),
        Task("alerts", 60.0, lambda now: watching.watch(deps, now=now)),
        Task("accounts", 300.0, lambda now: identity.end_due_accounts(deps, now=now)),
        Task("leftovers", 3600.0, lambda now: custody.sweep(deps.database, deps.stores, now=now)),
        Task("destructions", 900.0, lambda now: shred.finish(deps, now=now)),
        Task("uploads", 900.0, lambda now: archive.sweep_uploads(deps, now=now)),
    )


def run_all(deps: Deps, *, now: datetime) -> None:
    """Every task once, in order; one that fails is logged and does not stop the others."""
    for task in tasks(deps):
        _run(task, now)


def _run(task: Task, now: datetime) -> None:
    try:
        task.run(now)
    except Exception:
        log.error("periodic task failed", task=task.name, exc_info=True)


class Engine:
    """The threads of one process: a worker for jobs and one timer per task. `start` returns at once; `stop` waits for them."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._over = threading.Event()
        self._threads = [threading.Thread(target=deps.queue.work, name="worker", daemon=True)]
        self._threads += [
            threading.Thread(target=self._repeat, args=(t,), name=t.name, daemon=True) for t in tasks(deps)
        ]

    def start(self) -> None:
        """Starts every thread."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Asks every thread to end after the work at hand and waits."""
        self._over.set()
        self._deps.queue.stop()
        for thread in self._threads:
            thread.join()

    def wait(self) -> None:
        """Blocks until `stop`, for a process that is a worker and nothing else."""
        self._over.wait()

    def _repeat(self, task: Task) -> None:
        while not self._over.wait(task.every_s):
            _run(task, self._deps.clock())
