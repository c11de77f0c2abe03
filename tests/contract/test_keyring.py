"""The contract of Keyring, the same for SQLite and PostgreSQL."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.errors import Conflict, KeyGone, StorageError
from storage.keyring import KekFolder, Keyring, PostgresKeyring, SqliteKeyring


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def keyring(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Keyring]:
    keks = KekFolder(tmp_path / "keks")
    keks.create(1)
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


def test_a_destroyed_key_is_gone_and_a_new_one_is_another(keyring):
    old = keyring.create("o")
    keyring.destroy("o")
    keyring.destroy("o")
    with pytest.raises(KeyGone):
        keyring.key("o")
    assert keyring.create("o") != old


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
