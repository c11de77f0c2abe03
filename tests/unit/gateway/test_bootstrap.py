"""Wiring: keys are made once and kept private, nothing starts without them, every room offers its part."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway import bootstrap
from gateway.errors import ConfigError
from gateway.policy.facts import Facts
from gateway.release import Ask, gather
from storage.local import LocalStore
from tests.factories import World, settings_at
from tests.worlds import Scene


def test_keys_are_made_once_and_are_their_owner_s_alone(tmp_path: Path) -> None:
    settings = settings_at(tmp_path / "home")
    made = bootstrap.make_keys(settings)
    assert set(made) == {*bootstrap.RAW_KEYS, "log.key", "kek/1", "seal.pem"}
    files = [path for path in settings.keys.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    assert len(files) >= len(made)
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
    assert bootstrap.make_keys(settings) == []
    assert {path: path.read_bytes() for path in files} == before


@pytest.mark.parametrize("name", [*bootstrap.RAW_KEYS, "log.key"])
def test_nothing_starts_without_a_key(tmp_path: Path, name: str) -> None:
    settings = settings_at(tmp_path / "home")
    bootstrap.make_keys(settings)
    (settings.keys / name).unlink()
    with pytest.raises(ConfigError) as problem:
        bootstrap.build(settings)
    assert name in problem.value.problems[0] and str(tmp_path) not in str(problem.value)


@pytest.mark.parametrize("name", ["mac.key", "manifest.key"])
@pytest.mark.parametrize("fault", ["readable", "short", "not hex"])
def test_nothing_starts_with_a_bad_key(tmp_path: Path, name: str, fault: str) -> None:
    settings = settings_at(tmp_path / "home")
    bootstrap.make_keys(settings)
    path = settings.keys / name
    if fault == "readable":
        path.chmod(0o644)
    else:
        path.write_text("00" * 31 if fault == "short" else "zz" * 32)
    with pytest.raises(ConfigError):
        bootstrap.build(settings)


def test_every_room_that_judges_offers_its_facts(scene: Scene) -> None:
    """Nothing of the decision rests on a part that no room offers: at collect every field of the facts is known."""
    partner = scene.partner()
    items = tuple((copy.item_id, copy.version) for copy in scene.copies())
    ask = Ask(
        "copy",
        "collect",
        partner,
        scene.world.now(),
        scene.share,
        partner.id,
        items,
        "DOWNLOAD",
        scene.bundle,
    )
    with scene.deps.database.read() as session:
        facts = gather(scene.deps, session, ask)
    unknown = {name for name in Facts.__dataclass_fields__ if getattr(facts, name) is None}
    assert unknown == {"duty"}


def test_jobs_and_subscribers_are_those_that_rooms_list(world: World) -> None:
    assert "sharing.prepare" in world.deps.queue.handlers and "sharing.prepare" in world.deps.queue.failures
    for name in ("agreement.lapse", "agreement.terminate", "agreement.enter_force", "organisation.suspend"):
        assert world.deps.subscribers[name], name


def test_the_embedded_stores_lie_apart(world: World) -> None:
    settings = world.deps.settings
    stores = [bootstrap._store(settings, kind) for kind in ("objects", "bundles", "evidence", "audit")]
    assert all(isinstance(store, LocalStore) for store in stores)
    assert bootstrap.prepare_storage(settings) == []
    assert (settings.home / "keyring.db").exists()
    assert not os.path.commonpath([settings.home / "keyring.db", settings.home / "store"]).endswith("store")


def test_the_log_is_named_after_the_portal(world: World) -> None:
    assert bootstrap.log_origin(world.deps.settings) == "localhost/log"
    assert world.deps.log.vkey.startswith("localhost/log+")


def test_metadata_holds_every_room(world: World) -> None:
    tables = set(bootstrap.everything().tables)
    assert {"share", "agreement", "account", "case_file", "audit_leaf", "job", "message"} <= tables
