"""A share link from the case to its end: drafted, checked, approved by others, revoked."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.portal import Portal, Visit, both, sizes

REASON = "供应商变更，不再需要这些资料"


def _draft(visit: Visit, portal: Portal, items: list[str]) -> str:
    visit.page.locator(f"main a[href*='{'/shares/new?case='}']").first.click()
    visit.fill("title", "厨房橱柜下单图")
    for item in items:
        visit.page.locator(f"#item-{item}").check()
    visit.page.locator(f"[name=contacts][value='{portal.world.id('s1')}']").check()
    visit.page.locator("[name=purpose]").select_option("P03")
    visit.press("存为草稿")
    expect(visit.page).to_have_url(re.compile("/shares/[0-9a-f]{32}$"))
    return visit.page.url.rpartition("/")[2]


def _consent(portal: Portal, name: str, share: str, language: str, size: str) -> None:
    visit = portal.visit(name, language=language, size=size)
    visit.go("/approvals")
    visit.page.locator(f"main a[href$='{share}']").click()
    visit.page.locator("form[action$='/consent'] .btn-seal").click()
    visit.sees("已同意。")
    visit.go("/approvals")
    expect(visit.page.locator(f"main a[href$='{share}']")).to_have_count(0)


@both
@sizes
def test_a_share_is_drafted_checked_approved_and_revoked(
    filed: tuple[Portal, list[str]], language: str, size: str
) -> None:
    portal, items = filed
    visit = portal.visit(size=size, language=language)
    visit.sign_in("biz.sj")
    visit.go("/shares")
    visit.link("新建共享").first.click()
    share = _draft(visit, portal, items)

    # Without an agreement the checklist says what is missing, how to mend it, and nothing can be handed in.
    checklist = visit.page.locator("#checklist")
    unmet = checklist.locator("li[data-tone=fail]")
    expect(unmet).to_have_count(2)
    expect(checklist.get_by_role("status")).to_contain_text("2")
    for condition in unmet.all():
        assert condition.locator("p").inner_text().strip()
    # Masking, holds and the like are shown as not enabled, never as met.
    expect(checklist.get_by_text(visit.say("未启用")).first).to_be_attached()
    submit = checklist.get_by_role("button", name=visit.say("提交审批"))
    expect(submit).to_have_attribute("aria-disabled", "true")
    # The attribute keeps the focus; what refuses is the server, and it does so without scripts as well.
    submit.dispatch_event("click")
    assert portal.world.share(share).state == "DRAFT"

    portal.world.agreement()
    visit.go(f"/shares/{share}")
    expect(unmet).to_have_count(0)
    visit.press("提交审批")
    visit.sees("已提交审批。")
    assert portal.world.share(share).state == "DEPT_REVIEW"
    for approver in ("hod.sj", "arc1"):
        _consent(portal, approver, share, language, size)
    assert portal.world.share(share).state == "ACTIVE"

    number = portal.world.share(share).number
    visit.go(f"/shares/{share}")
    revoke = f"form[action$='/{share}/revoke']"
    visit.fill("reason", REASON, revoke)
    visit.fill("number", "GX-0000-0000", revoke)
    visit.expects("console error: Failed to load resource.* 422 ")
    visit.page.locator(f"{revoke} button").click()
    expect(visit.page.locator(f"{revoke} [name=number]")).to_have_attribute("aria-invalid", "true")
    assert portal.world.share(share).state == "ACTIVE"
    visit.fill("number", number, revoke)
    visit.page.locator(f"{revoke} button").click()
    visit.sees("已撤销，所有链接、下载和口令已停止。")
    expect(visit.page.locator(revoke)).to_have_count(0)
    assert portal.world.share(share).state == "REVOKED"

    partner = portal.visit("s1", size="phone", language=language)
    partner.go(f"/my/shares/{share}")
    partner.sees("这项分享已结束。")
    expect(partner.button("领取副本")).to_have_count(0)


def test_the_checklist_renews_itself_while_it_is_looked_at(filed: tuple[Portal, list[str]]) -> None:
    portal, items = filed
    share = portal.world.draft_share(items)
    visit = portal.visit("biz.sj")
    visit.page.clock.install()
    visit.go(f"/shares/{share}")
    unmet = visit.page.locator("#checklist li[data-tone=fail]")
    expect(unmet).to_have_count(2)
    portal.world.agreement()
    visit.page.clock.run_for(31_000)
    expect(unmet).to_have_count(0)
    expect(visit.button("提交审批")).not_to_have_attribute("aria-disabled", "true")
