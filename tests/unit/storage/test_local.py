"""What is special to the folder store: rights, crashes, broken disks."""

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage import local
from storage.errors import Conflict, NotFound, StorageError, Unavailable
from storage.local import LocalStore

MIB = 1 << 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "objects"


@pytest.fixture
def store(root: Path) -> LocalStore:
    return LocalStore(root)


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_files_and_folders_are_private(root, store):
    old = os.umask(0)
    try:
        store.put("a/b/c", [b"x"])
        store.put_part("u", store.begin("u"), 1, b"x")
    finally:
        os.umask(old)
    for path in (root, *root.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_nothing_is_left_beside_the_objects(root, store):
    def chunks():
        yield b"x"
        raise RuntimeError("the source failed")

    store.put("a", [b"x"])
    with pytest.raises(Conflict):
        store.put("a", [b"y"])
    with pytest.raises(RuntimeError):
        store.put("b", chunks())
    upload = store.begin("c")
    part = store.put_part("c", upload, 1, b"x")
    store.complete("c", upload, [part])
    store.abort("d", store.begin("d"))
    assert files(root) == ["a", "c"]


def test_what_a_crash_left_is_never_an_object(root, store):
    store.put("a/k", [b"x"])
    (root / "a" / ".new-0123").write_bytes(b"half written")
    assert [stat.key for stat in store.list()] == ["a/k"]
    assert [stat.key for stat in store.list("a/")] == ["a/k"]


def test_the_object_is_synced_before_it_has_its_name_and_its_folder_after(root, store, monkeypatch):
    story, fsync, link = [], os.fsync, os.link

    def spy_fsync(handle: int) -> None:
        target = Path(f"/proc/self/fd/{handle}").readlink()
        story.append("sync folder" if target.is_dir() else "sync file")
        fsync(handle)

    def spy_link(source, target) -> None:
        story.append("link")
        link(source, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "link", spy_link)
    store.put("k", [b"x"])
    assert story == ["sync file", "link", "sync folder"]
    story.clear()
    store.delete("k")
    assert story == ["sync folder"]
    store.put("new/k", [b"x"])
    assert story == ["sync folder", "sync folder", "sync file", "link", "sync folder"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_a_failing_disk_is_unavailable_and_recovers(root, store, monkeypatch, number):
    def broken(handle: int) -> None:
        raise OSError(number, os.strerror(number), str(root))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", broken)
        with pytest.raises(Unavailable) as caught:
            store.put("k", [b"x"])
    assert str(root) not in str(caught.value)
    assert files(root) == []
    store.put("k", [b"x"])
    assert files(root) == ["k"]


def test_a_completed_upload_that_crashed_before_it_was_forgotten_is_done(root, store, monkeypatch):
    upload = store.begin("k")
    parts = [store.put_part("k", upload, number, b"%d" % number * 100) for number in (1, 2)]

    def crash(folder: Path) -> None:
        raise RuntimeError("power failed")

    with monkeypatch.context() as patched:
        patched.setattr(local, "_remove", crash)
        with pytest.raises(RuntimeError):
            store.complete("k", upload, parts)
    assert store.complete("k", upload, parts).size == 200
    assert files(root) == ["k"]


def test_a_part_changed_on_disk_is_refused(root, store):
    upload = store.begin("k")
    part = store.put_part("k", upload, 1, b"good")
    (root / ".uploads" / upload / "00001").write_bytes(b"evil")
    with pytest.raises(Conflict):
        store.complete("k", upload, [part])
    with pytest.raises(NotFound):
        store.stat("k")


@pytest.mark.parametrize("upload", ["", ".", "..", "../..", "x" * 32, "0" * 31, "/etc", "0" * 32])
def test_upload_ids_are_server_made(store, upload):
    with pytest.raises(NotFound):
        store.put_part("k", upload, 1, b"x")
    with pytest.raises(NotFound):
        store.complete("k", upload, [local.Part(1, "e", 1)])
    store.abort("k", upload)


def test_an_object_cannot_be_a_folder(store):
    store.put("a", [b"x"])
    store.put("b/c", [b"x"])
    for key in ("a/b", "a/b/c", "b"):
        with pytest.raises(Conflict):
            store.put(key, [b"y"])
    store.delete("b")
    assert [stat.key for stat in store.list()] == ["a", "b/c"]


def test_a_file_that_shrinks_under_its_reader_is_noticed(root, store):
    store.put("k", [bytes(3 * MIB)])
    reading = store.open("k")
    next(reading)
    os.truncate(root / "k", MIB)
    with pytest.raises(StorageError):
        list(reading)


def test_a_reader_keeps_what_it_opened_when_the_object_is_deleted(store):
    store.put("k", [bytes(2 * MIB)])
    reading = store.open("k")
    store.delete("k")
    assert sum(len(piece) for piece in reading) == 2 * MIB


def test_two_stores_on_one_folder_see_the_same(root, store):
    store.put("k", [b"x"])
    again = LocalStore(root)
    assert b"".join(again.open("k")) == b"x"
    with pytest.raises(Conflict):
        again.put("k", [b"y"])


def aged(path: Path, hours: float) -> Path:
    """The file with another age."""
    at = (datetime.now(UTC) - timedelta(hours=hours)).timestamp()
    os.utime(path, (at, at))
    return path


def test_leftovers_of_crashes_are_swept_and_nothing_that_is_young_or_whole(root, store):
    store.put("a/whole", [b"x"])
    aged(root / "a" / "whole", 99)
    for place, hours in (("a/.new-old", 25), ("a/.new-young", 23), (".new-top", 25)):
        (root / place).write_bytes(b"half")
        aged(root / place, hours)
    assert store.sweep(datetime.now(UTC) - timedelta(hours=24)) == 2
    assert files(root) == ["a/.new-young", "a/whole"]


def test_an_upload_is_as_young_as_its_newest_part(root, store):
    going, over = store.begin("k"), store.begin("k")
    for upload in (going, over):
        store.put_part("k", upload, 1, b"x")
        folder = root / ".uploads" / upload
        for path in (*folder.iterdir(), folder):
            aged(path, 25)
    aged(root / ".uploads" / going / "00001", 1)
    assert store.sweep(datetime.now(UTC) - timedelta(hours=24)) == 1
    assert [found.upload for found in store.uploads("k")] == [going]


def test_an_upload_half_removed_is_swept_too(root, store):
    upload = store.begin("k")
    (root / ".uploads" / upload / "key").unlink()
    assert store.sweep(datetime.now(UTC) + timedelta(hours=1)) == 1
    assert list((root / ".uploads").iterdir()) == []
