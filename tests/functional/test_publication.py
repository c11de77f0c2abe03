"""The published log over HTTP: its layout and caching, who may read what, and that nothing leaves without a needed witness."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from werkzeug.test import TestResponse

from gateway.audit import layout, note, tree
from gateway.audit.witness import cosignature
from gateway.audit.witness.keyfile import Cosigner
from gateway.audit.witness.records import Records
from gateway.audit.witness.rules import Witness
from gateway.audit.witness.server import Server
from gateway.errors import SealGateError
from gateway.principal import SYSTEM
from tests.factories import World, copy_world
from tests.functional.test_sharing_partner import prepared, ticket_of

FOREVER = "public, max-age=31536000, immutable"


@pytest.fixture
def public(template: World, tmp_path: Path) -> Iterator[World]:
    """A portal whose log is public."""
    made = copy_world(template, tmp_path / "public", log_public=True)
    yield made
    made.deps.database.close()


def grown(world: World, size: int) -> note.TreeHead:
    """The last tree head after the log has grown to at least this size."""
    from gateway.audit.service import record

    with world.deps.database.write() as session:
        for _ in range(size):
            record(session, "share.submit", actor=SYSTEM, obj=("share", "s"), now=world.now())
    world.tick()
    last = world.deps.log.latest()
    assert last is not None
    return note.open_checkpoint(last.note, [note.parse_key(world.deps.log.vkey)])


def stranger(world: World, path: str) -> TestResponse:
    return world.app.test_client().get(path)


def test_anybody_can_rebuild_the_tree_of_a_public_log(public: World) -> None:
    head = grown(public, 300)
    got = stranger(public, "/log/checkpoint")
    key = stranger(public, "/log/key").get_data(as_text=True)
    assert note.open_checkpoint(got.get_data(as_text=True), [note.parse_key(key)]) == head
    assert (got.content_type, got.headers["Cache-Control"]) == (
        "text/plain; charset=utf-8",
        "public, max-age=1",
    )
    hashes = b""
    for index, width in layout.parts(0, head.size):
        tile = stranger(public, "/log/" + layout.tile_path(0, index, width))
        assert (tile.content_type, tile.headers["Cache-Control"]) == ("application/octet-stream", FOREVER)
        assert len(tile.data) == 32 * width
        hashes += tile.data
    leaves = [hashes[i : i + 32] for i in range(0, len(hashes), 32)]
    assert tree.root_of(leaves) == head.root
    above = stranger(public, "/log/" + layout.tile_path(1, 0, head.size >> 8)).data
    assert above[:32] == tree.root_of(leaves[:256])


def test_entries_are_for_auditors_and_reading_them_is_an_entry(public: World) -> None:
    head = grown(public, 300)
    aud = public.browser("aud")
    before = len(public.leaves("log.read"))
    found: list[bytes] = []
    for index, width in layout.parts(0, head.size):
        got = aud.client.get("/log/" + layout.entries_path(index, width))
        assert got.headers["Cache-Control"] == "no-store"
        found += layout.entries(got.data)
    assert tree.root_of([tree.leaf_hash(entry) for entry in found]) == head.root
    assert len(public.leaves("log.read")) == before + 2
    path = "/log/" + layout.entries_path(0)
    assert stranger(public, path).status_code == 404
    for name, status in (("gm", 403), ("sys", 403), ("arc1", 403), ("s1", 404)):
        assert public.browser(name).client.get(path).status_code == status, name


@pytest.mark.parametrize("path", ["checkpoint", "key", "tile/0/000.p/1"])
def test_a_log_that_is_not_public_is_for_auditors(world: World, path: str) -> None:
    grown(world, 1)
    unknown = stranger(world, "/log/tile/0/no-such-page")
    got = stranger(world, "/log/" + path)
    assert got.status_code == unknown.status_code == 404
    assert "Cache-Control" in got.headers and got.headers["Cache-Control"] == "no-store"
    assert world.browser("s1").client.get("/log/" + path).status_code == 404
    assert world.browser("gm").client.get("/log/" + path).status_code == 403
    mine = world.browser("aud").client.get("/log/" + path)
    assert (mine.status_code, mine.headers["Cache-Control"]) == (200, "no-store")


def test_nothing_is_served_beyond_the_checkpoint_or_by_a_second_name(public: World) -> None:
    head = grown(public, 300)
    full, width = head.size >> 8, head.size % 256
    gone = [
        layout.tile_path(0, full, width + 1) if width < 255 else layout.tile_path(0, full + 1, 1),
        layout.tile_path(0, full),
        layout.tile_path(1, 0, full + 1),
        layout.tile_path(2, 0, 1),
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/x000/000",
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/000/",
        "tile/0/x" * 20 + "000",
        "tile/0/%2e%2e/checkpoint",
        "tile/entries/x000/000",
    ]
    aud = public.browser("aud")
    for path in gone:
        assert aud.client.get("/log/" + path).status_code == 404, path
    assert stranger(public, "/log/tile/0/000").status_code == 200


def test_no_cache_keeps_an_answer_that_may_carry_a_cookie(public: World) -> None:
    grown(public, 1)
    assert public.browser("s1").client.get("/log/checkpoint").headers["Cache-Control"] == "no-store"


# --- no cosignature, no bytes -----------------------------------------------------------------------------------

NAME = "witness.example/w1"


@contextmanager
def witnessing(home: Path, world_key: str, port: int = 0) -> Iterator[tuple[int, Cosigner]]:
    """The witness for one log, behind its door."""
    if not home.exists():
        home.mkdir()
        Records.create(home)
    cosigner, key = Cosigner(NAME, Ed25519PrivateKey.from_private_bytes(b"w" * 32)), note.parse_key(world_key)
    records = Records(home)
    witness = Witness(cosigner, {key.name: [key]}, records)
    clock = lambda: datetime.now(UTC)  # noqa: E731
    with Server(("127.0.0.1", port), witness, clock=clock, tell=lambda line: None) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_address[1], cosigner
        finally:
            server.shutdown()
            thread.join()
            records.close()


def test_no_cosignature_no_bytes(template: World, tmp_path: Path) -> None:
    """With the needed witness away a download is refused and recorded; once it is back, the same ticket works unaided."""
    vkey = template.deps.log.vkey
    with witnessing(tmp_path / "w", vkey) as (port, cosigner):
        line = f"http://127.0.0.1:{port} {cosigner.key.text}"
        world = copy_world(template, tmp_path / "home", witnesses=(line,), witnesses_needed=1)
        share, items = world.active_share(2)
        browser = world.browser("s1")
        bundles = [prepared(world, browser, share, [item]) for item in items]
        ticket = ticket_of(browser.post(f"{bundles[0]}/collect"))
    try:
        refused = browser.client.get(ticket)
        assert refused.status_code == 503
        assert refused.mimetype == "text/html"
        assert b"%PDF" not in refused.data and b"PK\x03\x04" not in refused.data
        assert any(b'"bytes":0' in leaf.body for leaf in world.leaves("release.aborted"))
        with pytest.raises(SealGateError):
            world.tick()
        with witnessing(tmp_path / "w", vkey, port):
            world.tick()
            got = browser.client.get(ticket)
            assert got.status_code == 200
            assert len(got.data) > 1000
        last = world.deps.log.latest()
        assert last is not None
        assert cosignature.cosigned(note.parse(last.note), [cosigner.key])
    finally:
        world.deps.database.close()


def test_a_witness_that_is_not_needed_holds_nothing_up(template: World, tmp_path: Path) -> None:
    key = Cosigner(NAME, Ed25519PrivateKey.from_private_bytes(b"w" * 32)).key.text
    world = copy_world(template, tmp_path / "home", witnesses=(f"http://127.0.0.1:9 {key}",))
    try:
        share, items = world.active_share(1)
        browser = world.browser("s1")
        bundle = prepared(world, browser, share, items)
        assert browser.client.get(ticket_of(browser.post(f"{bundle}/collect"))).status_code == 200
    finally:
        world.deps.database.close()
