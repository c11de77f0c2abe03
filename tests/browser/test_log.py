"""The log in a browser: the auditor searches, opens an entry, takes evidence away, sees alerts; 行政部 acknowledges one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from gateway.audit.service import record_refusal
from gateway.oversight.alerts import RULE_TEXT
from gateway.oversight.watching import watch
from gateway.sharing import service as sharing
from gateway.sharing.models import Copy
from tests.browser.conftest import Shared
from tests.browser.portal import Visit, both, sizes

SHOTS = os.environ.get("LOG_SHOTS")
PERSON = "供应商联系人一"
NAMED = ("person", "partner", "client", "file", "copy", "value", "object")


@pytest.fixture
def collected(shared: Shared) -> tuple[Shared, str]:
    """A portal where a copy was collected, its recipient then refused again and again, and the rules looked; its number."""
    world = shared.portal.world
    bundle = world.ready_bundle(shared.share, shared.items[:1])
    _, actor = world.session("s1")
    sharing.collect(world.deps, bundle, actor=actor, now=world.now())
    for _ in range(10):
        record_refusal(
            world.deps.database, "WITHHELD", actor=actor, obj=("share", shared.share), now=world.now()
        )
    world.tick()
    watch(world.deps, now=world.now())
    world.tick()
    with world.deps.database.read() as session:
        number = session.scalar(select(Copy.number).where(Copy.bundle_id == bundle))
    assert number is not None
    return shared, number


def _shot(visit: Visit, name: str) -> None:
    """Keeps a picture where somebody wants to look."""
    if SHOTS:
        visit.page.screenshot(path=f"{SHOTS}/log-{name}-{visit.size}-{visit.language}.png", full_page=True)


def _fits(visit: Visit) -> None:
    """Nothing makes the page itself wider than the screen."""
    wide = visit.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0


def _search(visit: Visit, **typed: str) -> None:
    for name, value in typed.items():
        visit.fill(name, value)
    visit.press("筛选")
    expect(visit.page.locator("tbody tr").first).to_be_visible()


@both
@sizes
def test_the_auditor_searches_opens_and_takes_away_and_the_office_acknowledges(
    collected: tuple[Shared, str], language: str, size: str, tmp_path: Path
) -> None:
    shared, number = collected
    visit = shared.portal.visit("aud", size=size, language=language)
    visit.go("/log")
    visit.heading("审计日志")
    for name in NAMED:
        expect(visit.page.locator(f"main [name={name}]")).to_have_value("")
    _fits(visit)
    _shot(visit, "all")
    _search(visit, person=PERSON, copy=number)
    _fits(visit)
    _shot(visit, "found")
    rows = visit.page.locator("tbody tr:not(.is-open)")
    assert PERSON in rows.first.inner_text()
    # Every entry of what was found is proved; one is opened and read.
    expect(rows.first).to_contain_text(visit.say("已验证"))
    more = visit.page.locator("tbody tr.is-open").first
    more.locator("summary").click()
    expect(more.get_by_text(visit.say("证明路径"))).to_be_visible()
    # Readable on a phone as well: no column of single characters.
    assert more.locator("dd").first.bounding_box()["width"] > 100
    _shot(visit, "opened")
    exported = visit.save(visit.link("导出可核验文件"), tmp_path)
    _verified(shared, exported, tmp_path)
    printed = visit.save(visit.link("导出 PDF"), tmp_path)
    assert printed.read_bytes().startswith(b"%PDF")
    visit.page.get_by_text(visit.say("证据报告"), exact=True).click()
    _shot(visit, "report")
    package = visit.save(visit.page.locator("a[href*='/log/evidence/copy/']"), tmp_path)
    with zipfile.ZipFile(package) as archive:
        assert {"report.pdf", "report.json", "log.jsonl", "checkpoint.txt"} <= set(archive.namelist())
    _alerts(visit)
    section = visit.page.get_by_role("region", name=RULE_TEXT["refusals"](visit.language))
    expect(section).to_be_visible()
    expect(section.get_by_role("button")).to_have_count(0)
    office = shared.portal.visit("adm", size=size, language=language)
    office.go("/cases")
    _alerts(office)
    _acknowledge(office)


def _verified(shared: Shared, exported: Path, folder: Path) -> None:
    key = folder / "key"
    key.write_text(shared.portal.world.deps.log.vkey)
    command = [sys.executable, "-m", "gateway.audit", "verify", str(exported), "--key", str(key)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def _alerts(visit: Visit) -> None:
    visit.link("查看告警").click()
    visit.heading("安全告警")
    _fits(visit)
    _shot(visit, f"alerts-{visit.name}")


def _acknowledge(visit: Visit) -> None:
    section = visit.page.get_by_role("region", name=RULE_TEXT["refusals"](visit.language))
    visit.expects(r"console error: Failed to load resource.* 422 ")
    note = section.locator("textarea")
    note.fill("短")
    section.get_by_role("button", name=visit.say("确认告警")).click()
    visit.sees("10 到 500 字。")
    section.locator("textarea").fill("已与联系人电话核实，属于误操作。")
    section.get_by_role("button", name=visit.say("确认告警")).click()
    visit.sees("告警已确认。")
    expect(section).to_have_count(0)
    expect(visit.page.locator("tbody tr", has_text="电话核实")).to_be_visible()
    _shot(visit, "acknowledged")


def test_what_cannot_be_searched_is_refused_with_words(collected: tuple[Shared, str]) -> None:
    shared, _ = collected
    visit = shared.portal.visit("aud")
    visit.go("/log")
    visit.expects(r"console error: Failed to load resource.* 422 ")
    visit.fill("person", "供应商*")
    visit.press("筛选")
    expect(visit.page.get_by_role("alert").filter(has_text=re.compile("不做全文扫描"))).to_be_visible()
    expect(visit.page.locator("tbody")).to_have_count(0)
