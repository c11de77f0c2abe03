"""Backups of an embedded installation: what lies in the place, what is copied again, what is removed."""

import json

import pyrage
import pytest
from sqlalchemy import text

from gateway import bootstrap
from gateway.custody import backup, dump, envelope, inventory, keys, ledger, place
from gateway.custody import manifest as manifests
from gateway.custody.errors import BrokenBackup, Incomplete, WrongPlace
from gateway.principal import SYSTEM
from storage.errors import Unavailable


@pytest.fixture
def identity():
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def target(tmp_path, portal):
    return place.open_place(str(tmp_path / "safe"), portal.settings, None, make=True)


def stores(portal):
    return bootstrap.raw_stores(portal.settings, portal.database)


def save(portal, target, identity):
    to = [identity.to_public()]
    return backup.back_up(portal, stores(portal), target, to, actor=SYSTEM, now=portal.clock())


def fill(portal, count=5):
    for number in range(count):
        portal.objects.put(f"item-{number}", 1, iter([b"content", bytes([number])]))
    portal.evidence.put("agreement-1", 1, iter([b"signed"]))
    portal.fields.seal("client:1", "name", "王小明")
    portal.log.heartbeat(now=portal.clock())


def opened(target, made, name, identity):
    raw = target.open(place.file_key(made.manifest.id, name))
    return b"".join(envelope.opened(raw, [identity], name))


def test_a_backup_names_its_checkpoint_and_every_object(portal, target, identity):
    fill(portal)
    made = save(portal, target, identity)
    assert (made.copied, made.manifest.objects) == (6, 6)
    latest = portal.log.latest()
    assert made.manifest.checkpoint == dump.Head(latest.size, latest.root.hex(), latest.note)
    ring = portal.keyring.copy()
    assert (made.manifest.ring, made.manifest.generation) == (ring.ring, ring.generation)
    lines = inventory.read(iter([opened(target, made, place.INVENTORY, identity)]))
    assert {line.name for line in lines} == {f"objects/item-{n}.v1" for n in range(5)} | {
        "evidence/agreement-1.v1"
    }
    for line in lines:
        sealed = b"".join(target.open(place.blob_key(line.blob)))
        assert sealed == b"".join(stores(portal)[line.store].open(line.key))
        inventory_of = inventory.Hashing([sealed], line.size, "x", line.sha256)
        assert b"".join(inventory_of) == sealed
    raw = opened(target, made, place.MANIFEST, identity)
    assert manifests.decode(raw, portal.manifest_key, "m") == made.manifest
    with portal.database.read() as session:
        assert [e.object for e in ledger.entries(session, ledger.BACKED_UP)] == [("backup", made.manifest.id)]


def test_no_key_and_no_plaintext_is_in_a_backup(portal, target, identity, tmp_path):
    fill(portal)
    save(portal, target, identity)
    lying = b"".join(path.read_bytes() for path in (tmp_path / "safe").rglob("*") if path.is_file())
    for path in portal.settings.keys.rglob("*"):
        if path.is_file():
            assert path.read_bytes().strip() not in lying
    for plain in (b"content", b"signed", "王".encode(), b"item-1", b"CREATE TABLE"):
        assert plain not in lying
    made = place.whole(target)[0]
    for name in (place.DATABASE, place.KEYRING, place.INVENTORY):
        raw = b"".join(envelope.opened(target.open(place.file_key(made, name)), [identity], name))
        for path in (portal.settings.keys / "kek").iterdir():
            assert path.read_bytes() not in raw
            assert path.read_bytes().hex().encode() not in raw


def test_unchanged_objects_are_not_copied_again(portal, target, identity):
    fill(portal)
    assert save(portal, target, identity).copied == 6
    portal.objects.put("item-9", 1, iter([b"new"]))
    again = save(portal, target, identity)
    assert (again.copied, again.manifest.objects) == (1, 7)
    # Without the memory of digests they are read, but still not copied.
    (portal.settings.home / "backup.known.json").unlink()
    third = save(portal, target, identity)
    assert (third.copied, third.manifest.objects) == (0, 7)
    assert len(place.whole(target)) == 3


def test_another_write_under_the_same_name_is_another_copy(portal, target, identity):
    fill(portal)
    first = save(portal, target, identity)
    portal.objects.delete("item-1", 1)
    portal.objects.put("item-1", 1, iter([b"content", bytes([1])]))
    second = save(portal, target, identity)
    assert second.copied == 1
    found = [inventory.read(iter([opened(target, m, place.INVENTORY, identity)])) for m in (first, second)]
    one, two = ({line.key: line for line in lines}["item-1.v1"] for lines in found)
    assert one.size == two.size
    assert one.blob != two.blob


def test_expired_backups_go_with_what_only_they_needed(portal, target, identity, clock):
    fill(portal)
    old = save(portal, target, identity)
    portal.objects.destroy("item-1")
    clock.advance(days=20)
    kept = save(portal, target, identity)
    assert len(list(target.list("objects/"))) == 6
    clock.advance(days=11)
    last = save(portal, target, identity)
    assert last.removed == (old.manifest.id,)
    assert place.whole(target) == [kept.manifest.id, last.manifest.id]
    assert len(list(target.list("objects/"))) == 5
    assert len(list(target.list("keyrings/"))) == 2


def test_a_backup_without_its_manifest_is_none_and_is_cleared_away(portal, target, identity, monkeypatch):
    fill(portal)

    def away(self, name, data):
        raise Unavailable("away")

    with monkeypatch.context() as cut:
        cut.setattr(backup._Writer, "put_plain", away)
        with pytest.raises(Unavailable):
            save(portal, target, identity)
    assert place.whole(target) == []
    assert len(place.present(target)) == 1
    made = save(portal, target, identity)
    assert list(place.present(target)) == [made.manifest.id]


def test_an_object_destroyed_during_a_backup_is_left_out(portal, target, identity, monkeypatch):
    fill(portal)
    held = stores(portal)
    real = held["objects"].list

    def listed(prefix=""):
        found = list(real(prefix))
        portal.objects.destroy("item-3")
        return iter(found)

    monkeypatch.setattr(held["objects"], "list", listed)
    to = [identity.to_public()]
    made = backup.back_up(portal, held, target, to, actor=SYSTEM, now=portal.clock())
    assert made.manifest.objects == 5


def test_tables_of_something_else_are_not_passed_over(portal, target, identity):
    with portal.database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE wraps (object_id TEXT)"))
    with pytest.raises(Incomplete) as refused:
        save(portal, target, identity)
    assert refused.value.findings == ("table wraps: not of this portal",)
    assert place.whole(target) == []


def test_places_that_cannot_hold_a_backup(portal, tmp_path):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    for where in (
        portal.settings.home / "safe",
        portal.settings.home.parent,
        tmp_path / "used",
        "s3://bucket",
        "s3://",
    ):
        with pytest.raises(WrongPlace):
            place.open_place(str(where), portal.settings, None, make=True)
    for where in (tmp_path / "absent", tmp_path / "used"):
        with pytest.raises(WrongPlace):
            place.open_place(str(where), portal.settings, None, make=False)
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("where", ["", "deep", ".."])
def test_no_backup_begins_where_keys_were_exported(portal, tmp_path, identity, where):
    safe = tmp_path / "apart" / "keys"
    safe.mkdir(parents=True)
    to = [identity.to_public()]
    keys.export_backup(portal, safe / "keys.age", to, actor=SYSTEM, now=portal.clock())
    with pytest.raises(WrongPlace):
        place.open_place(str(safe / where), portal.settings, None, make=True)
    assert not list((tmp_path / "apart").rglob(keys.MARKER))


def test_no_backup_goes_on_where_keys_were_put_since(portal, target, tmp_path, identity):
    (tmp_path / "safe" / keys.KEYS_MARKER).touch()
    with pytest.raises(WrongPlace):
        place.open_place(str(tmp_path / "safe"), portal.settings, None, make=True)


def test_a_dump_loads_into_an_empty_schema_and_gives_the_same_dump(portal, tmp_path):
    fill(portal)
    other = bootstrap.Database(f"sqlite:///{tmp_path / 'other.db'}", bytes(32))
    bootstrap.everything().create_all(other.engine)
    assert dump.is_empty(other)
    with dump.snapshot(portal.database) as found:
        first = list(found.lines)
    count = dump.load(other, iter(first))
    assert count > 0
    assert not dump.is_empty(other)
    with dump.snapshot(other) as again:
        assert list(again.lines) == first
    other.close()


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[:-1],
        lambda lines: [*lines[:5], *lines[6:]],
        lambda lines: [*lines, b'["more"]\n'],
        lambda lines: lines[1:],
        lambda lines: [lines[0].replace(b'"v":1', b'"v":2'), *lines[1:]],
        lambda lines: [line.replace(b'"table":"audit_leaf"', b'"table":"elsewhere"') for line in lines],
        lambda lines: [line.replace(b'"columns":["', b'"columns":["x","') for line in lines],
        lambda lines: [b"not json\n"],
        lambda lines: [],
    ],
)
def test_a_dump_that_is_not_whole_changes_nothing(portal, tmp_path, change):
    fill(portal)
    with dump.snapshot(portal.database) as found:
        lines = b"".join(found.lines).splitlines(keepends=True)
    other = bootstrap.Database(f"sqlite:///{tmp_path / 'other.db'}", bytes(32))
    bootstrap.everything().create_all(other.engine)
    with pytest.raises(BrokenBackup):
        dump.load(other, iter(change(lines)))
    assert dump.is_empty(other)
    other.close()


def test_a_manifest_of_another_installation_is_refused(portal, target, identity):
    fill(portal)
    made = save(portal, target, identity)
    raw = opened(target, made, place.MANIFEST, identity)
    for bad in (raw.replace(b'"objects":6', b'"objects":5'), raw[:-10], b"{}\n", raw + b"x", b""):
        with pytest.raises(BrokenBackup):
            manifests.decode(bad, portal.manifest_key, "m")
    body = json.loads(raw.split(b"\n")[0])
    assert body["files"].keys() == {place.DATABASE, place.KEYRING, place.INVENTORY, place.BLOBS}
    with pytest.raises(BrokenBackup):
        manifests.decode(raw, portal.evidence_key, "m")


def test_inventories_that_were_cut_or_forged_are_refused():
    line = inventory.Line("objects", "item-1.v1", "ab", 3, "cd")
    raw = b"".join(inventory.write([line, line]))
    assert inventory.read(iter([raw])) == (line, line)
    for bad in (raw[:-5], b"", raw.split(b"\n")[0], raw.replace(b"objects", b"audit", 1), b"[]\n", b"x"):
        with pytest.raises(BrokenBackup):
            inventory.read(iter([bad]))


def test_only_sealed_bytes_that_were_expected_pass():
    with pytest.raises(BrokenBackup) as refused:
        list(inventory.Hashing([b"abc"], 3, "objects/item-1.v1", "00" * 32))
    assert refused.value.findings == ("objects/item-1.v1",)
    with pytest.raises(BrokenBackup):
        list(inventory.Hashing([b"abc"], 4, "x"))
