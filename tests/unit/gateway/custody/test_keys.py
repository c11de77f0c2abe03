"""Rotation, exports and their return."""

import threading
from datetime import timedelta

import pyrage
import pytest
from sqlalchemy import select

from gateway.audit import leaf
from gateway.audit.models import Leaf
from gateway.custody import keys
from gateway.custody.errors import BrokenBackup, Busy, NotEmpty, WrongIdentity, WrongPlace
from gateway.principal import SYSTEM
from storage.errors import Corrupt, KeyGone, StorageError
from storage.kek import KekFolder


@pytest.fixture
def identity():
    return pyrage.x25519.Identity.generate()


def folder(portal) -> KekFolder:
    return KekFolder(portal.settings.keys / "kek")


def told(portal, event: str) -> list[leaf.Entry]:
    with portal.database.read() as session:
        query = select(Leaf.body).where(Leaf.event == event).order_by(Leaf.arrival)
        return [leaf.parse(body) for body in session.scalars(query)]


def rotate(portal, **more):
    return keys.rotate(portal, actor=SYSTEM, now=portal.clock(), **more)


def export(portal, target, identity, **more):
    to = [identity.to_public()]
    return keys.export_backup(portal, target, to, actor=SYSTEM, now=portal.clock(), **more)


def test_a_rotation_keeps_every_key_and_ends_the_old_kek(portal):
    held = {name: portal.keyring.create(name) for name in map("object-{}".format, range(40))}
    generation = portal.keyring.copy().generation
    done = rotate(portal, batch=7)
    assert done == keys.Rotated(epoch=2, destroyed=(1,), rewrapped=40, resumed=False)
    assert {name: portal.keyring.key(name) for name in held} == held
    assert folder(portal).epochs == (2,)
    assert portal.keyring.copy().generation > generation
    assert [entry.object for entry in told(portal, "keys.rotate_begun")] == [("key", "kek-000002")]
    assert [entry.data["destroyed"] for entry in told(portal, "keys.rotated")] == [[1]]


class Stop(Exception):
    """The process ends here."""


@pytest.mark.parametrize("moment", ["create", "settle", "rewrap", "destroy", "scrub"])
def test_an_interrupted_rotation_goes_on_where_it_stood(portal, monkeypatch, moment):
    held = {name: portal.keyring.create(name) for name in map("object-{}".format, range(10))}

    def stop(*_):
        raise Stop

    owner = KekFolder if moment in ("create", "destroy") else type(portal.keyring)
    with monkeypatch.context() as cut:
        cut.setattr(owner, moment, stop)
        with pytest.raises(Stop):
            rotate(portal, batch=3)
    assert {name: portal.keyring.key(name) for name in held} == held
    portal.keyring.create("between")
    done = rotate(portal, batch=3)
    assert (done.epoch, folder(portal).epochs) == (2, (2,))
    assert {name: portal.keyring.key(name) for name in held} == held
    assert portal.keyring.counts() == {2: 11}
    assert len(told(portal, "keys.rotated")) == 1
    assert told(portal, "keys.rotated")[0].object == ("key", "kek-000002")


def test_a_wrap_that_does_not_open_keeps_the_old_kek(portal, tmp_path):
    portal.keyring.create("a")
    portal.keyring.create("b")
    with portal.keyring._writing() as run:
        run("UPDATE wraps SET wrapped = ? WHERE object_id = 'b'", bytes(60))
    with pytest.raises(Corrupt):
        rotate(portal)
    assert folder(portal).epochs == (1, 2)
    assert len(portal.keyring.key("a")) == 32


def test_keys_made_and_read_beside_a_rotation_are_never_lost(portal):
    made, failures, over = {}, [], threading.Event()

    def work(worker: int) -> None:
        number = 0
        while not over.is_set() or number < 5:
            name = f"worker-{worker}-{number}"
            try:
                made[name] = portal.keyring.create(name)
                assert portal.keyring.key(name) == made[name]
            except (AssertionError, StorageError) as failure:
                failures.append(failure)
                return
            number += 1

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        rotate(portal, batch=5)
    over.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {name: portal.keyring.key(name) for name in made} == made
    assert folder(portal).epochs == (3,)


def test_one_rotation_at_a_time(portal):
    with keys.alone(portal.settings, "rotate"), pytest.raises(Busy):
        rotate(portal)
    assert folder(portal).epochs == (1,)


def test_an_export_brings_every_key_back(portal, tmp_path, identity):
    portal.keyring.create("a")
    copy = export(portal, tmp_path / "keys.age", identity)
    assert copy.epochs == (1,)
    assert copy.expires_at == copy.made_at + timedelta(days=30)
    assert (tmp_path / "keys.age").stat().st_mode & 0o777 == 0o600
    raw = (tmp_path / "keys.age").read_bytes()
    for path in portal.settings.keys.rglob("*"):
        assert not path.is_file() or path.read_bytes() not in raw
    names = keys.restore_keys(tmp_path / "keys.age", [identity], tmp_path / "elsewhere" / "keys")
    assert "session.key" not in names
    for name in names:
        restored = tmp_path / "elsewhere" / "keys" / name
        assert restored.read_bytes() == (portal.settings.keys / name).read_bytes()
        assert restored.stat().st_mode & 0o777 == 0o600
    assert {"mac.key", "log.key", "kek/kek-000001"} <= set(names)


def test_the_log_knows_of_an_export_even_if_it_fails(portal, tmp_path, identity):
    (tmp_path / "taken").mkdir()
    with pytest.raises(WrongPlace):
        export(portal, tmp_path / "absent" / "keys.age", identity)
    assert len(told(portal, "keys.exported")) == 1


def test_keys_are_not_exported_beside_a_backup_or_over_a_file(portal, tmp_path, identity):
    (tmp_path / "backup" / "deep").mkdir(parents=True)
    (tmp_path / "backup" / keys.MARKER).touch()
    (tmp_path / "taken.age").write_text("x")
    for target in ("backup/keys.age", "backup/deep/keys.age", "taken.age"):
        with pytest.raises(WrongPlace):
            export(portal, tmp_path / target, identity)
    assert (tmp_path / "taken.age").read_text() == "x"
    assert told(portal, "keys.exported") == []


def test_a_rotation_that_exports_leaves_no_old_kek_in_the_copy(portal, tmp_path, identity):
    portal.keyring.create("a")
    rotate(portal, export=lambda epoch: export(portal, tmp_path / "new.age", identity, since=epoch))
    names = keys.restore_keys(tmp_path / "new.age", [identity], tmp_path / "back")
    assert [name for name in names if name.startswith("kek/")] == ["kek/kek-000002"]
    assert keys.status(portal, now=portal.clock()).exported


def test_keys_return_into_an_empty_folder_only_and_wholly(portal, tmp_path, identity):
    export(portal, tmp_path / "keys.age", identity)
    with pytest.raises(NotEmpty):
        keys.restore_keys(tmp_path / "keys.age", [identity], portal.settings.keys)
    with pytest.raises(WrongIdentity):
        keys.restore_keys(tmp_path / "keys.age", [pyrage.x25519.Identity.generate()], tmp_path / "back")
    raw = (tmp_path / "keys.age").read_bytes()
    (tmp_path / "cut.age").write_bytes(raw[:-20])
    with pytest.raises(BrokenBackup):
        keys.restore_keys(tmp_path / "cut.age", [identity], tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("name", ["../mac.key", "/etc/x", "a/../../b", "kek", "a/b/c", ".x", "A"])
def test_a_forged_export_writes_no_file_elsewhere(tmp_path, identity, name):
    import json

    from gateway.custody import envelope

    body = {"format": "sealgate-keys", "v": 1, "files": {name: "AAAA"}}
    if name == "kek":
        body["v"] = 2
    sealed = b"".join(envelope.closed([json.dumps(body).encode()], [identity.to_public()]))
    (tmp_path / "forged.age").write_bytes(sealed)
    with pytest.raises(BrokenBackup):
        keys.restore_keys(tmp_path / "forged.age", [identity], tmp_path / "back")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["forged.age"]


def test_the_status_tells_what_is_to_be_done(portal, tmp_path, identity, clock):
    portal.keyring.create("a")
    found = keys.status(portal, now=clock())
    assert (found.epochs, found.wraps, found.exported) == ((1,), {1: 1}, False)
    export(portal, tmp_path / "keys.age", identity)
    assert keys.status(portal, now=clock()).exported
    clock.advance(days=31)
    found = keys.status(portal, now=clock())
    assert (found.copies, found.exported) == ((), False)
    assert found.due <= clock()
    portal.keyring.destroy("a")
    with pytest.raises(KeyGone):
        portal.keyring.key("a")
