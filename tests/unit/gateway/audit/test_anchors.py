"""Anchors: what is copied, in which order, read back, and told when it cannot be."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from gateway.audit import anchors, layout, note, tree
from gateway.audit.anchors import Anchored
from gateway.audit.errors import LogDamaged
from gateway.audit.queries import LogFilter, page
from gateway.audit.service import CheckpointView, Log
from gateway.db import Database
from storage.errors import Unavailable
from storage.memory import MemoryStore

Write = Callable[..., str]


@pytest.fixture
def bucket() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def beat(log: Log, database: Database, now: datetime) -> Callable[..., CheckpointView]:
    """A heartbeat of the log at a minute, anchored in a bucket."""

    def one(bucket: MemoryStore, minute: int = 0) -> CheckpointView:
        made = log.heartbeat(now=now + timedelta(minutes=minute))
        assert made is not None
        anchors.anchor(database, bucket, made, now=now + timedelta(minutes=minute))
        return made

    return one


def keys(bucket: MemoryStore) -> list[str]:
    return [stat.key for stat in bucket.list("")]


def content(bucket: MemoryStore, key: str) -> bytes:
    return b"".join(bucket.open(key))


def test_entries_and_checkpoint_stand_under_the_published_names(
    write: Write, beat: Callable[..., CheckpointView], bucket: MemoryStore
) -> None:
    for _ in range(3):
        write()
    made = beat(bucket)
    assert keys(bucket) == ["checkpoint/00000000000000000003", "tile/entries/000.p/3"]
    assert content(bucket, "checkpoint/00000000000000000003").decode() == made.note
    total = tree.root_of([tree.leaf_hash(e) for e in layout.entries(content(bucket, "tile/entries/000.p/3"))])
    assert total == made.root


def test_what_is_read_back_is_the_log(
    write: Write, beat: Callable[..., CheckpointView], bucket: MemoryStore
) -> None:
    """Growth over several bundles, anchored at odd sizes, comes back whole and in any range."""
    for count in (1, 200, 55, 1, 260):
        for _ in range(count):
            write()
        made = beat(bucket)
    found = list(anchors.entries(bucket, 0, made.size))
    assert tree.root_of([tree.leaf_hash(e) for e in found]) == made.root
    for start, end in [(0, 1), (100, 300), (255, 257), (256, 256), (510, 517)]:
        assert list(anchors.entries(bucket, start, end)) == found[start:end]
    assert "tile/entries/000" in keys(bucket)
    assert "tile/entries/000.p/201" in keys(bucket)


def test_what_a_shorter_log_lacks_is_told(
    write: Write, beat: Callable[..., CheckpointView], bucket: MemoryStore
) -> None:
    assert anchors.missing(bucket, 0) is None
    for count in (4, 5):
        for _ in range(count):
            write()
        made = beat(bucket)
    assert anchors.missing(bucket, 4) == Anchored(9, made.note)
    assert anchors.missing(bucket, 9) is None
    assert anchors.latest(bucket) == Anchored(9, made.note)


def test_a_beat_is_kept_when_nothing_happened(
    write: Write, beat: Callable[..., CheckpointView], bucket: MemoryStore
) -> None:
    write()
    beat(bucket)
    beat(bucket, 1)
    made = beat(bucket, 2)
    assert [k for k in keys(bucket) if k.startswith("beat/")] == ["beat/20261123/0801", "beat/20261123/0802"]
    assert content(bucket, "beat/20261123/0802").decode() == made.note


def test_an_empty_log_is_anchored_too(beat: Callable[..., CheckpointView], bucket: MemoryStore) -> None:
    beat(bucket)
    assert anchors.latest(bucket) is not None
    assert list(anchors.entries(bucket, 0, 0)) == []


def test_the_checkpoint_comes_last(write: Write, log: Log, database: Database, now: datetime) -> None:
    """A copy cut off in the middle leaves no checkpoint without its entries, and the next one completes it."""
    write()
    made = log.heartbeat(now=now)
    assert made is not None

    def cut(operation: str, key: str) -> None:
        if operation == "put" and key.startswith("checkpoint/"):
            raise Unavailable("away")

    bucket = MemoryStore(fault=cut)
    with pytest.raises(Unavailable):
        anchors.anchor(database, bucket, made, now=now)
    assert keys(bucket) == ["tile/entries/000.p/1"]
    bucket._fault = lambda operation, key: None
    assert anchors.anchor(database, bucket, made, now=now) == 1


def test_an_entry_that_was_changed_is_not_anchored(
    write: Write, log: Log, database: Database, now: datetime, bucket: MemoryStore
) -> None:
    write()
    made = log.heartbeat(now=now)
    assert made is not None
    with database.engine.connect() as behind:
        behind.execution_options(sealgate_write=True)
        behind.execute(text("UPDATE audit_leaf SET body = CAST('{}' AS BLOB)"))
        behind.commit()
    with pytest.raises(LogDamaged):
        anchors.anchor(database, bucket, made, now=now)
    assert keys(bucket) == []


def test_an_entry_that_is_gone_is_noticed(
    write: Write, log: Log, database: Database, now: datetime, bucket: MemoryStore
) -> None:
    write()
    made = log.heartbeat(now=now)
    assert made is not None
    with pytest.raises(LogDamaged, match="gone"):
        anchors.anchor(database, bucket, replace(made, size=2), now=now)


@pytest.mark.parametrize("key", ["tile/entries/000.p/1", "checkpoint/00000000000000000001"])
def test_an_anchor_that_says_something_else_is_noticed(
    write: Write, log: Log, database: Database, now: datetime, bucket: MemoryStore, key: str
) -> None:
    bucket.put(key, iter([b"something else\n\n"]))
    write()
    made = log.heartbeat(now=now)
    assert made is not None
    with pytest.raises(LogDamaged):
        anchors.anchor(database, bucket, made, now=now)


def test_a_lack_is_not_passed_over(
    write: Write, beat: Callable[..., CheckpointView], bucket: MemoryStore
) -> None:
    for _ in range(5):
        write()
    beat(bucket)
    bucket.delete("tile/entries/000.p/5")
    with pytest.raises(LogDamaged, match="lack entries from 0"):
        list(anchors.entries(bucket, 0, 5))
    bucket.put("tile/entries/000.p/5", iter([b"\x00\x05abc"]))
    with pytest.raises(Exception, match="cut off"):
        list(anchors.entries(bucket, 0, 5))


def test_a_checkpoint_under_another_size_is_refused(
    write: Write, beat: Callable[..., CheckpointView], bucket: MemoryStore
) -> None:
    write()
    made = beat(bucket)
    bucket.put("checkpoint/00000000000000000007", iter([made.note.encode()]))
    with pytest.raises(LogDamaged, match="another size"):
        anchors.latest(bucket)


def test_two_processes_with_two_cosignatures_agree(
    write: Write, beat: Callable[..., CheckpointView], bucket: MemoryStore, database: Database, now: datetime
) -> None:
    write()
    made = beat(bucket)
    more = made.note + note.Signature("witness.example/w1", b"abcd", b"x" * 72).line()
    bucket.delete("checkpoint/00000000000000000001")
    bucket.put("checkpoint/00000000000000000001", iter([more.encode()]))
    assert anchors.anchor(database, bucket, made, now=now) == 0


def told(database: Database) -> list[str]:
    with database.read() as session:
        found = page(session, LogFilter(object=anchors.OBJECT)).entries
    return [entry.event for entry in found][::-1]


def test_a_failure_is_told_once_and_so_is_its_end(
    write: Write, log: Log, database: Database, now: datetime
) -> None:
    state = {"down": True}

    def fault(operation: str, key: str) -> None:
        if state["down"]:
            raise Unavailable("away")

    bucket = MemoryStore(fault=fault)
    write()
    for _ in range(3):
        assert not anchors.keep(database, bucket, log.heartbeat(now=now), now=now)
    log.heartbeat(now=now)
    assert told(database) == ["anchor.failed"]
    state["down"] = False
    for _ in range(3):
        assert anchors.keep(database, bucket, log.heartbeat(now=now), now=now)
    log.heartbeat(now=now)
    assert told(database) == ["anchor.failed", "anchor.restored"]
    assert anchors.keep(database, bucket, None, now=now)
