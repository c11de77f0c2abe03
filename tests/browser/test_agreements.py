"""Agreements on a phone: declining, renewing, and taking in a paper with its two checks."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

from PIL import Image
from playwright.sync_api import expect
from sqlalchemy import select

from gateway.signing.models import Agreement
from tests.browser.portal import Portal, Visit, both

REASON = "条款需要再议，暂时不能签署"


def _state(portal: Portal, agreement: str) -> str:
    with portal.world.deps.database.read() as session:
        return session.get_one(Agreement, agreement).state


def _fits(visit: Visit) -> None:
    """Nothing but tables, which scroll on their own, is wider than the screen."""
    page = visit.page
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@both
def test_the_signer_declines_with_a_reason_and_can_read_it_later(portal: Portal, language: str) -> None:
    agreement = portal.world.agreement(until="SENT")
    visit = portal.visit("s1", size="phone", language=language)
    visit.go(f"/my/agreements/{agreement}")
    visit.heading("签署保密协议")
    _fits(visit)
    visit.page.locator("main summary").filter(has_text=visit.say("不签署")).click()
    form = visit.page.locator("main form[action$=decline]")
    visit.expects("console error: Failed to load resource.* 422 ")
    form.locator("[name=reason]").fill("短")
    form.get_by_role("button").click()
    expect(form.get_by_role("alert").first).to_be_visible()
    assert _state(portal, agreement) in ("SENT", "VIEWED")
    form.locator("[name=reason]").fill(REASON)
    form.get_by_role("button").click()
    visit.sees("已记录为不签署。")
    assert _state(portal, agreement) == "DECLINED"
    expect(visit.page.locator("main form[action$=sign]")).to_have_count(0)


@both
def test_an_agreement_is_renewed_from_the_earlier_one_and_signed_on_a_phone(
    portal: Portal, language: str
) -> None:
    earlier = portal.world.agreement()
    staff = portal.visit("adm", size="phone", language=language)
    staff.go(f"/agreements/{earlier}")
    staff.page.get_by_role("link", name=staff.say("起草续签")).click()
    staff.heading("起草协议")
    _fits(staff)
    assert staff.page.locator("main [name=classes]:checked").count() == 2
    staff.press("保存草稿")
    staff.press("发送给签署人")
    expect(staff.page.locator("main form[action$=send]")).to_have_count(0)
    renewal = staff.page.url.rpartition("/")[2]
    visit = portal.visit("s1", size="phone", language=language)
    visit.go("/my/agreements")
    visit.link("阅读并签署").click()
    visit.fill("name", "供应商联系人一")
    visit.page.locator("main #consent").check()
    visit.press("签署")
    visit.sees("已签署，待对方会签后生效。")
    manager = portal.visit("gm", size="phone", language=language)
    manager.go(f"/agreements/{renewal}")
    manager.press("会签")
    portal.until(lambda: _state(portal, renewal) == "IN_FORCE")
    assert _state(portal, earlier) == "RENEWED"


def _scan(folder: Path) -> Path:
    out = io.BytesIO()
    Image.new("L", (620, 877), 235).save(out, "PDF")
    path = folder / "扫描件.pdf"
    path.write_bytes(out.getvalue())
    return path


def _take_in(portal: Portal, visit: Visit, scan: Path) -> str:
    world, page = portal.world, visit.page
    today = (world.now() + timedelta(hours=8)).date()
    visit.go("/agreements/paper")
    visit.heading("登记纸质协议")
    _fits(visit)
    page.locator("main [name=organisation]").select_option(world.company.organisations["supplier"])
    page.locator("main [name=signer]").select_option(world.id("s1"))
    visit.fill("signed_on", today.isoformat())
    visit.fill("valid_from", today.isoformat())
    visit.fill("valid_to", (today + timedelta(days=90)).isoformat())
    visit.fill("location", "档案室 3 柜 2 盒")
    page.locator("main [name=scan]").set_input_files(scan)
    page.locator("main [name=all_clients]").check()
    page.locator("main [name=classes][value=F07]").check()
    page.locator("main [name=purposes][value=P01]").check()
    visit.press("登记")
    visit.sees("纸质协议已登记，待初核和复核。")
    with world.deps.database.read() as session:
        return session.scalars(select(Agreement.id).where(Agreement.form == "PAPER")).one()


def _check(visit: Visit, agreement: str, stage: int) -> None:
    visit.go(f"/agreements/{agreement}/check/{stage}")
    picture = visit.page.locator("img.sg-deed-page").first
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("picture => picture.naturalWidth") > 600
    for box in visit.page.locator("main [name=points]").all():
        box.check()
    visit.press("确认每一项都已核对")
    visit.sees("核对已记录。")


@both
def test_a_paper_is_taken_in_and_checked_by_two(portal: Portal, language: str, tmp_path: Path) -> None:
    adm = portal.visit("adm", size="phone", language=language)
    agreement = _take_in(portal, adm, _scan(tmp_path))
    _check(adm, agreement, 1)
    assert _state(portal, agreement) == "CHECK1"
    arc = portal.visit("arc1", size="phone", language=language)
    _check(arc, agreement, 2)
    assert _state(portal, agreement) == "IN_FORCE"
