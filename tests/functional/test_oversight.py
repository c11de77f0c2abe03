"""The log over HTTP: who may read what of it, what it shows and proves, and that reading it leaves an entry."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from sqlalchemy import select, text

from gateway.audit import verify
from gateway.audit.leaf import parse
from gateway.audit.models import Personal
from tests.factories import World


def sequenced(world: World) -> None:
    """Numbers what waits, so that a checkpoint covers it."""
    world.deps.log.sequence(now=world.now())


def text_of(world: World, path: str, name: str = "aud", status: int = 200, language: str = "zh-CN") -> str:
    """A page as somebody sees it."""
    answer = world.browser(name, language=language).get(path)
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_data(as_text=True)


def test_the_log_shows_events_in_words_with_names_and_proofs(world: World) -> None:
    world.case()
    sequenced(world)
    shown = text_of(world, "/log")
    assert "案卷：新建案卷" in shown
    assert "已验证" in shown
    assert "待检查点" in shown
    assert "日志：查询" in shown
    leaf = world.leaves("case.create")[-1]
    assert leaf.leaf_hash is not None
    assert leaf.leaf_hash.hex() in shown
    assert world.deps.log.vkey.replace("+", "&#43;") in shown or world.deps.log.vkey in shown
    assert "一致" in shown


def test_reading_the_log_leaves_an_entry_before_anything_is_shown(world: World) -> None:
    before = len(world.leaves("log.read"))
    shown = text_of(world, "/log")
    entries = world.leaves("log.read")
    assert len(entries) == before + 1
    assert entries[-1].id in shown
    text_of(world, "/log?person=设计部业务人员&client=示例客户甲")
    # What was searched for may be a name: it stands in the entry as a commitment of that person only, or as an id.
    body = world.leaves("log.read")[-1].body
    assert "业务人员".encode() not in body
    assert "示例".encode() not in body
    assert "personal.person" in parse(body).personal
    assert parse(body).data["wanted_client"] == world.company.clients["示例客户甲"]
    with world.deps.database.read() as session:
        found = select(Personal.subject).where(
            Personal.leaf_id == world.leaves("log.read")[-1].id, Personal.field == "personal.person"
        )
        assert session.scalar(found) == f"staff:{world.id('biz.sj')}"


def test_a_name_that_nobody_has_is_not_kept(world: World) -> None:
    text_of(world, "/log?person=某个没有的人&partner=没有&value=203.0.113.250")
    leaf = world.leaves("log.read")[-1]
    assert parse(leaf.body).data["unknown"] == ["person", "partner", "value"]
    with world.deps.database.read() as session:
        kept = list(session.scalars(select(Personal.value).where(Personal.leaf_id == leaf.id)))
    assert not [value for value in kept if "没有" in value or value == "203.0.113.250"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/log", {"aud"}),
        ("/log/export.jsonl", {"aud"}),
        ("/log/export.csv", {"aud"}),
        ("/log/checkpoint", {"aud"}),
        ("/log/key", {"aud"}),
        ("/log/counts", {"aud", "dgm"}),
        ("/log/health", {"aud", "sys"}),
        ("/parameters", {"adm", "gm"}),
        ("/messages", {"aud", "dgm", "sys", "adm", "gm", "biz.sj", "hod.sj", "arc1"}),
    ],
)
def test_only_those_named_by_the_policy_open_a_page(world: World, path: str, allowed: set[str]) -> None:
    sequenced(world)
    for name in ("aud", "dgm", "sys", "adm", "gm", "biz.sj", "hod.sj", "arc1"):
        status = world.browser(name).get(path).status_code
        assert status == (200 if name in allowed else 403), name
    assert world.browser("s1").get(path).status_code == 404
    assert world.browser(None).get(path).status_code in (302, 404)


def test_filters_narrow_what_is_shown(world: World) -> None:
    world.case()
    world.browser("biz.sj").get("/log")
    events = text_of(world, "/log?event=case.create")
    assert "案卷：新建案卷" in events.partition("<tbody>")[2]
    assert "日志：查询" not in events.partition("<tbody>")[2]
    refused = text_of(world, "/log?refusals=1").partition("<tbody>")[2]
    assert "已拒绝" in refused
    assert "案卷：新建案卷" not in refused
    person = text_of(world, "/log?person=biz.sj%40demo.invalid").partition("<tbody>")[2]
    assert "案卷：新建案卷" in person
    assert "日志：查询" not in person
    assert "没有符合筛选的记录" in text_of(world, "/log?to=2001-01-01")
    assert "没有符合筛选的记录" in text_of(world, "/log?from=2999-01-01")


def test_the_days_of_a_filter_are_days_of_the_reader(world: World) -> None:
    world.case()
    at = world.leaves("case.create")[-1].at.astimezone()
    from zoneinfo import ZoneInfo

    day = at.astimezone(ZoneInfo("Asia/Shanghai")).date().isoformat()
    both = text_of(world, f"/log?from={day}&to={day}&event=case.create")
    assert "案卷：新建案卷" in both.partition("<tbody>")[2]


@pytest.mark.parametrize(
    "query",
    ["from=gestern", "to=2026-13-01", "object=abc", "value=" + "x" * 300, "value=示例*", "event=%25"],
)
def test_a_filter_that_is_not_understood_shows_nothing_and_exports_nothing(world: World, query: str) -> None:
    shown = text_of(world, "/log?" + query, status=422)
    assert "<tbody>" not in shown
    assert world.browser("aud").get("/log/export.jsonl?" + query).status_code == 422
    assert not world.leaves("log.exported")


def test_an_object_is_found_by_its_ledger_number(world: World) -> None:
    items = world.filed_items(1)
    share = world.draft_share(items)
    number = world.share(share).number
    shown = text_of(world, f"/log?kind=share&object={number}").partition("<tbody>")[2]
    assert "共享：新建共享" in shown
    assert number in shown
    assert "案卷：新建案卷" not in shown


def test_pages_follow_one_another_without_gap(world: World) -> None:
    from gateway.oversight import queries
    from gateway.oversight.filters import Wanted

    world.case()
    seen: list[str] = []
    before = None
    while True:
        found = queries.log_page(world.deps, Wanted(), before)
        seen += [line.entry.id for line in found.lines]
        before = found.before
        if before is None:
            break
    assert len(seen) > queries.PAGE
    assert seen == [leaf.id for leaf in reversed(world.leaves())]
    assert "更早的记录" in text_of(world, "/log")
    assert "<tbody>" in text_of(world, f"/log?before={world.leaves()[3].arrival}")
    assert "<tbody>" in text_of(world, "/log?before=drei")


def test_the_whole_export_is_accepted_by_the_offline_verifier(world: World, tmp_path: Path) -> None:
    sequenced(world)
    browser = world.browser("aud")
    export = tmp_path / "log.jsonl"
    answer = browser.get("/log/export.jsonl")
    export.write_bytes(answer.data)
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="sealgate-log-')
    key = tmp_path / "key"
    key.write_bytes(browser.get("/log/key").data)
    report = verify.verify_file(export, verify.read_keys(str(key)))
    assert report.lines()
    lines = [json.loads(line) for line in answer.data.splitlines()]
    assert lines[0]["complete"] is True
    # The export's own entry stands in it, still without a number.
    assert lines[-1]["entry"]["event"] == "log.exported"
    assert lines[-1]["seq"] is None


def test_an_export_obeys_the_filters_and_proves_each_entry(world: World, tmp_path: Path) -> None:
    world.case()
    sequenced(world)
    answer = world.browser("aud").get("/log/export.jsonl?event=case.create")
    export = tmp_path / "log.jsonl"
    export.write_bytes(answer.data)
    assert verify.verify_file(export, verify.read_keys(world.deps.log.vkey)).lines()
    lines = [json.loads(line) for line in answer.data.splitlines()]
    assert lines[0]["complete"] is False
    assert {line["entry"]["event"] for line in lines[1:]} == {"case.create"}
    entry = parse(world.leaves("log.exported")[-1].body)
    assert entry.data["wanted_event"] == "case.create"
    assert entry.object == ("log", "jsonl")


def test_cells_of_the_table_are_no_formulas(world: World) -> None:
    from gateway.audit.service import record

    with world.deps.database.write() as session:
        record(
            session,
            "test.event",
            actor=world.actor("biz.sj"),
            obj=("x", "=1+1"),
            now=world.now(),
            reason="=HYPERLINK(1)",
        )
    answer = world.browser("aud").get("/log/export.csv?event=test.event")
    assert answer.mimetype == "text/csv"
    rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert rows[0]["object_id"] == "'=1+1"
    assert rows[0]["reason"] == "'=HYPERLINK(1)"
    assert world.browser("aud").get("/log/export.exe").status_code == 404


def test_checkpoint_and_receipt_are_what_the_verifier_takes(world: World, tmp_path: Path) -> None:
    sequenced(world)
    aud = world.browser("aud")
    answer = aud.get("/log/checkpoint")
    assert answer.mimetype == "text/plain"
    last = world.deps.log.latest()
    assert last is not None
    assert answer.get_data(as_text=True) == last.note
    leaf = world.leaves()[0]
    receipt = tmp_path / "receipt"
    receipt.write_bytes(aud.get(f"/log/receipt/{leaf.id}").data)
    assert verify.verify_file(receipt, verify.read_keys(world.deps.log.vkey)).lines()
    assert aud.get("/log/receipt/" + "0" * 32).status_code == 404
    assert world.browser("adm").get(f"/log/receipt/{leaf.id}").status_code == 403
    waiting = world.leaves()[-1]
    assert waiting.seq is None
    # Past the test browser, which lets the sequencer have its turn before each request.
    assert aud.client.get(f"/log/receipt/{waiting.id}").status_code == 503


def test_administration_reads_one_object_of_its_casework_without_addresses(world: World) -> None:
    items = world.filed_items(1)
    share = world.draft_share(items)
    shown = text_of(world, f"/log/of/share/{share}", "adm")
    assert "共享：新建共享" in shown
    assert "actor.ip" not in shown
    assert "/log?person=" not in shown
    case = world.leaves("case.create")[-1].object_id
    assert "案卷：新建案卷" in text_of(world, f"/log/of/case/{case}", "aud")
    text_of(world, f"/log/of/case/{case}", "adm", 404)
    text_of(world, "/log/of/share/" + "0" * 32, "adm", 404)
    text_of(world, f"/log/of/share/{share}", "gm", 403)


def test_the_deputy_sees_numbers_and_the_administrator_health_and_neither_any_content(world: World) -> None:
    world.case()
    counted = text_of(world, "/log/counts", "dgm")
    assert "案卷：新建案卷" in counted
    health = text_of(world, "/log/health", "sys")
    assert "记录总数" in health
    secret = [
        world.actor("biz.sj").id,
        world.leaves("case.create")[-1].object_id,
        world.leaves("case.create")[-1].id,
    ]
    assert not [s for s in secret if s in counted or s in health]
    assert "案卷" not in health.partition('id="main"')[2]


def test_an_altered_entry_is_shown_as_altered(world: World) -> None:
    world.case()
    sequenced(world)
    leaf = world.leaves("case.create")[-1]
    altered = leaf.body.replace(b'"CATALOGUING"', b'"REVIEW"')
    assert altered != leaf.body
    with world.deps.database.write() as session:
        session.execute(text("UPDATE audit_leaf SET body = :b WHERE id = :i"), {"b": altered, "i": leaf.id})
    row = text_of(world, "/log").partition(f'id="e{leaf.id}"')[2].partition("</tr>")[0]
    assert "校验不符" in row
    assert "已验证" not in row


def test_an_altered_tree_is_shown_as_inconsistent(world: World) -> None:
    sequenced(world)
    browser = world.browser("aud")
    assert "不一致" not in browser.get("/log").get_data(as_text=True)
    with world.deps.database.write() as session:
        session.execute(text("UPDATE audit_checkpoint SET root = :r"), {"r": b"\1" * 32})
    # Past the test browser: the sequencer, whose turn would come first, rightly refuses to go on.
    shown = browser.client.get("/log").get_data(as_text=True)
    assert "不一致" in shown
    assert "已验证" not in shown


def test_the_pages_speak_english(world: World) -> None:
    with world.deps.database.write() as session:
        from gateway.identity.models import Account

        session.get_one(Account, world.id("aud")).language = "en"
    world.case()
    sequenced(world)
    shown = text_of(world, "/log")
    assert "Case: new case" in shown
    assert "Verified" in shown
    assert "How to verify offline" in shown
