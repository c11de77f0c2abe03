"""Entries inside the caller's transaction; strangers by the minute; a person erased."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from gateway.audit import leaf
from gateway.audit.errors import MalformedEntry
from gateway.audit.models import Leaf, Personal, StrangerCount
from gateway.audit.rebuild import audit_rebuild
from gateway.audit.service import Log, count_stranger, erase, flush_strangers, record, record_refusal
from gateway.db import Database
from gateway.principal import SYSTEM, Actor


def count(database: Database, model: type) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(model))


def body(database: Database, leaf_id: str) -> bytes:
    with database.read() as session:
        return session.get(Leaf, leaf_id).body


def test_an_entry_says_what_happened(database, write, now):
    leaf_id = write(
        "share.submit", source="DRAFT", target="SUBMITTED", reason="因项目需要对外提供", items=["a", "b"], n=3
    )
    entry = leaf.parse(body(database, leaf_id))
    assert (entry.id, entry.at, entry.event, entry.object) == (leaf_id, now, "share.submit", ("share", "s1"))
    assert (entry.source, entry.target, entry.actor) == ("DRAFT", "SUBMITTED", "staff")
    assert entry.data == {"items": ["a", "b"], "n": 3}
    assert set(entry.personal) == {"actor.label", "actor.name", "actor.ip", "actor.agent", "reason"}


def test_nothing_personal_stands_in_the_entry(database, write):
    personal = {"mail": "contact@partner.example", "签名": "设计部业务人员"}
    leaf_id = write(reason="因项目需要对外提供", acting_for="staff:hod1", personal=personal)
    written = body(database, leaf_id).decode()
    for value in ("arc1", "档案管理员", "192.0.2.7", "Browser/1.0", "因项目需要", "hod1", *personal.values()):
        assert value not in written
    with database.read() as session:
        stored = session.scalars(select(Personal).where(Personal.leaf_id == leaf_id)).all()
        rows = {p.field: (p.salt, p.value, p.subject) for p in stored}
    entry = leaf.parse(body(database, leaf_id))
    assert {n: leaf.commitment(salt, n, value) for n, (salt, value, _) in rows.items()} == entry.personal
    assert rows["personal.mail"][1:] == (personal["mail"], "staff:arc1")
    assert rows["acting_for"][1:] == ("staff:hod1", "staff:hod1")
    salts = {salt for salt, _, _ in rows.values()}
    assert len(salts) == len(rows) and all(len(salt) >= 16 for salt in salts)


def test_a_rolled_back_verb_leaves_nothing(database, actor, now):
    def verb() -> None:
        with database.write() as session:
            record(session, "share.submit", actor=actor, obj=("share", "s1"), now=now)
            raise KeyError

    with pytest.raises(KeyError):
        verb()
    assert count(database, Leaf) == count(database, Personal) == 0


def test_data_that_cannot_be_written_is_refused(write, database):
    for bad in ({"x": 1.5}, {"x": object()}, {"x": "y" * 70_000}):
        with pytest.raises(MalformedEntry):
            write(**bad)
    assert count(database, Leaf) == 0


def test_hostile_text_is_recorded(database, write):
    leaf_id = write(obj=("share", "x" * 5000 + "\0\ud800"), reason="a\0b\udfff", name="=cmd()\r\n\x1b[2J")
    entry = leaf.parse(body(database, leaf_id))
    assert entry.object[1] == "x" * 5000 + "\ufffd?"
    with database.read() as session:
        row = session.get(Leaf, leaf_id)
        assert row.object_id == "x" * 200
        assert session.get(Personal, (leaf_id, "reason")).value == "a\ufffdb?"


def test_a_long_user_agent_is_cut(database, write, actor):
    leaf_id = write(actor=Actor(kind="contact", id="c1", agent="A" * 9000))
    with database.read() as session:
        assert session.get(Personal, (leaf_id, "actor.agent")).value == "A" * 512


def test_a_refusal_is_recorded_with_its_code(database, actor, now):
    leaf_id = record_refusal(
        database,
        "WITHHELD",
        actor=actor,
        obj=("share", "s1"),
        now=now,
        verb="share.submit",
        conditions=["NDA"],
    )
    entry = leaf.parse(body(database, leaf_id))
    assert entry.event == "refused"
    assert entry.data == {"code": "WITHHELD", "verb": "share.submit", "conditions": ["NDA"]}


def test_strangers_are_counted_and_written_once_a_minute(database, now):
    stranger = Actor(kind="stranger", id="")
    for _ in range(50):
        assert record_refusal(database, "NOT_FOUND", actor=stranger, obj=("share", "?"), now=now) == ""
    count_stranger(database, "TOO_MANY", now=now + timedelta(seconds=59))
    assert count(database, Leaf) == 0
    assert flush_strangers(database, now=now + timedelta(seconds=59)) == []
    leaves = flush_strangers(database, now=now + timedelta(seconds=60))
    said = [leaf.parse(body(database, one)) for one in leaves]
    assert [(e.event, e.data["code"], e.data["count"]) for e in said] == [
        ("refused.strangers", "NOT_FOUND", 50),
        ("refused.strangers", "TOO_MANY", 1),
    ]
    assert {e.data["minute"] for e in said} == {"2026-11-23T08:00:00+00:00"}
    assert flush_strangers(database, now=now + timedelta(minutes=5)) == []


def test_a_late_count_is_written_too_and_old_counts_go(database, now):
    count_stranger(database, "NOT_FOUND", now=now)
    flush_strangers(database, now=now + timedelta(minutes=1))
    count_stranger(database, "NOT_FOUND", now=now)
    (late,) = flush_strangers(database, now=now + timedelta(minutes=2))
    assert leaf.parse(body(database, late)).data["count"] == 1
    assert count(database, StrangerCount) == 1
    flush_strangers(database, now=now + timedelta(days=2))
    assert count(database, StrangerCount) == 0


def test_an_erased_person_is_gone_and_the_log_still_verifies(database, write, log: Log, now: datetime):
    contact = Actor(kind="contact", id="c1", name="合作单位联系人", ip="198.51.100.9")
    theirs = [write(actor=contact, reason="我方需要该文件用于报价") for _ in range(3)]
    about = write(personal={"name": "合作单位联系人"}, subject="contact:c1")
    write()
    log.sequence(now=now)
    with database.read() as session:
        before = audit_rebuild(session)
    receipt = log.receipt(theirs[0])
    with database.write() as session:
        assert erase(session, "contact:c1") == 3 * 4 + 1
    with database.read() as session:
        assert audit_rebuild(session) == before
        assert session.get(Leaf, theirs[0]).actor is None
        left = session.scalars(select(Personal)).all()
        assert not [p for p in left if p.leaf_id in theirs or "联系人" in p.value]
        assert {p.field for p in left if p.leaf_id == about} == {
            "actor.label",
            "actor.name",
            "actor.ip",
            "actor.agent",
        }
    assert log.receipt(theirs[0]) == receipt


def test_the_system_commits_to_no_empty_field(database, write):
    entry = leaf.parse(body(database, write(actor=SYSTEM)))
    assert set(entry.personal) == {"actor.label", "actor.name"}
