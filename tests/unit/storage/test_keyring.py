"""What is special to the keyring in a file: its rights, its traces, its threads."""

import sqlite3
import threading

import pytest

from storage.errors import Corrupt, KeyExposed, KeyGone, Unavailable
from storage.keyring import KekFolder, SqliteKeyring


def test_its_files_are_private(tmp_path, keyring):
    keyring.create("o")
    files = list((tmp_path / "ring").iterdir())
    assert {path.name for path in files} >= {"keyring.db", "keyring.db-wal"}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (tmp_path / "ring").stat().st_mode & 0o777 == 0o700


def test_an_exposed_file_is_refused(tmp_path, keks):
    path = tmp_path / "keyring.db"
    SqliteKeyring(path, keks).close()
    path.chmod(0o640)
    with pytest.raises(KeyExposed):
        SqliteKeyring(path, keks)


def test_a_destroyed_wrap_leaves_no_trace_in_its_files(tmp_path, keyring):
    keyring.create("kept")
    keyring.create("shredded")
    with sqlite3.connect(tmp_path / "ring" / "keyring.db") as database:
        query = "SELECT wrapped FROM wraps WHERE object_id = 'shredded'"
        wrapped = database.execute(query).fetchone()[0]
    database.close()
    keyring.destroy("shredded")
    traces = b"".join(path.read_bytes() for path in (tmp_path / "ring").iterdir())
    assert wrapped not in traces
    assert b"shredded" not in traces
    assert b"kept" in traces


def test_neither_keys_nor_keks_are_in_its_files(tmp_path, keyring):
    key = keyring.create("o")
    kek = (tmp_path / "keks" / "kek-000001").read_bytes()
    traces = b"".join(path.read_bytes() for path in (tmp_path / "ring").iterdir())
    assert key not in traces
    assert kek not in traces


def test_wraps_moved_between_names_do_not_open(tmp_path, keyring):
    keyring.create("a")
    keyring.create("b")
    with sqlite3.connect(tmp_path / "ring" / "keyring.db") as database:
        database.execute(
            "UPDATE wraps SET wrapped = (SELECT wrapped FROM wraps WHERE object_id = 'b') WHERE object_id = 'a'"
        )
    database.close()
    with pytest.raises(Corrupt):
        keyring.key("a")


def test_it_remembers_the_epoch(tmp_path, keks, keyring):
    keyring.create("old")
    keks.create(2)
    keyring.create("new")
    with sqlite3.connect(tmp_path / "ring" / "keyring.db") as database:
        rows = database.execute("SELECT object_id, epoch FROM wraps ORDER BY epoch").fetchall()
    database.close()
    assert rows == [("old", 1), ("new", 2)]


def test_keys_survive_a_restart(tmp_path, keks):
    first = SqliteKeyring(tmp_path / "k.db", keks)
    key = first.create("o")
    first.close()
    second = SqliteKeyring(tmp_path / "k.db", keks)
    assert second.key("o") == key
    second.close()


def test_without_its_kek_no_key_opens(tmp_path, keyring):
    keyring.create("o")
    assert keyring.ready()
    (tmp_path / "keks" / "kek-000001").unlink()
    assert not keyring.ready()
    with pytest.raises(KeyGone):
        keyring.key("o")


def test_a_locked_file_is_unavailable_and_a_retry_succeeds(tmp_path, keks):
    ring = SqliteKeyring(tmp_path / "k.db", keks)
    ring._connections.get().execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(tmp_path / "k.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Unavailable):
        ring.create("o")
    other.execute("ROLLBACK")
    other.close()
    ring.create("o")
    ring.close()


def test_a_file_that_is_no_keyring_is_corrupt(tmp_path, keks):
    path = tmp_path / "k.db"
    path.write_bytes(b"something else altogether " * 300)
    path.chmod(0o600)
    with pytest.raises(Corrupt):
        SqliteKeyring(path, keks)


def test_connections_of_ended_threads_are_closed(keyring):
    for _ in range(5):
        thread = threading.Thread(target=keyring.ready)
        thread.start()
        thread.join()
    assert len(keyring._connections._held) <= 2


def test_the_kek_folder_stands_beside_the_keyring_in_one_import():
    assert KekFolder.__module__ == "storage.kek"


def test_many_destroyed_wraps_leave_no_trace(tmp_path, keyring):
    for number in range(300):
        keyring.create(f"object-{number:03d}")
    with sqlite3.connect(tmp_path / "ring" / "keyring.db") as database:
        rows = database.execute("SELECT object_id, wrapped FROM wraps").fetchall()
    database.close()
    gone = [row for row in rows if int(row[0][-3:]) % 3]
    for name, _ in gone:
        keyring.destroy(name)
    traces = b"".join(path.read_bytes() for path in (tmp_path / "ring").iterdir())
    assert [name for name, wrapped in gone if wrapped in traces or name.encode() in traces] == []
    assert all(wrapped in traces for name, wrapped in rows if int(name[-3:]) % 3 == 0)
