"""Many at once: a limit of k lets exactly k collections through, whoever asks first, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from gateway.audit.models import Leaf
from gateway.db import new_id
from gateway.errors import Refused
from gateway.sharing import service as sharing
from gateway.sharing.models import Bundle, Copy
from tests.worlds import Scene

ASKERS = 40


def twins(scene: Scene, count: int) -> list[str]:
    """Further ready bundles of the same item, as parallel preparations leave them; the marked file is the first one's."""
    made = []
    with scene.deps.database.write() as session:
        first = session.get_one(Bundle, scene.bundle)
        copy = session.scalars(select(Copy).where(Copy.bundle_id == first.id)).one()
        for n in range(count):
            bundle = Bundle(**{**_columns(first), "id": new_id()})
            session.add(bundle)
            session.flush()
            number = copy.number.rpartition("_")[0] + f"_F{n + 1000:04}"
            session.add(Copy(**{**_columns(copy), "id": new_id(), "bundle_id": bundle.id, "number": number}))
            made.append(bundle.id)
    return made


def _columns(row: Bundle | Copy) -> dict[str, object]:
    return {c.key: getattr(row, c.key) for c in type(row).__table__.columns if c.key != "mac"}


def at_once(calls: list[Callable[[], object]]) -> list[BaseException | None]:
    """Runs all calls from as many threads, which start together; each one's error, or None."""
    barrier = threading.Barrier(len(calls))

    def one(call: Callable[[], object]) -> BaseException | None:
        barrier.wait(30)
        try:
            call()
        except Refused as refusal:
            return refusal
        return None

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(one, calls))


def collecting(scene: Scene, bundles: list[str]) -> list[Callable[[], object]]:
    """One collection for each bundle, all by s1 in one session."""
    actor, now = scene.partner(), scene.world.now()
    return [lambda b=b: sharing.collect(scene.deps, b, actor=actor, now=now) for b in bundles]  # type: ignore[misc]


def _raise_limit(scene: Scene, limit: int) -> None:
    # The share's own limit is sealed; a scene's is 1, so a larger one is a share of its own.
    share = scene.world.draft_share(scene.items, ("s1", "s2"), download_limit=limit)
    scene.world.approve_share(share)
    scene.share = share
    scene.bundle = scene.prepare()


@pytest.mark.parametrize("limit", [1, 3])
def test_parallel_collections_of_separate_bundles_never_exceed_the_limit(both: Scene, limit: int) -> None:
    if limit != 1:
        _raise_limit(both, limit)
    bundles = [both.bundle, *twins(both, ASKERS - 1)]
    results = at_once(collecting(both, bundles))
    assert sum(result is None for result in results) == limit
    assert both.used() == limit
    with both.deps.database.read() as session:
        logged = session.scalars(select(Leaf).where(Leaf.event == "bundle.collect")).all()
        states = list(session.scalars(select(Bundle.state).where(Bundle.id.in_(bundles))))
    assert len(logged) == limit
    assert states.count("COLLECTED") == limit and states.count("READY") == ASKERS - limit


def test_one_bundle_is_collected_once_however_many_ask(both: Scene) -> None:
    results = at_once(collecting(both, [both.bundle] * ASKERS))
    assert sum(result is None for result in results) == 1
    assert both.used() == 1
    with both.deps.database.read() as session:
        assert len(session.scalars(select(Leaf).where(Leaf.event == "bundle.collect")).all()) == 1


def test_parallel_preparations_of_the_same_items_make_one_bundle(both: Scene) -> None:
    actor, now = both.partner("s2"), both.world.now()
    made: list[str] = []

    def prepare() -> None:
        made.extend(sharing.prepare(both.deps, both.share, both.items[:1], wanted=None, actor=actor, now=now))

    assert at_once([prepare] * 10) == [None] * 10
    assert len(set(made)) == 1 and len(made) == 10
    with both.deps.database.read() as session:
        numbers = list(session.scalars(select(Copy.number).where(Copy.bundle_id == made[0])))
    assert len(numbers) == 1


def test_a_revocation_beside_collections_leaves_nothing_open(both: Scene) -> None:
    bundles = [both.bundle, *twins(both, 9)]
    gm, now = both.world.actor("gm"), both.world.now()
    calls = collecting(both, bundles)
    calls.insert(
        5,
        lambda: sharing.revoke(both.deps, both.share, "因合作安排变更，停止提供资料", actor=gm, now=now),
    )
    results = at_once(calls)
    assert results[5] is None and both.world.share(both.share).state == "REVOKED"
    assert sum(result is None for result in results) <= 2
    with both.deps.database.read() as session:
        states = set(session.scalars(select(Bundle.state).where(Bundle.id.in_(bundles))))
    assert states <= {"COLLECTED", "ABANDONED"}


@pytest.mark.soak
@pytest.mark.parametrize("limit", [1, 3, 10])
def test_fifty_rounds(both: Scene, limit: int) -> None:
    """G3, as long as it takes: rounds of parallel collections under fresh shares."""
    for _ in range(50):
        both.later(hours=2)
        _raise_limit(both, limit)
        results = at_once(collecting(both, [both.bundle, *twins(both, 199)]))
        assert sum(result is None for result in results) == min(limit, 10)
        assert both.used() == min(limit, 10)
