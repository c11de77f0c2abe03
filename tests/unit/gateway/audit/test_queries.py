"""Pages, filters and exports of the log."""

import csv
import io
import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from gateway.audit.queries import LogFilter, export_csv, export_jsonl, find, page, safe_cell
from gateway.audit.service import count_stranger, erase, flush_strangers, record_refusal
from gateway.principal import SYSTEM, Actor


@pytest.fixture
def shown(database):
    def ids(filters=None, **given):
        with database.read() as session:
            return [e.id for e in page(session, filters or LogFilter(**given)).entries]

    return ids


def test_pages_are_newest_first_and_without_gap(database, write):
    made = [write(n=i) for i in range(23)]
    got, cursor = [], None
    with database.read() as session:
        while True:
            part = page(session, LogFilter(), cursor, 5)
            got += [e.id for e in part.entries]
            write()  # What comes in between does not shift the following pages.
            cursor = part.before
            if cursor is None:
                break
    assert got == made[::-1]


def test_a_page_ends_exactly(database, write):
    for _ in range(4):
        write()
    with database.read() as session:
        assert page(session, LogFilter(), limit=4).before is None
        assert len(page(session, LogFilter(), limit=0).entries) == 1


def test_each_entry_tells_its_proof_state(database, write, log, now):
    first, second = write(), write()
    log.sequence(now=now)
    third = write()
    log.sequence(now=now)
    fourth = write()
    with database.read() as session:
        states = {e.id: (e.seq, e.checkpoint) for e in page(session, LogFilter()).entries}
    assert states == {first: (0, 2), second: (1, 2), third: (2, 3), fourth: (None, None)}


def test_filters(database, write, shown, now):
    contact = Actor(kind="contact", id="c1", name="合作单位联系人")
    submit = write("share.submit", obj=("share", "s1"))
    sign = write("agreement.sign", obj=("agreement", "n1"), actor=contact, now=now + timedelta(hours=1))
    collect = write("copy.collect", obj=("copy", "F0012"), share="s1", now=now + timedelta(hours=2))
    stop = write(
        "share.revoke", obj=("share", "s2"), reason="项目已经终止，停止提供", now=now + timedelta(hours=3)
    )
    refused = record_refusal(
        database, "WITHHELD", actor=contact, obj=("share", "s1"), now=now + timedelta(hours=4)
    )
    count_stranger(database, "NOT_FOUND", now=now)
    (strangers,) = flush_strangers(database, now=now + timedelta(hours=5))
    assert shown(event="share.submit") == [submit]
    assert shown(event="share.") == [stop, submit]
    assert shown(event="share%") == shown(event="share_.") == []
    assert shown(object=("share", "s1")) == [refused, submit]
    assert shown(object=("share", None)) == [refused, stop, submit]
    assert shown(share="s1") == [refused, collect, submit]
    assert shown(actor="contact:c1") == [refused, sign]
    assert shown(since=now + timedelta(hours=1), until=now + timedelta(hours=3)) == [collect, sign]
    assert shown(refusals=True) == [strangers, refused]
    assert shown(refusals=True, actor="contact:c1", event="refused") == [refused]


def test_names_are_shown_while_their_salts_exist(database, write):
    one = write(reason="因项目需要对外提供")
    with database.read() as session:
        entry = find(session, one)
        assert (
            entry.personal["actor.name"] == "档案管理员" and entry.personal["reason"] == "因项目需要对外提供"
        )
        assert entry.erased == ()
        assert find(session, "0" * 32) is None
    with database.write() as session:
        erase(session, "staff:arc1")
    with database.read() as session:
        entry = find(session, one)
        assert entry.personal == {} and "actor.name" in entry.erased


def test_a_changed_name_is_not_shown_but_told(database, write, log, now):
    one, other = write(reason="因项目需要对外提供"), write()
    log.sequence(now=now)
    with database.write() as session:
        session.execute(
            text("UPDATE audit_personal SET value = 'x' WHERE field = 'actor.name' AND leaf_id = :i"),
            {"i": one},
        )
        session.execute(text("UPDATE audit_leaf SET leaf_hash = zeroblob(32) WHERE id = :i"), {"i": other})
    with database.read() as session:
        assert (
            find(session, one).tampered == ("actor.name",) and "actor.name" not in find(session, one).personal
        )
        assert find(session, other).tampered == ("entry",) and find(session, other).erased == ()


def test_an_export_after_erasure_holds_no_name(database, write, log, now):
    write(actor=Actor(kind="contact", id="contact-77", name="合作单位联系人", ip="198.51.100.9"))
    log.sequence(now=now)
    with database.write() as session:
        erase(session, "contact:contact-77")
    with database.read() as session:
        for export in (export_jsonl, export_csv):
            table = b"".join(export(session, LogFilter())).decode()
            assert "合作单位联系人" not in table and "contact-77" not in table and "198.51" not in table


def test_the_table_is_safe_for_spreadsheets(database, write, log, now):
    write(
        "copy.collect",
        obj=("copy", "=HYPERLINK(1)"),
        source="@x",
        reason="+1234567890",
        actor=Actor(kind="staff", id="a", agent="-2+3"),
    )
    write(actor=SYSTEM)
    log.sequence(now=now)
    with database.read() as session:
        raw = b"".join(export_csv(session, LogFilter()))
    assert raw.startswith(b"\xef\xbb\xbf")
    first, second = csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline=""))
    assert first["object_id"] == "'=HYPERLINK(1)" and first["from"] == "'@x"
    assert first["reason"] == "'+1234567890" and first["agent"] == "'-2+3"
    assert (first["seq"], first["checkpoint"], second["actor"]) == ("0", "2", "system:system")


@given(st.text(max_size=20))
def test_no_cell_begins_a_formula(words: str):
    cell = safe_cell(words)
    assert not cell.lstrip().startswith(tuple("=+-@＝＋－＠")) and not cell.startswith(
        ("\t", "\r", "\n", "\0")
    )
    assert cell.removeprefix("'").removeprefix("'") == words.replace("\0", "\ufffd").removeprefix(
        "'"
    ).removeprefix("'")
    assert "\0" not in cell


def test_export_lines_are_json_with_the_entry_in_clear(database, write, log, now):
    write(reason="因项目需要对外提供")
    log.sequence(now=now)
    write()
    with database.read() as session:
        header, numbered, waiting = (json.loads(line) for line in export_jsonl(session, LogFilter()))
    assert header["complete"] is True and header["checkpoint"] == log.latest().note
    assert numbered["entry"]["event"] == "share.submit" and numbered["seq"] == 0
    assert numbered["personal"]["reason"]["value"] == "因项目需要对外提供"
    assert waiting["seq"] is None
