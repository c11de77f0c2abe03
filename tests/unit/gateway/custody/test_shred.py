"""Destroyed objects: nothing opens them, and the state says from when on that is so for every backup too."""

from datetime import timedelta

import pyrage
import pytest

from gateway import engine
from gateway.custody import keys, ledger, shred
from gateway.errors import Invalid
from gateway.principal import SYSTEM
from storage.errors import KeyGone, NotFound, Unavailable

REASON = "保管期限届满，依法销毁"


def destroy(portal, name="item-1", store="objects", versions=2):
    return shred.destroy(
        portal, store, name, versions=versions, reason=REASON, actor=SYSTEM, now=portal.clock()
    )


def rotate(portal):
    return keys.rotate(portal, actor=SYSTEM, now=portal.clock())


def state(portal, name="item-1"):
    return shred.standings(portal, [name], now=portal.clock())[0]


@pytest.fixture
def filled(portal):
    for version in (1, 2):
        portal.objects.put("item-1", version, iter([b"content"]))
    portal.objects.put("item-2", 1, iter([b"kept"]))
    return portal


def test_key_and_every_version_go_and_nothing_else(filled, tmp_path):
    destroy(filled)
    for version in (1, 2):
        with pytest.raises(KeyGone):
            filled.objects.open("item-1", version)
        with pytest.raises(NotFound):
            filled.objects.size("item-1", version)
    with pytest.raises(KeyGone):
        filled.objects.put("item-1", 3, iter([b"again"]))
    assert b"".join(filled.objects.open("item-2", 1)) == b"kept"
    assert [path.name for path in (tmp_path / "home" / "store" / "objects").glob("item-*")] == ["item-2.v1"]
    with filled.database.read() as session:
        begun = list(ledger.entries(session, ledger.DESTROYING))
        ended = list(ledger.entries(session, ledger.DESTROYED))
    assert [entry.object for entry in (*begun, *ended)] == [("object", "item-1")] * 2
    assert REASON not in str(begun[0])


def test_pending_until_the_last_copy_of_an_old_kek_has_expired(filled, tmp_path, clock):
    to = [pyrage.x25519.Identity.generate().to_public()]
    copy = keys.export_backup(filled, tmp_path / "keys.age", to, actor=SYSTEM, now=clock())
    first = destroy(filled)
    # The KEK is still here: the next backup could hold it again.
    assert (first.state, first.rotation) == ("PENDING", True)
    assert first.until >= copy.expires_at
    clock.advance(days=1)
    rotate(filled)
    assert (state(filled).state, state(filled).rotation) == ("PENDING", False)
    assert state(filled).until == copy.expires_at
    clock.advance(days=28.9)
    assert state(filled).state == "PENDING"
    clock.advance(days=0.2)
    assert state(filled).state == "FINAL"
    assert state(filled).until == copy.expires_at


def test_without_a_copy_of_the_kek_the_rotation_is_the_end(filled, clock):
    destroy(filled)
    clock.advance(hours=1)
    assert state(filled).state == "PENDING"
    rotate(filled)
    assert state(filled).state == "FINAL"


def test_a_copy_made_before_an_earlier_rotation_counts_too(filled, tmp_path, clock):
    to = [pyrage.x25519.Identity.generate().to_public()]
    copy = keys.export_backup(filled, tmp_path / "keys.age", to, actor=SYSTEM, now=clock())
    rotate(filled)
    destroy(filled)
    rotate(filled)
    # An older copy of the keyring may still hold the wrap that epoch 1 opens.
    assert state(filled).state == "PENDING"
    assert state(filled).until == copy.expires_at


def test_a_copy_of_later_keys_only_does_not_matter(filled, tmp_path, clock):
    destroy(filled)
    rotate(filled)
    to = [pyrage.x25519.Identity.generate().to_public()]
    keys.export_backup(filled, tmp_path / "keys.age", to, actor=SYSTEM, now=clock())
    assert state(filled).state == "FINAL"


@pytest.mark.parametrize("moment", ["destroy", "delete"])
def test_what_a_failure_left_is_finished_later(filled, monkeypatch, moment):
    owner = filled.keyring if moment == "destroy" else filled.objects

    def away(*_):
        raise Unavailable("away")

    with monkeypatch.context() as cut:
        cut.setattr(owner, moment, away)
        with pytest.raises(Unavailable):
            destroy(filled)
    assert state(filled).state == "PENDING"
    rotate(filled)
    assert state(filled).state == "PENDING"
    assert shred.finish(filled, now=filled.clock()) == 1
    assert shred.finish(filled, now=filled.clock()) == 0
    with pytest.raises(KeyGone):
        filled.keyring.key("item-1")


def test_ciphertext_under_a_lock_stays_without_its_key(filled, monkeypatch):
    filled.evidence.put("agreement-1", 1, iter([b"signed"]))

    def locked(*_):
        raise Unavailable("the store refused: locked")

    monkeypatch.setattr(filled.evidence._store, "delete", locked)
    destroy(filled, "agreement-1", "evidence", 1)
    with pytest.raises(KeyGone):
        filled.evidence.open("agreement-1", 1)
    with filled.database.read() as session:
        assert [e.data["left"] for e in ledger.entries(session, ledger.DESTROYED)] == [2]


def test_an_erased_owner_of_fields_is_a_destruction_like_any_other(filled):
    blob = filled.fields.seal("client:1", "name", "王小明")
    destroy(filled, "client:1", "field", 0)
    with pytest.raises(KeyGone):
        filled.fields.open("client:1", "name", blob)
    assert state(filled, "field:client:1").state == "PENDING"


def test_an_unknown_store_is_refused_before_anything_is_recorded(filled):
    with pytest.raises(Invalid):
        destroy(filled, store="audit")
    with filled.database.read() as session:
        assert ledger.destructions(session) == []


def test_the_outlook_is_the_next_rotation(filled, clock):
    found = destroy(filled)
    assert timedelta(days=29) < found.until - clock() <= timedelta(days=30)


def test_upkeep_finishes_what_was_begun(filled, monkeypatch):
    def away(*_):
        raise Unavailable("away")

    with monkeypatch.context() as cut:
        cut.setattr(filled.keyring, "destroy", away)
        with pytest.raises(Unavailable):
            destroy(filled)
    (task,) = (task for task in engine.tasks(filled) if task.name == "destructions")
    task.run(filled.clock())
    with pytest.raises(KeyGone):
        filled.keyring.key("item-1")
    rotate(filled)
    assert state(filled).state == "FINAL"


def test_an_overdue_rotation_makes_nothing_final(filled, clock):
    destroy(filled)
    clock.advance(days=400)
    assert (state(filled).state, state(filled).rotation) == ("PENDING", True)
