"""Backup, loss of everything, restore: on SQLite with folders and on PostgreSQL with MinIO."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage
import pytest

from gateway import bootstrap
from gateway.audit import anchors
from gateway.audit.errors import LogDamaged
from gateway.config import Settings
from gateway.custody import backup, drill, inventory, keys, place, proving, relog, restore, shred
from gateway.custody.errors import (
    BrokenBackup,
    Incomplete,
    NotEmpty,
    OlderKeyring,
    WrongIdentity,
    WrongPlace,
)
from gateway.deps import Deps
from gateway.errors import ConfigError, TamperedRow
from gateway.principal import SYSTEM
from gateway.sharing import service as sharing
from storage import s3
from storage.errors import KeyGone
from tests.factories import World, settings_at
from tests.worlds import Scene

WHY = "恢复后已逐项核对，准予继续"


@dataclass
class Site:
    """An installation with a backup place, and how to make an empty one like it."""

    world: World
    target: Any
    identity: Any
    folder: Path
    empty: Callable[[], Settings]
    made: list[str] = field(default_factory=list)

    @property
    def deps(self) -> Deps:
        return self.world.deps

    def save(self) -> str:
        """A backup, and the export of the keys beside it."""
        self.deps.log.heartbeat(now=self.world.now())
        to = [self.identity.to_public()]
        done = backup.back_up(
            self.deps, self.deps.stores, self.target, to, actor=SYSTEM, now=self.world.now()
        )
        self.made.append(done.manifest.id)
        return done.manifest.id

    def export(self) -> Path:
        path = self.folder / f"keys-{len(list(self.folder.glob('keys-*')))}.age"
        to = [self.identity.to_public()]
        keys.export_backup(self.deps, path, to, actor=SYSTEM, now=self.world.now())
        return path

    def anchor(self) -> None:
        """The log's checkpoint goes outside, with all it covers."""
        anchors.beat(self.deps.log, self.deps.database, self.deps.stores["audit"], now=self.world.now())

    def lose(self, *, audit: bool = True) -> Deps:
        """Everything of the old installation but its keys (as they are now) and, where kept, the audit store."""
        settings = self.empty()
        settings.home.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.deps.settings.keys, settings.keys)
        if audit and settings.storage == "local":
            shutil.copytree(self.deps.settings.home / "store" / "audit", settings.home / "store" / "audit")
        return bootstrap.build(settings, clock=self.world.clock, restoring=True)

    def source(self, deps: Deps, backup_id: str | None = None, *, by: Any = None) -> proving.Source:
        return proving.open_source(deps, self.target, [by or self.identity], backup_id)

    def bring_back(self, deps: Deps, backup_id: str | None = None) -> tuple[restore.Restored, Deps]:
        """A restore, and the portal afterwards."""

        def rebuilt() -> Deps:
            return bootstrap.build(deps.settings, clock=self.world.clock, restoring=True)

        done = restore.restore(
            deps, self.source(deps, backup_id), prepare=lambda: bootstrap.upgrade(deps.settings),
            rebuilt=rebuilt, actor=SYSTEM, now=self.world.now(),
        )  # fmt: skip
        deps.keyring.close()
        deps.database.close()
        return done, bootstrap.build(deps.settings, clock=self.world.clock)


def same(one: Deps, other: Deps) -> bool:
    """Whether two installations hold the same objects, byte for byte."""

    def held(deps: Deps) -> dict[str, bytes]:
        return {
            f"{name}/{stat.key}": b"".join(deps.stores[name].open(stat.key))
            for name in inventory.STORES
            for stat in deps.stores[name].list()
        }

    return held(one) == held(other)


@pytest.fixture
def site(scene: Scene, tmp_path: Path) -> Site:
    """The embedded installation with an active share and a ready bundle."""
    count = iter(range(100))

    def empty() -> Settings:
        return settings_at(tmp_path / f"empty-{next(count)}")

    made = site_of(scene.world, tmp_path, empty)
    made.share = scene.share  # type: ignore[attr-defined]
    made.bundle = scene.bundle  # type: ignore[attr-defined]
    made.item = scene.items[0]  # type: ignore[attr-defined]
    return made


def site_of(world: World, tmp_path: Path, empty: Callable[[], Settings]) -> Site:
    target = place.open_place(str(tmp_path / "safe"), world.deps.settings, None, make=True)
    return Site(world, target, pyrage.x25519.Identity.generate(), tmp_path, empty)


def test_everything_comes_back_but_sessions_and_running_shares(site: Site) -> None:
    token, _ = site.world.session("biz.sj")
    site.anchor()
    site.save()
    done, after = site.bring_back(site.lose())
    assert done.compared.outcome == "EQUAL"
    assert same(site.deps, after)
    world = World(after, site.world.company, site.world.clock)
    from gateway.identity.service.sessions import resolve

    assert resolve(after, token, ip="127.0.0.1", agent="test", now=world.now()) is None
    assert world.share(site.share).state == "SUSPENDED"
    reason = world.browser("adm").get(f"/shares/{site.share}").get_data(as_text=True)
    assert "系统已从备份恢复，须由行政部门恢复共享" in reason
    sharing.resume(after, site.share, WHY, actor=world.actor("adm"), now=world.now())
    assert world.share(site.share).state == "ACTIVE"
    assert after.log.health(now=world.now()).ok
    after.database.close()


def test_entries_that_the_backup_lacks_are_fetched_back_and_their_shares_stay_refused(site: Site) -> None:
    site.save()
    sharing.revoke(site.deps, site.share, WHY, actor=site.world.actor("gm"), now=site.world.now())
    site.anchor()
    outside = site.deps.log.latest()
    done, after = site.bring_back(site.lose())
    assert (done.compared.outcome, done.compared.outside) == ("FETCHED", outside.size)
    assert done.compared.lost > 0
    world = World(after, site.world.company, site.world.clock)
    assert [leaf.object_id for leaf in world.leaves("share.revoke")] == [site.share]
    # The log grew from the tree that stood outside.
    after.log.consistency(outside.size)
    with after.database.read() as session:
        from gateway.audit import note
        from gateway.audit.rebuild import audit_rebuild

        audit_rebuild(session, [note.parse_key(after.log.vkey)])
    # The row is from before its revocation; neither the gate nor administration makes it live again.
    assert world.share(site.share).state == "ACTIVE"
    assert world.leaves("share.halt") == []
    contact = world.session("s1")[1]
    with pytest.raises(TamperedRow):
        sharing.collect(after, site.bundle, actor=contact, now=world.now())
    after.database.close()


def test_entries_that_cannot_be_had_freeze_the_log_and_another_begins(site: Site) -> None:
    site.save()
    sharing.suspend(site.deps, site.share, WHY, actor=site.world.actor("adm"), now=site.world.now())
    site.anchor()
    outside = site.deps.log.latest()
    deps = site.lose()
    for path in (deps.settings.home / "store" / "audit" / "tile").rglob("*"):
        if path.is_file():
            path.unlink()
    old_key = (deps.settings.keys / "log.key").read_bytes()
    done, after = site.bring_back(deps)
    assert done.compared.outcome == "CONTINUED"
    assert after.log.vkey.startswith("localhost/log/2+")
    assert old_key not in b"".join(p.read_bytes() for p in after.settings.keys.rglob("*") if p.is_file())
    with after.database.read() as session:
        from sqlalchemy import select

        from gateway.audit import leaf, note
        from gateway.audit.models import Leaf
        from gateway.audit.rebuild import audit_rebuild

        first = leaf.parse(session.scalar(select(Leaf.body).where(Leaf.seq == 0)))
        audit_rebuild(session, [note.parse_key(after.log.vkey)])
    assert first.event == relog.CONTINUED
    assert first.data["frozen"] == site.deps.log.vkey
    assert (first.data["size"], first.data["lost"]) == (outside.size, [done.compared.restored, outside.size])
    # The new log goes on, and has anchors of its own.
    anchors.beat(after.log, after.database, after.stores["audit"], now=site.world.now())
    newest = anchors.latest(after.stores["audit"])
    assert newest.note.startswith("localhost/log/2\n")
    after.database.close()
    again = bootstrap.build(deps.settings, clock=site.world.clock)
    assert again.log.health(now=site.world.now()).ok
    again.database.close()


def test_a_log_that_contradicts_the_outside_is_refused(site: Site) -> None:
    site.save()
    deps = site.lose()
    forged = site.deps.log._signer if hasattr(site.deps.log, "_signer") else None
    from gateway.audit import layout, note
    from gateway.audit.signer import Signer

    signer = forged or Signer.load(deps.settings.keys / "log.key", "localhost/log")
    head = note.TreeHead("localhost/log", 2, bytes(32))
    deps.stores["audit"].put(layout.checkpoint_path(2), iter([signer.sign(head.text()).encode()]))
    for path in (deps.settings.home / "store" / "audit" / "checkpoint").iterdir():
        if int(path.name) > 2:
            path.unlink()
    refused(site, deps, LogDamaged)


def refused(site: Site, deps: Deps, error: Any, backup_id: str | None = None) -> Any:
    """The restore is refused, and nothing of it is left anywhere."""
    with pytest.raises(error) as caught:
        site.bring_back(deps, backup_id)
    assert not (deps.settings.home / "sealgate.db").exists() or restore.dump.is_empty(deps.database)
    assert deps.keyring.copy().wraps == ()
    assert [s.key for name in inventory.STORES for s in deps.stores[name].list()] == []
    assert not restore.unfinished(deps.settings)
    assert [path.name for path in deps.settings.home.glob(".restore-*")] == []
    return caught.value


def test_a_keyring_older_than_the_data_is_refused(site: Site) -> None:
    old = site.save()
    ring = proving.read_keyring(site.source(site.deps, old))
    shred.destroy(
        site.deps, "objects", f"item-{site.item}", versions=1, reason=WHY, actor=SYSTEM, now=site.world.now()
    )
    newer = site.save()
    deps = site.lose()
    # Somebody put the older keyring in place before.
    deps.keyring.load(ring)
    with pytest.raises(OlderKeyring) as caught:
        site.bring_back(deps, newer)
    assert caught.value.findings == (
        f"keyring: generation {ring.generation}, the data are of {ring.generation + 1}",
    )
    assert [s.key for s in deps.stores["objects"].list()] == []
    assert not restore.unfinished(deps.settings)


def test_a_keyring_of_another_installation_is_refused(site: Site) -> None:
    site.save()
    deps = site.lose()
    deps.keyring.destroy("anything")
    with pytest.raises(OlderKeyring) as caught:
        site.bring_back(deps)
    assert "keyring: of another installation" in caught.value.findings


def test_a_rotated_keyring_needs_its_own_keks(site: Site) -> None:
    site.save()
    keys.rotate(site.deps, actor=SYSTEM, now=site.world.now())
    deps = site.lose()
    # The only keyring beside the backup is wrapped under the KEK that was destroyed since.
    error = refused(site, deps, OlderKeyring)
    assert error.findings[0].startswith("kek-000001: destroyed or missing, ")


@pytest.mark.parametrize("step_s", [0, 60, -60])
def test_a_newer_keyring_is_taken_and_what_was_destroyed_stays_destroyed(site: Site, step_s: int) -> None:
    old = site.save()
    site.world.clock.advance(seconds=step_s)
    shred.destroy(
        site.deps, "objects", f"item-{site.item}", versions=1, reason=WHY, actor=SYSTEM, now=site.world.now()
    )
    keys.rotate(site.deps, actor=SYSTEM, now=site.world.now())
    site.save()
    done, after = site.bring_back(site.lose(), old)
    assert done.destroyed == 1
    with pytest.raises(KeyGone):
        after.objects.open(f"item-{site.item}", 1)
    assert same(site.deps, after)
    after.database.close()


def test_a_place_that_lacks_objects_is_refused_with_their_names(site: Site) -> None:
    made = site.save()
    lines = inventory.read(site.source(site.deps, made).read(place.INVENTORY))
    lost = [line for line in lines if line.store == "objects"][:2]
    for line in lost:
        site.target.delete(place.blob_key(line.blob))
    error = refused(site, site.lose(), Incomplete)
    assert set(error.findings) == {f"{line.name}: missing or of another size" for line in lost}


def test_objects_without_a_key_are_refused_with_their_names(site: Site) -> None:
    made = site.save()
    ring = proving.read_keyring(site.source(site.deps, made))
    deps = site.lose()
    name = f"item-{site.item}"
    deps.keyring.load(
        restore.KeyringCopy(
            ring.ring, ring.generation, tuple(w for w in ring.wraps if w.object_id != name), ring.destroyed
        )
    )
    with pytest.raises(Incomplete) as caught:
        site.bring_back(deps)
    assert caught.value.findings == (f"objects/{name}.v1: no key in the keyring",)


def damaged(raw: bytes, other: bytes) -> dict[str, bytes | None]:
    """One file's bytes in the ways in which a place can spoil them; None stands for a file that is gone."""
    flipped = bytearray(raw)
    flipped[len(raw) // 2] ^= 1
    return {"flip": bytes(flipped), "cut": raw[:-1], "gone": None, "swap": other}


def test_damaged_files_are_refused_each_by_each(site: Site) -> None:
    first, made = site.save(), site.save()
    deps = site.lose()
    blobs = [stat.key for stat in site.target.list("objects/")]
    names = (place.MANIFEST, place.DATABASE, place.KEYRING, place.INVENTORY)
    pairs = [(place.file_key(made, name), place.file_key(first, name)) for name in names]
    for key, other in [*pairs, (blobs[0], blobs[1])]:
        raw, swapped = (b"".join(site.target.open(one)) for one in (key, other))
        for how, bad in damaged(raw, swapped).items():
            site.target.delete(key)
            if bad is not None:
                site.target.put(key, iter([bad]))
            error = refused(site, deps, (BrokenBackup, Incomplete, WrongPlace), made)
            assert error.findings if not isinstance(error, WrongPlace) else how == "gone", (key, how)
            if bad is not None:
                site.target.delete(key)
            site.target.put(key, iter([raw]))
    site.bring_back(deps, made)[1].database.close()


def test_another_identity_opens_nothing(site: Site) -> None:
    site.save()
    with pytest.raises(WrongIdentity):
        site.source(site.lose(), by=pyrage.x25519.Identity.generate())


def test_a_place_that_is_not_empty_is_left_as_it_is(site: Site) -> None:
    site.save()
    with pytest.raises(NotEmpty) as caught:
        site.bring_back(site.deps)
    assert caught.value.findings == ("database",)
    deps = site.lose()
    deps.stores["objects"].put("item-other.v1", iter([b"somebody's"]))
    with pytest.raises(NotEmpty) as caught:
        site.bring_back(deps)
    assert caught.value.findings == ("objects/item-other.v1: in the way",)
    assert not restore.unfinished(deps.settings)


class Stop(Exception):
    """The process ends here."""


@pytest.mark.parametrize(
    "moment", ["_bring_objects", pytest.param("_reconcile", marks=pytest.mark.soak), "_tell"]
)
def test_an_interrupted_restore_keeps_the_portal_shut_and_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    site.save()
    deps = site.lose()

    def stop(*_: object) -> None:
        raise Stop

    with monkeypatch.context() as cut:
        cut.setattr(restore, moment, stop)
        with pytest.raises(Stop):
            site.bring_back(deps)
    with pytest.raises(ConfigError, match="CONFIG"):
        bootstrap.build(deps.settings)
    _, after = site.bring_back(bootstrap.build(deps.settings, clock=site.world.clock, restoring=True))
    assert same(site.deps, after)
    assert World(after, site.world.company, site.world.clock).share(site.share).state == "SUSPENDED"
    after.database.close()


def test_a_drill_proves_every_object_and_leaves_a_dated_record(site: Site) -> None:
    site.anchor()
    made = site.save()
    found = drill.drill(site.deps, site.source(site.deps, made), actor=SYSTEM, now=site.world.now())
    assert found.passed
    assert found.facts["objects"] == sum(
        1 for name in inventory.STORES for _ in site.deps.stores[name].list()
    )
    import json

    told = json.loads(found.path.read_text())
    assert (told["outcome"], told["backup"], told["root"]) == ("PASSED", made, found.facts["root"])
    assert told["at"].startswith(f"{site.world.now():%Y-%m-%d}")
    assert [leaf.id for leaf in site.world.leaves("restore.drill")] == [told["entry"]]
    assert drill.last(site.deps) is not None
    assert [path.name for path in site.deps.settings.home.glob(".restore-*")] == []


def test_a_drill_that_fails_is_recorded_with_what_is_wrong(site: Site) -> None:
    made = site.save()
    line = inventory.read(site.source(site.deps, made).read(place.INVENTORY))[0]
    site.target.delete(place.blob_key(line.blob))
    found = drill.drill(site.deps, site.source(site.deps, made), actor=SYSTEM, now=site.world.now())
    assert (found.outcome, found.findings) == ("INCOMPLETE", (f"{line.name}: missing or of another size",))


@pytest.fixture
def works(production: World, minio: Any, postgres: Any, tmp_path: Path) -> Iterator[Site]:
    """The production installation, with an empty one beside it and a bucket for backups."""
    first = production.deps.settings
    urls, count = [], iter(range(100))

    def empty() -> Settings:
        urls.append(postgres.database())
        names = {
            f"s3_bucket_{kind}": f"{getattr(first, f's3_bucket_{kind}')}-{secrets.token_hex(4)}"
            for kind in ("objects", "bundles", "evidence")
        }
        more = first.model_dump(
            include={"storage", "s3_endpoint", "s3_access_key_file", "s3_secret_key_file", "s3_bucket_audit"}
        )
        settings = settings_at(
            tmp_path / f"empty-{next(count)}",
            database_url=urls[-1],
            keyring_url=postgres.database(),
            **more,
            **names,
        )
        assert bootstrap.prepare_storage(settings) == []
        return settings

    bucket = f"backup-{secrets.token_hex(4)}"
    client = s3.make_client(minio.endpoint, minio.access_key, minio.secret_key, "us-east-1")
    client.create_bucket(Bucket=bucket)
    client.close()
    access = place.Access(minio.endpoint, "us-east-1", minio.access_key, minio.secret_key)
    target = place.open_place(f"s3://{bucket}/portal", first, access, make=True)
    yield Site(production, target, pyrage.x25519.Identity.generate(), tmp_path, empty)
    for url in urls:
        postgres.drop(url)


@pytest.mark.services
def test_production_is_saved_drilled_lost_and_brought_back(works: Site) -> None:
    share, items = works.world.active_share()
    works.anchor()
    made = works.save()
    works.world.session("biz.sj")
    works.anchor()
    assert works.save() != made
    found = drill.drill(works.deps, works.source(works.deps, made), actor=SYSTEM, now=works.world.now())
    assert (found.outcome, found.findings) == ("PASSED", ())
    done, after = works.bring_back(works.lose(), made)
    assert done.compared.outcome == "FETCHED"
    assert same(works.deps, after)
    world = World(after, works.world.company, works.world.clock)
    assert world.share(share).state == "SUSPENDED"
    sharing.resume(after, share, WHY, actor=world.actor("adm"), now=world.now())
    assert len(b"".join(after.objects.open(f"item-{items[0]}", 1))) > 0
    # New entries get numbers after those that came back.
    assert after.log.sequence(now=world.now()) > 0
    after.keyring.close()
    after.database.close()
