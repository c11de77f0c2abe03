"""Every way in which database, keyring and store can disagree is named, and nothing else."""

import hashlib

import pytest

from gateway.custody.check import Expected, Fault, Records, compare, listing, read_all
from storage.errors import Unavailable
from storage.kek import KekFolder
from storage.keyring import SqliteKeyring
from storage.memory import MemoryStore
from storage.sealed import SealedStore

ONE, TWO, THREE = ("item-" + digit * 32 for digit in "123")
OWNERS = frozenset(name.removeprefix("item-") for name in (ONE, TWO, THREE))


class Place:
    """A store of three sealed objects, with records that fit."""

    def __init__(self, keyring: SqliteKeyring) -> None:
        self.store, self.keyring = MemoryStore(), keyring
        self.sealed = SealedStore(self.store, keyring)
        for name in (ONE, TWO, THREE):
            self.sealed.put(name, 1, [name.encode() * 100])
        data = ONE.encode() * 100
        self.expected = [
            Expected("objects", ONE, 1, len(data), hashlib.sha256(data).hexdigest()),
            Expected("objects", TWO, 1, len(data), hashlib.sha256(TWO.encode() * 100).hexdigest()),
            Expected("objects", THREE, 1),
        ]

    def findings(self, owners=OWNERS, *, deep: bool = False) -> list[tuple[Fault, str]]:
        stores, records = {"objects": self.store}, Records(self.expected, owners)
        found = listing(stores)
        told = list(compare(found, records, stores, self.keyring))
        seen: list[int] = []
        if deep:
            told += read_all(found, records, {"objects": self.sealed}, seen.append)
            assert sum(seen) == found.bytes
        return [(one.fault, one.name) for one in told]

    def replace(self, key: str, data: bytes) -> None:
        self.store.delete(key)
        self.store.put(key, [data])

    def raw(self, key: str) -> bytes:
        return b"".join(self.store.open(key))


@pytest.fixture
def place(tmp_path):
    keks = KekFolder(tmp_path / "keks")
    keks.create(1)
    ring = SqliteKeyring(tmp_path / "keyring.db", keks)
    yield Place(ring)
    ring.close()


def test_all_is_well(place):
    place.keyring.create("field:client")
    assert place.findings(deep=True) == []


def test_what_is_missing(place):
    place.store.delete(f"{TWO}.v1")
    assert place.findings(deep=True) == [(Fault.MISSING, f"{TWO}.v1")]


def test_what_has_no_record(place):
    place.sealed.put("item-" + "9" * 32, 1, [b"x"])
    place.store.put("something", [b"else"])
    told = [(Fault.ORPHAN, "item-" + "9" * 32 + ".v1"), (Fault.ORPHAN, "something")]
    assert place.findings() == told


def test_what_has_another_size(place):
    place.store.delete(f"{ONE}.v1")
    place.sealed.put(ONE, 1, [b"shorter"])
    assert place.findings() == [(Fault.WRONG_SIZE, f"{ONE}.v1")]
    assert place.findings(deep=True)[1:] == [(Fault.ALTERED, f"{ONE}.v1")]


def test_what_has_an_impossible_length(place):
    place.replace(f"{THREE}.v1", b"too short to be sealed")
    assert place.findings() == [(Fault.ALTERED, f"{THREE}.v1")]


@pytest.mark.parametrize("name", [ONE, THREE])
def test_what_was_altered_is_found_by_reading(place, name):
    data = bytearray(place.raw(f"{name}.v1"))
    data[-20] ^= 1
    place.replace(f"{name}.v1", bytes(data))
    assert place.findings() == []
    assert place.findings(deep=True) == [(Fault.ALTERED, f"{name}.v1")]


def test_what_was_written_anew_with_the_true_key_is_found_by_its_digest(place):
    place.store.delete(f"{ONE}.v1")
    place.sealed.put(ONE, 1, [b"x" * len(ONE) * 100])
    assert place.findings() == []
    assert place.findings(deep=True) == [(Fault.ALTERED, f"{ONE}.v1")]


def test_what_lost_its_key(place):
    with place.keyring._writing() as run:
        run("DELETE FROM wraps WHERE object_id = ?", TWO)
    assert place.findings(deep=True) == [(Fault.KEYLESS, f"{TWO}.v1")]


def test_what_was_destroyed_is_not_missed_but_its_remains_are_told(place):
    kept = place.raw(f"{TWO}.v1")
    place.sealed.destroy(TWO)
    assert place.findings(deep=True) == []
    place.store.put(f"{TWO}.v1", [kept])
    assert place.findings(deep=True) == [(Fault.REMAINS, f"{TWO}.v1")]


def test_a_key_that_nothing_belongs_to(place):
    place.keyring.create("item-" + "8" * 32)
    assert place.findings() == [(Fault.LOST_KEY, "item-" + "8" * 32)]


def test_what_comes_and_goes_meanwhile_is_no_finding(place):
    stores = {"objects": place.store}
    place.sealed.put("item-" + "9" * 32, 1, [b"going"])
    found = listing(stores)
    place.store.delete("item-" + "9" * 32 + ".v1")
    late = "item-" + "7" * 32
    place.sealed.put(late, 1, [b"coming"])
    place.keyring.destroy("item-" + "9" * 32)
    records = Records([*place.expected, Expected("objects", late, 1, 6)], OWNERS | {"7" * 32})
    assert list(compare(found, records, stores, place.keyring)) == []
    assert list(read_all(found, records, {"objects": place.sealed}, lambda size: None)) == []


def test_a_store_that_does_not_answer_is_no_finding_but_an_error(place):
    def down(operation: str, key: str) -> None:
        raise Unavailable("down")

    found = listing({"objects": place.store})
    broken = SealedStore(MemoryStore(down), place.keyring)
    with pytest.raises(Unavailable):
        list(read_all(found, Records(place.expected, OWNERS), {"objects": broken}, lambda size: None))
    with pytest.raises(Unavailable):
        listing({"objects": MemoryStore(down)})


def test_said_in_both_languages(place):
    place.store.delete(f"{TWO}.v1")
    stores = {"objects": place.store}
    [one] = compare(listing(stores), Records(place.expected, OWNERS), stores, place.keyring)
    assert one.text.en == f"objects/{TWO}.v1: recorded, but not in the store"
    assert one.text.zh == f"objects/{TWO}.v1：库中没有"
