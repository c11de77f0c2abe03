"""What runs beside the web door: every task is tried, none stops another, and all threads end when told."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import engine
from gateway.engine import Engine, Task, run_all
from storage.memory import MemoryStore

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@dataclass
class Heard:
    """What was called, in order; `wait` until something was."""

    calls: list[str] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self, name: str, now: datetime) -> None:
        with self.news:
            self.calls.append(name)
            self.news.notify_all()

    def wait(self, name: str, times: int = 1) -> bool:
        """Whether it was called so often within 20 s."""
        with self.news:
            return self.news.wait_for(lambda: self.calls.count(name) >= times, 20)


@dataclass
class Worker:
    """A queue whose loop ends when it is told to."""

    over: threading.Event = field(default_factory=threading.Event)
    worked: bool = False

    def work(self) -> None:
        """Waits to be told."""
        self.worked = True
        self.over.wait(20)

    def stop(self) -> None:
        """Ends the loop."""
        self.over.set()


def parts(heard: Heard) -> Any:
    """Deps whose parts only say that they were asked."""

    def hear(name: str) -> Any:
        return lambda *, now: heard(name, now)

    return SimpleNamespace(
        log=SimpleNamespace(sequence=hear("sequence"), heartbeat=hear("heartbeat"), latest=lambda: None),
        stores={"audit": MemoryStore()},
        settings=SimpleNamespace(log_tsa_url=None, log_tsa_roots_file=None),
        mailer=SimpleNamespace(flush=hear("mail")),
        queue=SimpleNamespace(reap=hear("reap")),
        database=None,
        clock=lambda: NOW,
    )


def fails(_: datetime) -> None:
    """A task that is broken."""
    raise ZeroDivisionError


def test_the_tasks_are_those_the_portal_needs() -> None:
    found = {task.name: task.every_s for task in engine.tasks(parts(Heard()))}
    assert set(found) >= {
        "sequence",
        "mail",
        "reap",
        "heartbeat",
        "strangers",
        "agreements",
        "shares",
        "accounts",
        "uploads",
        "destructions",
    }
    assert found["sequence"] <= 1
    # Sweeps that stop what has ended run at least every minute.
    assert found["agreements"] <= 60
    assert found["shares"] <= 60
    assert all(every > 0 for every in found.values())


def test_the_ground_tasks_ask_their_parts() -> None:
    heard = Heard()
    for task in engine.tasks(parts(heard)):
        if task.name in ("sequence", "mail", "reap", "heartbeat"):
            task.run(NOW)
    assert heard.calls == ["sequence", "mail", "reap", "heartbeat"]


def test_a_task_that_fails_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()
    made = (
        Task("first", 1, lambda now: heard("first", now)),
        Task("broken", 1, fails),
        Task("last", 1, lambda now: heard("last", now)),
    )
    monkeypatch.setattr(engine, "tasks", lambda _deps: made)
    run_all(parts(heard), now=NOW)
    assert heard.calls == ["first", "last"]


def test_the_engine_repeats_its_tasks_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    heard, worker = Heard(), Worker()
    made = (
        Task("tick", 0.001, lambda now: heard("tick", now)),
        Task("broken", 0.001, fails),
        Task("rare", 3600, fails),
    )
    monkeypatch.setattr(engine, "tasks", lambda _deps: made)
    deps = parts(heard)
    deps.queue = worker
    running = Engine(deps)
    running.start()
    assert heard.wait("tick", 3)
    waiting = threading.Thread(target=running.wait)
    waiting.start()
    assert waiting.is_alive()
    running.stop()
    waiting.join(20)
    assert not waiting.is_alive()
    assert worker.worked
    count = len(heard.calls)
    assert not [t for t in threading.enumerate() if t.name in ("tick", "broken", "rare", "worker")]
    assert len(heard.calls) == count
