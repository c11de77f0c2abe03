"""Workers killed at random points of preparing bundles: nothing half-done is ever seen."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter as Count
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from gateway.jobs.models import Job
from gateway.jobs.service import STALE
from gateway.release import release_bytes
from gateway.sharing import service as sharing
from gateway.sharing.models import Bundle, Counter
from tests.factories import build_world
from tests.worlds import Scene, shared

KILLS = 20
LIMIT = 2

pytestmark = pytest.mark.soak


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A share of six items for two contacts, two downloads each."""
    world = build_world(tmp_path / "home")
    yield shared(world, items=world.filed_items(6), download_limit=LIMIT)
    world.deps.database.close()


def start_worker(scene: Scene) -> subprocess.Popen[bytes]:
    settings = scene.deps.settings
    env = os.environ | {
        "SEALGATE_HOME": str(settings.home),
        "SEALGATE_PUBLIC_ORIGIN": settings.public_origin,
        "SEALGATE_COMPANY_NAME": settings.company_name,
        "SEALGATE_COMPANY_USCC": settings.company_uscc,
        "SEALGATE_FONDS": settings.fonds,
        "SEALGATE_DEMO": "true",
    }
    program = [sys.executable, "-m", "gateway.cli", "worker"]
    with (settings.home / "worker.log").open("ab") as log:
        return subprocess.Popen(program, env=env, stdout=log, stderr=log)


def running(scene: Scene) -> bool:
    with scene.deps.database.read() as session:
        return session.query(Job).filter_by(kind="sharing.prepare", state="RUNNING").count() > 0


def finish(scene: Scene) -> None:
    """What the reaper finds once the killed worker's heartbeat has gone stale, and then every job that it hands out.

    The row is made older rather than the clock later: the workers are other processes and have the true time.
    """
    with scene.deps.database.write() as session:
        now = scene.world.now()
        lost = update(Job).where(Job.state.in_(("RUNNING", "QUEUED")))
        session.execute(lost.values(heartbeat_at=now - 2 * STALE, created_at=now - 2 * STALE))
    scene.deps.queue.reap(now=scene.world.now())
    scene.world.drain()


def test_killed_workers_leave_every_invariant(scene: Scene) -> None:
    chance, pause = random.Random(20261123), threading.Event()
    made: list[tuple[str, str]] = []
    for turn in range(KILLS):
        contact = ("s1", "s2")[turn % 2]
        actor = scene.partner(contact)
        items = [scene.items[(turn // 2) % len(scene.items)]]
        before = {bundle for bundle, _ in made}
        worker = start_worker(scene)
        try:
            bundle = sharing.prepare(
                scene.deps, scene.share, items, wanted=None, actor=actor, now=scene.world.now()
            )[0]
            assert bundle not in before
            made.append((bundle, contact))
            end = time.monotonic() + 60
            while (
                not running(scene)
                and scene.bundle_row(bundle).state == "PREPARING"
                and time.monotonic() < end
            ):
                pause.wait(0.01)
            pause.wait(chance.random() * 1.5)
        finally:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        finish(scene)
        row = scene.bundle_row(bundle)
        assert row.state == "READY", (turn, row.state, row.failure)
        collect(scene, bundle, contact)
        holds(scene, made)


def collect(scene: Scene, bundle: str, contact: str) -> None:
    """Takes the bundle where the limit allows it; the bytes are those that the row names."""
    actor = scene.partner(contact)
    ticket = scene.collect(actor, bundle)
    opened = sharing.open_ticket(scene.deps, ticket, actor=actor, now=scene.world.now())
    data = b"".join(release_bytes(scene.deps, opened.passage))
    assert hashlib.sha256(data).hexdigest() == scene.bundle_row(bundle).sha256


def holds(scene: Scene, made: list[tuple[str, str]]) -> None:
    """One READY entry for each bundle, no counter over its limit, no stream without its COLLECT entry, the log whole."""
    ready = Count(leaf.object_id for leaf in scene.world.leaves("bundle.ready"))
    assert ready == {bundle: 1 for bundle, _ in made}
    collected = {leaf.object_id for leaf in scene.world.leaves("bundle.collect")}
    assert {leaf.object_id for leaf in scene.world.leaves("release.completed")} <= collected
    numbers = [copy.number for bundle, _ in made for copy in scene.copies(bundle)]
    assert len(numbers) == len(set(numbers))
    with scene.deps.database.read() as session:
        assert all(row.used <= row.limit for row in session.query(Counter))
        assert session.query(Bundle).filter_by(state="PREPARING").count() == 0
    assert scene.deps.log.health(now=scene.world.now()).ok
