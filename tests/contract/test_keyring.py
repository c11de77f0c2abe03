"""The contract of Keyring, the same for SQLite and PostgreSQL."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.errors import Conflict, KeyGone, StorageError
from storage.keyring import KekFolder, Keyring, PostgresKeyring, SqliteKeyring


@pytest.fixture
def keks(tmp_path: Path) -> KekFolder:
    folder = KekFolder(tmp_path / "keks")
    folder.create(1)
    return folder


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def keyring(request: pytest.FixtureRequest, keks: KekFolder, tmp_path: Path) -> Iterator[Keyring]:
    if request.param == "sqlite":
        ring = SqliteKeyring(tmp_path / "keyring.db", keks)
    else:
        ring = PostgresKeyring(request.getfixturevalue("postgres_url"), keks)
    yield ring
    ring.close()


def test_a_key_is_random_kept_and_made_once(keyring):
    one, two = keyring.create("objects/1"), keyring.create("objects/2")
    assert len(one) == len(two) == 32
    assert one != two
    assert keyring.key("objects/1") == one
    with pytest.raises(Conflict):
        keyring.create("objects/1")
    assert keyring.key("objects/1") == one


def test_a_destroyed_key_is_gone_and_never_made_again(keyring):
    keyring.create("o")
    assert not keyring.destroyed("o")
    keyring.destroy("o")
    keyring.destroy("o")
    for ask in (keyring.key, keyring.create):
        with pytest.raises(KeyGone):
            ask("o")
    assert keyring.destroyed("o")
    assert keyring.epoch("o") is None
    assert list(keyring.names()) == []


def test_a_name_that_never_had_a_key_can_be_destroyed_too(keyring):
    keyring.destroy("o")
    with pytest.raises(KeyGone):
        keyring.create("o")


def test_each_destruction_is_a_generation_and_a_copy_holds_all(keyring):
    keyring.create("a")
    keyring.create("b")
    before = keyring.copy()
    keyring.destroy("b")
    keyring.destroy("b")
    after = keyring.copy()
    assert (after.ring, after.generation) == (before.ring, before.generation + 1)
    assert [wrap.object_id for wrap in before.wraps] == ["a", "b"]
    assert after.wraps == before.wraps[:1]
    assert [before.is_destroyed("b"), after.is_destroyed("b"), after.is_destroyed("a")] == [
        False,
        True,
        False,
    ]


def test_an_empty_keyring_becomes_a_copy_and_a_used_one_does_not(keyring, keks, tmp_path):
    key = keyring.create("a")
    keyring.destroy("b")
    copy = keyring.copy()
    other = SqliteKeyring(tmp_path / "other.db", keks)
    other.load(copy)
    assert other.copy() == copy
    assert other.key("a") == key
    with pytest.raises(KeyGone):
        other.create("b")
    with pytest.raises(Conflict):
        other.load(copy)
    with pytest.raises(Conflict):
        keyring.load(copy)
    other.close()


def test_wrapped_anew_in_batches_the_same_keys_outlive_the_old_kek(keyring, keks):
    held = {name: keyring.create(name) for name in ("a", "b", "c", "d", "e")}
    generation = keyring.copy().generation
    keks.create(2)
    late = keyring.create("f")
    keyring.settle()
    assert keyring.counts() == {1: 5, 2: 1}
    assert [keyring.rewrap(2, 2) for _ in range(4)] == [2, 2, 1, 0]
    assert keyring.counts() == {2: 6}
    keks.destroy(1)
    keyring.scrub()
    assert {name: keyring.key(name) for name in held} == held
    assert keyring.key("f") == late
    assert keyring.epoch("a") == 2
    assert keyring.copy().generation == generation + 1


class LateKeks:
    """KEKs that do something between the reading of a row and its unwrapping, once."""

    def __init__(self, keks: KekFolder) -> None:
        self.keks, self.before = keks, lambda: None

    def wrap(self, object_id, dek):
        return self.keks.wrap(object_id, dek)

    def unwrap(self, object_id, epoch, wrapped):
        act, self.before = self.before, lambda: None
        act()
        return self.keks.unwrap(object_id, epoch, wrapped)


def test_a_key_read_while_its_kek_is_replaced_is_read_again(keyring, keks):
    key = keyring.create("o")
    late = LateKeks(keks)

    def rotate() -> None:
        keks.create(2)
        keyring.rewrap(2, 10)
        keks.destroy(1)

    late.before = rotate
    keyring._keks = late
    assert keyring.key("o") == key


def test_a_rotation_waits_for_a_key_that_is_just_being_made(keyring, keks):
    """The wrap is made and kept in one transaction, so no wrap under the old KEK can appear after the wait."""
    made, go_on, settled = threading.Event(), threading.Event(), threading.Event()

    class Slow:
        def wrap(self, object_id, dek):
            wrapped = keks.wrap(object_id, dek)
            made.set()
            assert go_on.wait(10)
            return wrapped

    keyring._keks = Slow()
    creating = threading.Thread(target=lambda: keyring.create("o"))
    creating.start()
    assert made.wait(10)
    keks.create(2)

    def settle() -> None:
        keyring.settle()
        settled.set()

    settling = threading.Thread(target=settle)
    settling.start()
    assert not settled.wait(0.2)
    go_on.set()
    creating.join()
    assert settled.wait(10)
    settling.join()
    assert keyring.counts() == {1: 1}


def test_unknown_names_have_no_key(keyring):
    keyring.create("o")
    for name in ("", "O", "o ", "o%", "_", "' OR 1=1 --"):
        with pytest.raises(KeyGone):
            keyring.key(name)


def test_names_by_prefix_in_order(keyring):
    for name in ("b", "field:王", "a_1", "axb", "a%", "Z", "field:a"):
        keyring.create(name)
    assert list(keyring.names()) == ["Z", "a%", "a_1", "axb", "b", "field:a", "field:王"]
    assert list(keyring.names("a_")) == ["a_1"]
    assert list(keyring.names("a%")) == ["a%"]
    assert list(keyring.names("field:王")) == ["field:王"]
    assert list(keyring.names("none")) == []


def test_it_is_ready(keyring):
    assert keyring.ready()
    assert list(keyring.names()) == []


def test_of_many_threads_one_makes_the_key(keyring):
    made, refused, gate = [], [], threading.Barrier(8)

    def create() -> None:
        gate.wait()
        try:
            made.append(keyring.create("o"))
        except Conflict:
            refused.append(keyring.key("o"))

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert refused == made * 7


def test_many_threads_make_read_and_destroy_beside_each_other(keyring):
    failures = []

    def work(worker: int) -> None:
        try:
            for number in range(15):
                name = f"{worker}/{number}"
                key = keyring.create(name)
                assert keyring.key(name) == key
                if number % 2:
                    keyring.destroy(name)
        except (AssertionError, StorageError) as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(list(keyring.names())) == 6 * 8


@pytest.mark.services
def test_a_server_that_is_gone_is_not_ready_and_comes_back(postgres_server, tmp_path):
    keks = KekFolder(tmp_path / "keks")
    keks.create(1)
    url = postgres_server.database()
    ring = PostgresKeyring(url, keks)
    key = ring.create("o")
    # Every connection of the keyring is cut, as by a restart of the server.
    with ring._connections.get().cursor() as cursor:
        pid = cursor.execute("SELECT pg_backend_pid()").fetchone()[0]
    other = PostgresKeyring(url, keks)
    other._connections.get().execute("SELECT pg_terminate_backend(%s)", (pid,))
    assert not ring.ready()
    assert ring.key("o") == key
    ring.close()
    other.close()
    postgres_server.drop(url)
