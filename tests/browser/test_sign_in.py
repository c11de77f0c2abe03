"""The way in and out."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.portal import Portal, both, sizes


@both
@sizes
def test_a_partner_comes_in_with_password_and_code_and_leaves_nothing_behind(
    portal: Portal, language: str, size: str
) -> None:
    visit = portal.visit(size=size, language=language)
    visit.sign_in("s1")
    visit.heading("我的分享")
    expect(visit.page.locator("html")).to_have_attribute("lang", language)
    visit.page.get_by_role("button", name=visit.say("退出")).click()
    visit.heading("登录")
    # What was seen is not kept: going back asks the portal again, which no longer knows the visitor.
    visit.expects("console error: Failed to load resource.* 404 ")
    visit.page.go_back()
    visit.heading("没有这个页面")
    expect(visit.page.get_by_text("@")).to_have_count(0)
    visit.go("/my/shares", 404)


def test_the_language_is_switched_in_the_page_and_kept(portal: Portal) -> None:
    visit = portal.visit("s1", size="phone")
    visit.go("/my/shares")
    visit.page.get_by_role("button", name="English").click()
    expect(visit.page.locator("html")).to_have_attribute("lang", "en")
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("My shares")
    visit.go("/my/record")
    expect(visit.page.locator("html")).to_have_attribute("lang", "en")
    visit.page.get_by_role("button", name="中文").click()
    expect(visit.page.locator("html")).to_have_attribute("lang", "zh-CN")


@both
def test_a_wrong_password_and_a_wrong_code_say_nothing_of_who_is_known(portal: Portal, language: str) -> None:
    visit = portal.visit(language=language, size="phone")
    visit.speak("s1")
    visit.expects("console error: Failed to load resource.* 422 ")
    answers = []
    for email in ("s1@demo.invalid", "nobody@demo.invalid"):
        visit.go("/sign-in")
        visit.fill("email", email)
        visit.fill("password", "not the password")
        visit.press("继续")
        answers.append(visit.page.get_by_role("alert").inner_text())
        expect(visit.page).to_have_url(re.compile("/sign-in$"))
    assert answers[0] == answers[1] != ""
    person = portal.world.company.people["s1"]
    visit.fill("email", person.email)
    visit.fill("password", person.password)
    visit.press("继续")
    visit.fill("otp", "000000")
    visit.press("登录")
    expect(visit.page.locator("#otp")).to_have_attribute("aria-invalid", "true")
    # Half signed in is not signed in.
    visit.go("/my/shares", 404)
