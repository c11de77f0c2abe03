"""What is taken from the log: every form with its proof, verified by the offline program, and nothing of erased people in it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pikepdf
import pypdfium2
import pytest
from sqlalchemy import select, text

from gateway.audit.leaf import parse
from gateway.audit.service import erase, record
from gateway.oversight import evidence
from gateway.sharing import service as sharing
from gateway.sharing.models import Copy
from tests.factories import World

PERSON = "供应商联系人一"


@pytest.fixture
def collected(world: World) -> tuple[World, str, str, str]:
    """A world in which s1 has collected a copy; with the ids of the share, the item and the copy."""
    share, items = world.active_share()
    bundle = world.ready_bundle(share, items)
    _, actor = world.session("s1")
    sharing.collect(world.deps, bundle, actor=actor, now=world.now())
    world.tick()
    with world.deps.database.read() as session:
        copy = session.scalar(select(Copy.id).where(Copy.bundle_id == bundle))
    return world, share, items[0], copy


def opened(content: bytes) -> dict[str, bytes]:
    """The files of an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def verified(folder: Path, files: dict[str, bytes], name: str) -> str:
    """What the offline program says of one of the files, under the key in the archive; fails unless it accepts."""
    for part in (name, "checkpoint.vkey"):
        (folder / part).parent.mkdir(exist_ok=True, parents=True)
        (folder / part).write_bytes(files[part])
    command = [
        sys.executable,
        "-m",
        "gateway.audit",
        "verify",
        str(folder / name),
        "--key",
        str(folder / "checkpoint.vkey"),
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def words_of(pdf: bytes) -> str:
    """The text of a PDF, without the breaks that its columns make."""
    document = pypdfium2.PdfDocument(pdf)
    read = "".join(page.get_textpage().get_text_range() for page in document)
    return "".join(read.replace("\u200b", "").split())


def found(world: World, path: str) -> bytes:
    """What the auditor is given."""
    answer = world.browser("aud").get(path)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return bytes(answer.data)


def test_everything_on_one_copy_number(collected: tuple[World, str, str, str], tmp_path: Path) -> None:
    world, _, _, copy = collected
    with world.deps.database.read() as session:
        row = session.get_one(Copy, copy)
    page = world.browser("aud").get("/log", query_string={"copy": row.number}).get_data(as_text=True)
    assert f"/log/evidence/copy/{copy}.zip" in page
    assert "领取包：" in page.partition("<tbody>")[2]
    files = opened(found(world, f"/log/evidence/copy/{copy}.zip"))
    assert {
        "README.txt",
        "report.pdf",
        "report.json",
        "log.jsonl",
        "log.csv",
        "checkpoint.txt",
        "checkpoint.vkey",
    } <= set(files)
    assert "entries are in it" in verified(tmp_path, files, "log.jsonl")
    receipts = [name for name in files if name.startswith("receipts/")]
    report = json.loads(files["report.json"])
    assert len(receipts) == len(report["entries"]) > 3
    for name in receipts:
        verified(tmp_path, files, name)
    events = {entry["event"] for entry in report["entries"]}
    assert {"bundle.collect", "copy.collect", "bundle.issue"} <= events
    values = {fact["zh"]: fact["value"] for fact in report["facts"]}
    assert values["编号"] == row.number
    assert values["加标记后的摘要 SHA-256"] == row.marked_sha256
    assert PERSON in values["领取人"]
    printed = words_of(files["report.pdf"])
    assert row.number in printed
    assert "本报告不证明" in printed
    assert report["checkpoint"].splitlines()[2] in printed
    with pikepdf.open(io.BytesIO(files["report.pdf"])) as document:
        assert document.open_metadata()["pdfaid:part"] == "2"
    exported = parse(world.leaves("log.exported")[-1].body)
    assert exported.data["about"] == ["copy", copy]


@pytest.mark.parametrize("kind", ["share", "item", "case", "organisation"])
def test_a_report_on_a_share_a_document_and_a_partner(
    collected: tuple[World, str, str, str], kind: str, tmp_path: Path
) -> None:
    world, share, item, _ = collected
    from gateway.archive.models import Item

    with world.deps.database.read() as session:
        case = session.get_one(Item, item).case_id
    subject = {
        "share": share,
        "item": item,
        "case": case,
        "organisation": world.company.organisations["supplier"],
    }[kind]
    files = opened(found(world, f"/log/evidence/{kind}/{subject}.zip"))
    verified(tmp_path, files, "log.jsonl")
    report = json.loads(files["report.json"])
    events = [entry["event"] for entry in report["entries"]]
    assert "bundle.collect" in events
    assert ("share.submit" in events) == (kind in ("share", "item", "case", "organisation"))
    assert report["does_not_prove"]
    assert report["proves"]
    readme = files["README.txt"].decode()
    assert "What this does not prove" in readme
    assert "本报告不证明" in readme
    rows = list(csv.DictReader(io.StringIO(files["log.csv"].decode("utf-8-sig"))))
    assert [row["leaf_hash"] for row in rows] == [entry["leaf_hash"] for entry in report["entries"]]


def test_only_the_auditor_takes_anything_away(collected: tuple[World, str, str, str]) -> None:
    world, share, _, _ = collected
    before = len(world.leaves("log.exported"))
    for path in (f"/log/evidence/share/{share}.zip", "/log/export.pdf", "/log/export.zip"):
        for name in ("adm", "gm", "dgm", "sys", "biz.sj", "hod.sj", "arc1"):
            assert world.browser(name).get(path).status_code == 403
        assert world.browser("s1").get(path).status_code == 404
    assert len(world.leaves("log.exported")) == before
    aud = world.browser("aud")
    for path in (
        "/log/evidence/share/" + "0" * 32,
        f"/log/evidence/session/{share}",
        f"/log/evidence/account/{share}",
    ):
        assert aud.get(path + ".zip").status_code == 404


def test_the_pdf_and_the_package_obey_the_search(
    collected: tuple[World, str, str, str], tmp_path: Path
) -> None:
    world, _, _, _ = collected
    printed = words_of(found(world, "/log/export.pdf?event=copy.collect"))
    assert "副本：" in printed
    assert "log.read" not in printed
    files = opened(found(world, "/log/export.zip?event=copy.collect"))
    report = json.loads(files["report.json"])
    assert {entry["event"] for entry in report["entries"]} == {"copy.collect"}
    verified(tmp_path, files, "log.jsonl")
    whole = opened(found(world, "/log/export.zip"))
    assert "none is missing" in verified(tmp_path, whole, "log.jsonl")


def test_too_many_for_a_pdf_is_said_and_nothing_is_cut(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MOST_PRINTED", 3)
    answer = world.browser("aud").get("/log/export.pdf")
    assert answer.status_code == 422
    assert "不能排成 PDF" in answer.get_data(as_text=True)
    report = json.loads(opened(found(world, "/log/export.zip"))["report.json"])
    assert report["complete"] is False
    assert len(report["entries"]) == 3


def test_what_is_typed_by_strangers_is_only_set_as_text(world: World) -> None:
    hostile = "#eval(read(\"/etc/passwd\")) *x* $y$ \u202e =cmd|' /C calc'!A0 \U0001f600 <b>"
    with world.deps.database.write() as session:
        record(
            session, "test.event", actor=world.actor("biz.sj"), obj=("x", "y"), now=world.now(), note=hostile
        )
    world.tick()
    printed = words_of(found(world, "/log/export.pdf?event=test.event"))
    assert '#eval(read(\\"/etc/passwd\\"))' in printed
    assert "root:" not in printed
    assert "[U+202E]" in printed


def test_an_erased_person_is_in_no_report_and_the_proofs_stand(
    collected: tuple[World, str, str, str], tmp_path: Path
) -> None:
    world, share, _, _ = collected
    label = f"contact:{world.id('s1')}"
    aud = world.browser("aud")
    shown = aud.get("/log", query_string={"person": PERSON}).get_data(as_text=True).partition("<tbody>")[2]
    assert "副本" in shown
    assert PERSON in shown
    by_name = aud.get("/log", query_string={"value": PERSON}).get_data(as_text=True)
    assert "<tbody>" in by_name
    with world.deps.database.write() as session:
        erase(session, label)
        # What identity itself does with its rows on erasure is its own; here the name must not come from it.
        session.execute(
            text("UPDATE contact SET name = '-', email = 'gone@demo.invalid' WHERE id = :i"),
            {"i": world.id("s1")},
        )
    for query in ({"person": PERSON}, {"value": PERSON}, {"person": label}):
        assert "<tbody>" not in aud.get("/log", query_string=query).get_data(as_text=True)
    files = opened(found(world, f"/log/evidence/share/{share}.zip"))
    whole = opened(found(world, "/log/export.zip"))
    for package in (files, whole):
        verified(tmp_path, package, "log.jsonl")
        for name in ("report.json", "log.jsonl", "log.csv", "README.txt"):
            assert PERSON not in package[name].decode(), name
        assert PERSON not in words_of(package["report.pdf"])
    assert "已抹除" in words_of(files["report.pdf"])
    collect = world.leaves("bundle.collect")[-1]
    page = aud.get(f"/log/entry/{collect.id}").get_data(as_text=True)
    assert "已抹除的个人信息" in page
    assert "已验证" in page
    assert PERSON not in page
