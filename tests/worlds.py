"""Portals at the moments that tests begin from: with a company, with an active share, with a bundle that lies ready.

Each is built once per worker through the product's own jobs, and copied for every test that changes it.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from sqlalchemy import text

from gateway.oversight import service as oversight
from gateway.principal import Actor
from gateway.release import release_bytes
from gateway.sharing import service as sharing
from gateway.sharing.models import Bundle, Copy
from tests.factories import World, build_world, copy_world


@dataclass
class Scene:
    """A world with an active share of `items` for s1 and s2 (one download each), and what lies ready in it."""

    world: World
    share: str
    items: list[str]
    bundle: str = ""

    @property
    def deps(self) -> Any:
        """The world's parts."""
        return self.world.deps

    def partner(self, name: str = "s1") -> Actor:
        """A contact in a session of their own, with a fresh second factor."""
        return self.world.session(name)[1]

    def prepare(
        self, items: list[str] | None = None, *, actor: Actor | None = None, wanted: str | None = None
    ) -> str:
        """A bundle of these items (the first of the share when none are named), made."""
        wished = self.items[:1] if items is None else items
        made = sharing.prepare(
            self.deps, self.share, wished, wanted=wanted, actor=actor or self.partner(), now=self.world.now()
        )
        self.world.drain()
        return made[0]

    def collect(self, actor: Actor, bundle: str = "") -> str:
        """Collects a bundle and returns its ticket."""
        return sharing.collect(self.deps, bundle or self.bundle, actor=actor, now=self.world.now())

    def stream(self, ticket: str, actor: Actor, **at: int) -> Iterator[bytes]:
        """The pieces of a ticket, through the gate."""
        opened = sharing.open_ticket(self.deps, ticket, actor=actor, now=self.world.now(), **at)
        return release_bytes(self.deps, opened.passage)

    def bundle_row(self, bundle: str = "") -> Bundle:
        """A bundle's row."""
        with self.deps.database.read() as session:
            return session.get_one(Bundle, bundle or self.bundle)

    def copies(self, bundle: str = "") -> list[Copy]:
        """A bundle's copies by number."""
        with self.deps.database.read() as session:
            return sorted(
                session.query(Copy).filter_by(bundle_id=bundle or self.bundle), key=lambda c: c.number
            )

    def sql(self, statement: str, **values: Any) -> list[Any]:
        """Raw SQL behind the product's back; returns rows where there are any."""
        with self.deps.database.engine.connect() as connection:
            connection.execution_options(sealgate_write=True)
            done = connection.execute(text(statement), values)
            rows = list(done) if done.returns_rows else []
            connection.commit()
            return rows

    def later(self, **by: float) -> None:
        """Moves the clock on, as a portal passes the time: what waited has been numbered."""
        self.world.clock.advance(**by)
        self.deps.log.sequence(now=self.world.now())

    def parameter(self, key: str, value: str) -> None:
        """Another value of a parameter, proposed and confirmed."""
        deps, adm, gm = self.deps, self.world.actor("adm"), self.world.actor("gm")
        now = self.world.now()
        made = oversight.propose(deps, key, value, now, "因业务需要调整此项参数", actor=adm, now=now)
        oversight.confirm(deps, made, actor=gm, now=now)

    def used(self) -> int:
        """What was spent in this share so far, by the counters."""
        return int(
            self.sql("SELECT COALESCE(SUM(used), 0) FROM counter WHERE share_id = :s", s=self.share)[0][0]
        )


def noisy_pdf(size: int, seed: int = 7) -> bytes:
    """A PDF of one page whose picture of random noise does not get smaller, of about `size` bytes."""
    width = 1024
    height = max(1, size // (3 * width))
    made = pikepdf.new()
    made.add_blank_page(page_size=(595, 842))
    image = made.make_stream(random.Random(seed).randbytes(width * height * 3))
    image.Type, image.Subtype = pikepdf.Name.XObject, pikepdf.Name.Image
    image.Width, image.Height, image.BitsPerComponent = width, height, 8
    image.ColorSpace = pikepdf.Name.DeviceRGB
    page = made.pages[0]
    page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Im0=image))
    page.Contents = made.make_stream(b"q 400 0 0 600 60 80 cm /Im0 Do Q")
    out = io.BytesIO()
    made.save(out, deterministic_id=True)
    return out.getvalue()


def shared(world: World, *, items: list[str] | None = None, **more: Any) -> Scene:
    """An active share for s1 and s2 in a world that has only its company."""
    listed = items if items is not None else world.filed_items(2)
    world.agreement()
    share = world.draft_share(listed, ("s1", "s2"), **{"download_limit": 1, **more})
    world.approve_share(share)
    return Scene(world, share, listed)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One loaded company per worker, copied for each test."""
    return build_world(tmp_path_factory.mktemp("template") / "home")


@pytest.fixture(scope="session")
def template_scene(template: World, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """One active share with a bundle of its first item that lies ready for s1, copied for each test."""
    made = shared(copy_world(template, tmp_path_factory.mktemp("scene") / "home"))
    made.bundle = made.prepare()
    return made


@pytest.fixture
def world(template: World, tmp_path: Path) -> Iterator[World]:
    """A portal with the demo company, for this test alone."""
    made = copy_world(template, tmp_path / "home")
    yield made
    made.deps.database.close()


@pytest.fixture
def scene(template_scene: Scene, tmp_path: Path) -> Iterator[Scene]:
    """An active share and a ready bundle, for this test alone."""
    made = copy_world(template_scene.world, tmp_path / "home")
    # However long ago it was built, what waited then has been numbered since.
    made.deps.log.sequence(now=made.now())
    yield Scene(made, template_scene.share, list(template_scene.items), template_scene.bundle)
    made.deps.database.close()
