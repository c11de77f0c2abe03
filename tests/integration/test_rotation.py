"""Destroyed for ever: half of many objects end, the KEK is rotated, and an old backup brings back the other half only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest

from gateway import bootstrap
from gateway.custody import backup, keys, place, proving, restore, shred
from gateway.custody.errors import OlderKeyring
from gateway.deps import Deps
from gateway.principal import SYSTEM
from storage.errors import KeyGone, StorageError
from storage.kek import KekFolder
from storage.keyring import SqliteKeyring
from storage.sealed import SealedStore
from tests.factories import settings_at

WHY = "保管期限届满，依法销毁"
COUNT = 200


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Deps]:
    """An embedded installation without anybody in it."""
    settings = settings_at(tmp_path / "home")
    bootstrap.make_keys(settings)
    bootstrap.upgrade(settings)
    deps = bootstrap.build(settings)
    yield deps
    deps.keyring.close()
    deps.database.close()


def names(count: int) -> list[str]:
    return [f"item-{number:04d}" for number in range(count)]


def content(name: str) -> bytes:
    return name.encode() * 50


def readable(sealed: SealedStore, name: str) -> bool:
    """Whether the object comes out, and as what it was."""
    try:
        found = b"".join(sealed.open(name, 1))
    except StorageError:
        return False
    assert found == content(name)
    return True


def destroyed_and_restored(portal: Deps, folder: Path, count: int) -> dict[str, int]:
    """Does what a company would, then what an attacker with every old backup would; returns how many came out of each."""
    now, identity = datetime.now(UTC), pyrage.x25519.Identity.generate()
    target = place.open_place(str(folder / "safe"), portal.settings, None, make=True)

    def save() -> str:
        to = [identity.to_public()]
        done = backup.back_up(portal, portal.stores, target, to, actor=SYSTEM, now=portal.clock())
        return done.manifest.id

    for name in names(count):
        portal.objects.put(name, 1, iter([content(name)]))
    portal.log.heartbeat(now=now)
    old = save()
    gone, kept = names(count)[::2], names(count)[1::2]
    for name in gone:
        shred.destroy(portal, "objects", name, versions=1, reason=WHY, actor=SYSTEM, now=portal.clock())
    keys.rotate(portal, actor=SYSTEM, now=portal.clock())
    new = save()

    # The old backup alone, keyring included, with the keys of today: it opens nothing at all, and is refused.
    source = proving.open_source(portal, target, [identity], old)
    ring = SqliteKeyring(folder / "old.db", KekFolder(portal.settings.keys / "kek"))
    ring.load(proving.read_keyring(source))
    old_alone = SealedStore(proving.Copies(source, "objects", _lines(source)), ring)  # type: ignore[arg-type]
    opened_by_old = sum(readable(old_alone, name) for name in names(count))
    ring.close()
    with pytest.raises(OlderKeyring):
        proving.require_fit(proving.read_keyring(source), source.manifest, shred.kek_epochs(portal))

    after = _restored(portal, folder, source)
    found = {
        "by the old keyring": opened_by_old,
        "destroyed": sum(readable(after.objects, name) for name in gone),
        "kept": sum(readable(after.objects, name) for name in kept),
        "ciphertexts": sum(1 for _ in after.stores["objects"].list()),
    }
    for name in gone:
        with pytest.raises(KeyGone):
            after.keyring.create(name)
    assert new != old
    after.keyring.close()
    after.database.close()
    return found


def _lines(source: proving.Source) -> tuple[restore.Line, ...]:
    return proving.inventory.read(source.read(place.INVENTORY))


def _restored(portal: Deps, folder: Path, source: proving.Source) -> Deps:
    settings = settings_at(folder / "empty")
    settings.home.mkdir(parents=True)
    (portal.settings.keys).rename(settings.keys)
    deps = bootstrap.build(settings, restoring=True)
    done = restore.restore(
        deps, source, prepare=lambda: bootstrap.upgrade(settings),
        rebuilt=lambda: bootstrap.build(settings, restoring=True), actor=SYSTEM, now=portal.clock(),
    )  # fmt: skip
    deps.keyring.close()
    deps.database.close()
    assert done.destroyed * 2 == source.manifest.objects
    return bootstrap.build(settings)


def test_nothing_destroyed_comes_back_from_an_old_backup(portal: Deps, tmp_path: Path) -> None:
    found = destroyed_and_restored(portal, tmp_path, COUNT)
    half = COUNT // 2
    assert found == {"by the old keyring": 0, "destroyed": 0, "kept": half, "ciphertexts": half}


@pytest.mark.soak
def test_nothing_destroyed_comes_back_of_two_thousand(portal: Deps, tmp_path: Path) -> None:
    found = destroyed_and_restored(portal, tmp_path, 2_000)
    assert found == {"by the old keyring": 0, "destroyed": 0, "kept": 1_000, "ciphertexts": 1_000}
