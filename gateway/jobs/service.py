"""Jobs: enqueue in the business transaction, run at least once, heartbeat while running, reap what a crash lost.

Handlers are idempotent: a worker that dies in the middle leaves a RUNNING row whose heartbeat goes stale, and the reaper hands
it out again, at most MAX_ATTEMPTS times.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from huey.api import Huey
from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from gateway.db import Database, after_commit, new_id
from gateway.errors import SealGateError
from gateway.jobs.errors import UnknownJob
from gateway.jobs.models import Job
from gateway.principal import Text

HEARTBEAT_S = 5.0
STALE = timedelta(seconds=60)
LOST = timedelta(seconds=15)
MAX_ATTEMPTS = 3

log = structlog.get_logger()


@dataclass(frozen=True)
class JobView:
    """What a handler and a progress page see of a job."""

    id: str
    kind: str
    payload: Mapping[str, Any]
    state: str
    step: Text
    done: int
    total: int
    error: str | None
    attempts: int


Progress = Callable[[Text, int, int], None]
Handler = Callable[[Any, JobView, Progress], None]


def enqueue(session: Session, kind: str, *, now: datetime, payload: Mapping[str, Any]) -> str:
    """Writes a QUEUED job in the running transaction and hands its id out after the commit; returns the id."""
    job = Job(id=new_id(), kind=kind, payload=dict(payload), created_at=now)
    session.add(job)
    dispatch = session.info.get("dispatch")
    if dispatch is not None:
        after_commit(session, lambda: dispatch(job.id))
    return job.id


def view(session: Session, job_id: str) -> JobView | None:
    """The present state of a job."""
    job = session.get(Job, job_id)
    return None if job is None else _view(job)


def _view(job: Job) -> JobView:
    step = Text(job.step_zh, job.step_en)
    return JobView(
        job.id, job.kind, job.payload, job.state, step, job.done, job.total, job.error, job.attempts
    )


class Queue:
    """The queue of one portal: dispatches ids over huey, runs them in a worker loop. `clock` gives aware UTC."""

    def __init__(self, database: Database, huey: Huey, clock: Callable[[], datetime]) -> None:
        self.handlers: dict[str, Handler] = {}
        self.failures: dict[str, Handler] = {}
        self._database, self._huey, self._clock = database, huey, clock
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._task = huey.task(name="sealgate.job")(_Body(self))
        self._deps: Any = None
        database.hooks["dispatch"] = self.dispatch

    def bind(self, deps: Any) -> None:
        """Gives handlers the Deps they run with."""
        self._deps = deps

    def dispatch(self, job_id: str) -> None:
        """Puts an id on the queue; a failure here is mended by the reaper."""
        try:
            self._task(job_id)
        except Exception:
            log.warning("job dispatch failed", job=job_id, exc_info=True)
        self._wake.set()

    def run(self, job_id: str) -> None:
        """Claims and runs one job; a job that is claimed elsewhere, or done, is left alone."""
        job = self._claim(job_id)
        if job is None:
            return
        with self._beating(job.id):
            try:
                self._handler(job.kind)(self._deps, job, self._progress(job.id))
            except SealGateError as error:
                self._fail(job, error.code)
            except Exception:
                log.error("job crashed", job=job.id, kind=job.kind, attempt=job.attempts, exc_info=True)
                self._retry(job)
            else:
                self._finish(job.id, "DONE", None)

    def _handler(self, kind: str) -> Handler:
        if kind not in self.handlers:
            raise UnknownJob
        return self.handlers[kind]

    def _claim(self, job_id: str) -> JobView | None:
        now = self._clock()
        free = or_(Job.state == "QUEUED", (Job.state == "RUNNING") & (Job.heartbeat_at < now - STALE))
        with self._database.write() as session:
            claim = (
                update(Job)
                .where(Job.id == job_id, free)
                .values(state="RUNNING", heartbeat_at=now, attempts=Job.attempts + 1, worker=new_id())
            )
            if session.execute(claim).rowcount != 1:  # type: ignore[attr-defined]
                return None
            session.expire_all()
            return view(session, job_id)

    def _progress(self, job_id: str) -> Progress:
        def progress(step: Text, done: int, total: int) -> None:
            with self._database.write() as session:
                values = {
                    "step_zh": step.zh,
                    "step_en": step.en,
                    "done": done,
                    "total": total,
                    "heartbeat_at": self._clock(),
                }
                session.execute(update(Job).where(Job.id == job_id).values(**values))

        return progress

    @contextmanager
    def _beating(self, job_id: str) -> Iterator[None]:
        over = threading.Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT_S):
                with self._database.write() as session:
                    session.execute(update(Job).where(Job.id == job_id).values(heartbeat_at=self._clock()))

        thread = threading.Thread(target=beat, name=f"heartbeat-{job_id[:8]}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _finish(self, job_id: str, state: str, error: str | None) -> None:
        with self._database.write() as session:
            session.execute(
                update(Job).where(Job.id == job_id).values(state=state, error=error, ended_at=self._clock())
            )

    def _fail(self, job: JobView, code: str) -> None:
        on_failure = self.failures.get(job.kind)
        if on_failure is not None:
            on_failure(self._deps, job, self._progress(job.id))
        self._finish(job.id, "FAILED", code)

    def _retry(self, job: JobView) -> None:
        if job.attempts >= MAX_ATTEMPTS:
            self._fail(job, "CRASHED")
            return
        with self._database.write() as session:
            session.execute(update(Job).where(Job.id == job.id).values(state="QUEUED", heartbeat_at=None))
        self.dispatch(job.id)

    def reap(self, *, now: datetime) -> int:
        """Hands out again what a crash lost: stale RUNNING rows and QUEUED ones nobody fetched; returns how many."""
        lost = or_(
            (Job.state == "RUNNING") & (Job.heartbeat_at < now - STALE),
            (Job.state == "QUEUED") & (Job.created_at < now - LOST),
        )
        with self._database.read() as session:
            rows = [_view(job) for job in session.scalars(select(Job).where(lost).limit(100))]
        for job in rows:
            self._reap_one(job)
        return len(rows)

    def _reap_one(self, job: JobView) -> None:
        # A room that stumbles over one failed job must not keep the others from being handed out; it is asked again later.
        try:
            if job.attempts >= MAX_ATTEMPTS:
                self._fail(job, "LOST")
            else:
                self.dispatch(job.id)
        except Exception:
            log.error("job could not be reaped", job=job.id, kind=job.kind, exc_info=True)

    def drain(self) -> int:
        """Runs what is waiting on the queue in this thread until it is empty; returns how many tasks ran."""
        ran = 0
        while (task := self._huey.dequeue()) is not None:
            self._huey.execute(task)
            ran += 1
        return ran

    def work(self, *, poll_s: float = 0.5) -> None:
        """The worker loop: drains, then waits for a wake-up or the next look; ends after `stop`."""
        while not self._stop.is_set():
            try:
                self.drain()
            except Exception:
                log.error("worker loop stumbled", exc_info=True)
            self._wake.wait(poll_s)
            self._wake.clear()

    def stop(self) -> None:
        """Ends the worker loop after the job at hand."""
        self._stop.set()
        self._wake.set()


class _Body:
    """The one huey task of a queue: runs the job whose id it is given."""

    __name__ = "sealgate_job"

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def __call__(self, job_id: str) -> None:
        self._queue.run(job_id)
