"""Twenty partners at once over loopback: every download is whole, counted once and logged."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway import serving
from gateway.demo.browser import Browser
from gateway.errors import Refused
from gateway.sharing import service as sharing
from gateway.sharing.models import Counter
from gateway.web.visitor import TOKEN
from tests.factories import build_world
from tests.worlds import Scene, shared

PARTNERS = 20
# Rounds of downloads for each partner; SOAK_ROUNDS=200 keeps two cores busy for about half an hour.
ROUNDS = int(os.environ.get("SOAK_ROUNDS", "3"))

pytestmark = pytest.mark.soak


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A share of ten items for two contacts: twenty bundles, each of which may be collected once."""
    world = build_world(tmp_path / "home")
    yield shared(world, items=world.filed_items(PARTNERS // 2), download_limit=1)
    world.deps.database.close()


class Partner:
    """One session of its own with a bundle of its own, and the browser that fetches it."""

    def __init__(self, scene: Scene, port: int, contact: str) -> None:
        self.scene, self.port = scene, port
        self.token, self.actor = scene.world.session(contact)
        with scene.world.app.test_client() as client:
            with client.session_transaction() as held:
                held[TOKEN] = self.token
            found = client.get_cookie("sealgate")
        assert found is not None
        self.cookie = f"sealgate={found.value}"

    def fetch(self, ticket: str) -> tuple[int, bytes]:
        page = Browser(f"http://127.0.0.1:{self.port}").get(
            f"/t/{ticket}", headers={"Cookie": self.cookie, "Host": "localhost"}
        )
        return page.status, page.body


def test_many_partners_at_once(scene: Scene) -> None:
    contacts = [("s1", "s2")[n % 2] for n in range(PARTNERS)]
    with serving.running(scene.deps) as port:
        partners = [Partner(scene, port, contact) for contact in contacts]
        bundles = [
            scene.prepare([scene.items[number // 2]], actor=partner.actor)
            for number, partner in enumerate(partners)
        ]
        assert len(set(bundles)) == PARTNERS
        tickets = [scene.collect(p.actor, b) for p, b in zip(partners, bundles, strict=True)]
        gate = threading.Barrier(PARTNERS)

        def work(number: int) -> list[tuple[int, str]]:
            seen = []
            gate.wait()
            for _ in range(ROUNDS):
                status, body = partners[number].fetch(tickets[number])
                seen.append((status, hashlib.sha256(body).hexdigest()))
            return seen

        with ThreadPoolExecutor(PARTNERS) as pool:
            results = list(pool.map(work, range(PARTNERS)))
    for bundle, seen in zip(bundles, results, strict=True):
        assert seen == [(200, scene.bundle_row(bundle).sha256)] * ROUNDS
    assert len(scene.world.leaves("release.completed")) == PARTNERS * ROUNDS
    assert len(scene.world.leaves("bundle.collect")) == PARTNERS
    with scene.deps.database.read() as session:
        assert all(row.used <= row.limit for row in session.query(Counter))
    assert scene.deps.log.health(now=scene.world.now()).ok


def test_a_spent_limit_holds_under_load(scene: Scene) -> None:
    """Each of ten bundles is collected by two at the same moment: ten are given."""
    actor = scene.partner("s1")
    bundles = [scene.prepare([item], actor=actor) for item in scene.items]
    gate = threading.Barrier(PARTNERS)

    def work(number: int) -> str:
        gate.wait()
        try:
            sharing.collect(scene.deps, bundles[number // 2], actor=actor, now=scene.world.now())
        except Refused as error:
            return error.code
        return "given"

    with ThreadPoolExecutor(PARTNERS) as pool:
        results = list(pool.map(work, range(PARTNERS)))
    assert results.count("given") == len(bundles), results
    assert set(results) <= {"given", "WRONG_STATE", "WITHHELD"}
    assert scene.used() == len(bundles)
