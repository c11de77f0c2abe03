"""Jobs: written with the business transaction, run at least once, retried, reaped, and never run twice at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from huey import MemoryHuey, SqliteHuey
from huey.api import Huey
from sqlalchemy import update

from gateway.db import Base, Database
from gateway.errors import SealGateError
from gateway.jobs.models import Job
from gateway.jobs.service import LOST, MAX_ATTEMPTS, STALE, JobView, Progress, Queue, enqueue, view
from gateway.principal import Text

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
STEP = Text("打水印", "Marking")


@dataclass
class Works:
    """A queue with its database and a clock that the test sets."""

    database: Database
    queue: Queue
    now: datetime = START
    seen: list[JobView] = field(default_factory=list)

    def enqueue(self, kind: str = "note", **payload: Any) -> str:
        """A job in a transaction of its own."""
        with self.database.write() as session:
            return enqueue(session, kind, now=self.now, payload=payload)

    def view(self, job: str) -> JobView:
        """A job as it stands."""
        with self.database.read() as session:
            found = view(session, job)
        assert found is not None
        return found

    def set(self, job: str, **values: Any) -> None:
        """Puts a row into the state that a crash leaves."""
        with self.database.write() as session:
            session.execute(update(Job).where(Job.id == job).values(**values))


@pytest.fixture(params=["memory", "sqlite"])
def works(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Works]:
    """An empty queue, in memory and as the embedded installation has it."""
    database = Database(f"sqlite:///{tmp_path / 'a.db'}", b"m" * 32)
    Base.metadata.create_all(database.engine, tables=[Job.__table__])  # type: ignore[list-item]
    huey: Huey = (
        MemoryHuey("t") if request.param == "memory" else SqliteHuey("t", filename=str(tmp_path / "q.db"))
    )
    made = Works(database, Queue(database, huey, lambda: made.now))
    made.queue.handlers["note"] = lambda _deps, job, _progress: made.seen.append(job)
    made.queue.bind("the deps")
    yield made
    if request.param == "sqlite":
        huey.storage.close()
    database.close()


def test_a_job_runs_once_with_its_payload(works: Works) -> None:
    given: list[Any] = []

    def handle(deps: Any, job: JobView, progress: Progress) -> None:
        given.append((deps, job.payload, job.state, job.attempts))
        progress(STEP, 1, 2)
        given.append(works.view(job.id))

    works.queue.handlers["mark"] = handle
    job = works.enqueue("mark", bundle="b1")
    assert works.view(job).state == "QUEUED"
    assert works.queue.drain() == 1
    assert given[0] == ("the deps", {"bundle": "b1"}, "RUNNING", 1)
    assert (given[1].step, given[1].done, given[1].total) == (STEP, 1, 2)
    done = works.view(job)
    assert (done.state, done.error, done.attempts) == ("DONE", None, 1)
    assert works.queue.drain() == 0


def test_nothing_is_dispatched_before_the_commit(works: Works) -> None:
    with works.database.write() as session:
        enqueue(session, "note", now=works.now, payload={})
        assert works.queue.drain() == 0
    assert works.queue.drain() == 1
    assert len(works.seen) == 1


def test_a_rolled_back_job_is_gone(works: Works) -> None:
    def fail() -> None:
        with works.database.write() as session:
            enqueue(session, "note", now=works.now, payload={})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    works.now += LOST * 2
    assert works.queue.drain() == works.queue.reap(now=works.now) == 0


def test_a_job_that_is_done_is_left_alone(works: Works) -> None:
    job = works.enqueue()
    works.queue.drain()
    works.queue.run(job)
    works.queue.run("0" * 32)
    assert len(works.seen) == 1


def test_a_running_job_is_not_taken_by_another_worker_until_its_heartbeat_is_old(works: Works) -> None:
    job = works.enqueue()
    works.set(job, state="RUNNING", heartbeat_at=works.now, attempts=1)
    works.now += STALE
    works.queue.run(job)
    assert works.seen == []
    works.now += timedelta(seconds=1)
    works.queue.run(job)
    assert [j.attempts for j in works.seen] == [2]
    assert works.view(job).state == "DONE"


def test_a_refusal_fails_the_job_at_once_and_tells_its_room(works: Works) -> None:
    def refuse(_deps: Any, _job: JobView, _progress: Progress) -> None:
        raise SealGateError("NO_GLYPH")

    failed: list[str] = []
    works.queue.handlers["mark"] = refuse
    works.queue.failures["mark"] = lambda _deps, job, _progress: failed.append(job.id)
    job = works.enqueue("mark")
    works.queue.drain()
    found = works.view(job)
    assert (found.state, found.error, found.attempts) == ("FAILED", "NO_GLYPH", 1)
    assert failed == [job]


def test_a_crash_is_tried_again_and_then_given_up(works: Works) -> None:
    tries: list[int] = []
    failed: list[str] = []

    def crash(_deps: Any, job: JobView, _progress: Progress) -> None:
        tries.append(job.attempts)
        raise ZeroDivisionError

    works.queue.handlers["mark"] = crash
    works.queue.failures["mark"] = lambda _deps, job, _progress: failed.append(job.id)
    job = works.enqueue("mark")
    assert works.queue.drain() == MAX_ATTEMPTS
    assert tries == [1, 2, 3]
    found = works.view(job)
    assert (found.state, found.error) == ("FAILED", "CRASHED")
    assert failed == [job]


def test_a_crash_that_heals_ends_well(works: Works) -> None:
    def once(_deps: Any, job: JobView, _progress: Progress) -> None:
        if job.attempts == 1:
            raise OSError

    works.queue.handlers["mark"] = once
    job = works.enqueue("mark")
    works.queue.drain()
    assert (works.view(job).state, works.view(job).attempts) == ("DONE", 2)


def test_an_unknown_kind_fails(works: Works) -> None:
    job = works.enqueue("nobody.knows")
    works.queue.drain()
    assert (works.view(job).state, works.view(job).error) == ("FAILED", "UNKNOWN_JOB")


def test_the_reaper_hands_out_what_a_crash_lost(works: Works) -> None:
    died = works.enqueue(n=1)
    works.queue._huey.flush()
    works.set(died, state="RUNNING", heartbeat_at=works.now, attempts=1)
    lost = works.enqueue(n=2)
    works.queue._huey.flush()
    assert works.queue.reap(now=works.now) == 0
    works.now += STALE + timedelta(seconds=1)
    assert works.queue.reap(now=works.now) == 2
    works.queue.drain()
    assert {works.view(j).state for j in (died, lost)} == {"DONE"}
    assert works.queue.reap(now=works.now) == 0


def test_the_reaper_gives_up_what_keeps_dying(works: Works) -> None:
    failed: list[str] = []
    works.queue.failures["note"] = lambda _deps, job, _progress: failed.append(job.id)
    job = works.enqueue()
    works.queue._huey.flush()
    works.set(job, state="RUNNING", heartbeat_at=works.now, attempts=MAX_ATTEMPTS)
    works.now += STALE + timedelta(seconds=1)
    works.queue.reap(now=works.now)
    assert (works.view(job).state, works.view(job).error) == ("FAILED", "LOST")
    assert failed == [job]
    assert works.seen == []


def test_a_room_that_stumbles_over_a_failed_job_does_not_hold_up_the_others(works: Works) -> None:
    def stumble(_deps: Any, _job: JobView, _progress: Progress) -> None:
        raise ZeroDivisionError

    works.queue.failures["bad"] = stumble
    bad, good = works.enqueue("bad"), works.enqueue()
    works.queue._huey.flush()
    for job, attempts in ((bad, MAX_ATTEMPTS), (good, 1)):
        works.set(job, state="RUNNING", heartbeat_at=works.now, attempts=attempts)
    works.now += STALE + timedelta(seconds=1)
    assert works.queue.reap(now=works.now) == 2
    works.queue.drain()
    assert works.view(good).state == "DONE"
    assert works.view(bad).state == "RUNNING"


def test_a_queue_that_is_down_does_not_stop_the_business(works: Works) -> None:
    def broken(_job: str) -> None:
        raise OSError

    task = works.queue._task
    works.queue._task = broken
    job = works.enqueue()
    assert works.view(job).state == "QUEUED"
    works.queue._task = task
    works.now += LOST + timedelta(seconds=1)
    assert works.queue.reap(now=works.now) == 1
    works.queue.drain()
    assert works.view(job).state == "DONE"


def test_the_worker_wakes_for_work_and_stops_when_told(works: Works) -> None:
    ran = threading.Event()
    works.queue.handlers["note"] = lambda _deps, _job, _progress: ran.set()
    worker = threading.Thread(target=works.queue.work, kwargs={"poll_s": 30})
    worker.start()
    works.enqueue()
    assert ran.wait(20)
    works.queue.stop()
    worker.join(20)
    assert not worker.is_alive()


def test_a_long_job_keeps_its_heartbeat(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.jobs.service.HEARTBEAT_S", 0.01)
    beaten = threading.Event()

    def handle(_deps: Any, job: JobView, _progress: Progress) -> None:
        works.now = START + timedelta(seconds=40)
        end = threading.Event()
        for _ in range(1000):
            with works.database.read() as session:
                if session.get_one(Job, job.id).heartbeat_at == works.now:
                    beaten.set()
                    return
            end.wait(0.01)

    works.queue.handlers["mark"] = handle
    works.enqueue("mark")
    works.queue.drain()
    assert beaten.is_set()


def test_there_is_no_view_of_what_is_not_there(works: Works) -> None:
    with works.database.read() as session:
        assert view(session, "0" * 32) is None
