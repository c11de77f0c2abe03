"""The rebuild finds every edit of the stored log."""

import contextlib
import sqlite3

import pytest

from gateway.audit import note
from gateway.audit.errors import LogDamaged
from gateway.audit.rebuild import audit_rebuild
from gateway.audit.service import record

EDITS = {
    "body": "UPDATE audit_leaf SET body = CAST(replace(CAST(body AS TEXT), 'share.submit', 'share.revoke') AS BLOB) "
    "WHERE seq = 300",
    "body and hash": "UPDATE audit_leaf SET body = (SELECT body FROM audit_leaf WHERE seq = 4) WHERE seq = 5",
    "id": "UPDATE audit_leaf SET id = 'ffffffffffffffffffffffffffffffff' WHERE seq = 10",
    "event": "UPDATE audit_leaf SET event = 'share.revoke' WHERE seq = 10",
    "object_kind": "UPDATE audit_leaf SET object_kind = 'item' WHERE seq = 10",
    "object_id": "UPDATE audit_leaf SET object_id = 's2' WHERE seq = 10",
    "share": "UPDATE audit_leaf SET share = NULL WHERE seq = 10",
    "actor": "UPDATE audit_leaf SET actor = 'staff:other' WHERE seq = 10",
    "actor taken away": "UPDATE audit_leaf SET actor = NULL WHERE seq = 10",
    "at": "UPDATE audit_leaf SET at = '2026-11-23 09:00:00.000000' WHERE seq = 10",
    "leaf_hash": "UPDATE audit_leaf SET leaf_hash = zeroblob(32) WHERE seq = 10",
    "leaf_hash gone": "UPDATE audit_leaf SET leaf_hash = NULL WHERE seq = 10",
    "seq gone": "UPDATE audit_leaf SET seq = NULL WHERE seq = 10",
    "seq of the last gone": "UPDATE audit_leaf SET seq = NULL, leaf_hash = NULL WHERE seq = 599",
    "seq moved": "UPDATE audit_leaf SET seq = 700 WHERE seq = 599",
    "numbers swapped": "UPDATE audit_leaf SET seq = 700 WHERE seq = 3; UPDATE audit_leaf SET seq = 3 WHERE seq = 4; "
    "UPDATE audit_leaf SET seq = 4 WHERE seq = 700",
    "deleted": "DELETE FROM audit_leaf WHERE seq = 10",
    "truncated": "DELETE FROM audit_leaf WHERE seq > 10",
    "waiting entry": "UPDATE audit_leaf SET event = 'x' WHERE seq IS NULL",
    "value": "UPDATE audit_personal SET value = 'x' WHERE field = 'actor.name'",
    "salt": "UPDATE audit_personal SET salt = zeroblob(32) WHERE field = 'reason'",
    "field": "UPDATE audit_personal SET field = 'other' WHERE field = 'reason'",
    "subject's entry": "UPDATE audit_personal SET value = 'staff:x' WHERE field = 'actor.label'",
    "checkpoint root": "UPDATE audit_checkpoint SET root = zeroblob(32) WHERE size = 300",
    "checkpoint size": "UPDATE audit_checkpoint SET size = 301 WHERE size = 300",
    "checkpoint note": "UPDATE audit_checkpoint SET note = 'x' WHERE size = 300",
    "checkpoint signature": "UPDATE audit_checkpoint SET note = replace(note, '— files.example/log ', '— files.example/log A') "
    "WHERE size = 300",
    "last checkpoint gone": "DELETE FROM audit_checkpoint WHERE size = 600",
    "tile inside": 'UPDATE audit_tile SET hashes = zeroblob(8192) WHERE level = 0 AND "index" = 1',
    "tile at the edge": 'UPDATE audit_tile SET hashes = substr(hashes, 1, 64) WHERE level = 0 AND "index" = 2',
    "tile above": "UPDATE audit_tile SET hashes = zeroblob(64) WHERE level = 1",
    "tile gone": "DELETE FROM audit_tile WHERE level = 1",
    "tile too many": "INSERT INTO audit_tile VALUES (0, 9, zeroblob(32))",
    "level too many": "INSERT INTO audit_tile VALUES (2, 0, zeroblob(32))",
}


@pytest.fixture
def filled(database, log, actor, now):
    for batch in (300, 300):
        with database.write() as session:
            for _ in range(batch):
                record(
                    session,
                    "share.submit",
                    actor=actor,
                    obj=("share", "s1"),
                    now=now,
                    reason="因项目需要对外提供",
                )
        log.sequence(now=now)
    with database.write() as session:
        record(session, "share.submit", actor=actor, obj=("share", "s1"), now=now)
    return database


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_an_edit_is_found(filled, log, edit):
    key = note.parse_key(log.vkey)
    with filled.read() as session:
        assert audit_rebuild(session, [key]) == log.latest().root
    # A connection of its own, as an intruder has: without the product's foreign keys.
    with contextlib.closing(sqlite3.connect(filled.engine.url.database, isolation_level=None)) as connection:
        for statement in edit.split("; "):
            assert connection.execute(statement).rowcount
    with filled.read() as session, pytest.raises(LogDamaged):
        audit_rebuild(session, [key])


def test_an_empty_log_has_the_empty_root(database, log, now):
    log.heartbeat(now=now)
    with database.read() as session:
        assert audit_rebuild(session) == log.latest().root


def test_the_wrong_key_is_found(filled, tmp_path):
    from gateway.audit.signer import Signer

    with filled.read() as session, pytest.raises(LogDamaged, match="not signed by the given key"):
        audit_rebuild(session, [Signer.generate(tmp_path / "k", "files.example/log").key])
