"""A partner's contact: invited by a one-time link, enrolled, read back over the telephone, confirmed."""

from __future__ import annotations

import re

import pyotp
import pytest
from playwright.sync_api import expect

from tests.browser.portal import Portal, Visit, both

PASSWORD = "a long phrase 足够长的短语"
EMAIL = "s3@demo.invalid"


def _invite(portal: Portal, language: str) -> tuple[Visit, str]:
    staff = portal.visit("adm", language=language)
    staff.go(f"/partners/{portal.world.company.organisations['supplier']}")
    staff.link("邀请联系人").click()
    for name, value in (("name", "供应商联系人三"), ("mobile", "100-0000-0103"), ("email", EMAIL)):
        staff.fill(name, value)
    staff.page.locator("[name=deliver][value=show]").check()
    staff.press("发出邀请")
    staff.heading("邀请链接")
    code = staff.page.get_by_role("img", name=staff.say("邀请链接的二维码"))
    assert code.evaluate("picture => picture.naturalWidth") > 100
    link = staff.page.locator("#invitation-link").inner_text()
    assert link.startswith(portal.origin + "/enrol/")
    return staff, link


def _code(visit: Visit, secret: str) -> str:
    visit.portal.world.clock.advance(seconds=31)
    return pyotp.TOTP(secret).at(visit.portal.world.now())


@both
@pytest.mark.parametrize("size", ["phone"])
def test_a_contact_enrols_by_link_and_is_confirmed_by_telephone(
    portal: Portal, language: str, size: str
) -> None:
    staff, link = _invite(portal, language)
    visit = portal.visit(language=language, size=size)
    visit.go(link.removeprefix(portal.origin))
    visit.heading("启用您的账号")
    expect(visit.page.locator("main")).to_contain_text(EMAIL)
    visit.press("开始登记")
    code = visit.page.get_by_role("img", name=visit.say("验证器的二维码"))
    assert code.evaluate("picture => picture.naturalWidth") > 100
    secret = visit.page.locator("#seed").inner_text().replace(" ", "")
    visit.fill("password", PASSWORD)
    visit.fill("password_again", PASSWORD)
    visit.fill("code", _code(visit, secret))
    visit.press("完成登记")
    visit.heading("登记完成")
    recovery = visit.page.locator("#recovery-codes li").all_inner_texts()
    assert len(set(recovery)) == 10
    readback = visit.page.locator("#readback").inner_text().strip()
    assert re.fullmatch(r"\d{6}", readback)
    # Neither the link nor the codes come back.
    visit.go(link.removeprefix(portal.origin), 404)

    # Until the code was read back, signing in leads to waiting.
    visit.go("/sign-in")
    visit.fill("email", EMAIL)
    visit.fill("password", PASSWORD)
    visit.press("继续")
    visit.fill("otp", _code(visit, secret))
    visit.page.locator("form[action$='/verify'] button").click()
    expect(visit.page).to_have_url(re.compile("/waiting$"))
    visit.go("/my/shares", 404)

    staff.link("返回").click()
    staff.heading("供应商联系人三")
    staff.fill("code", readback, "form[action$='/confirm']")
    staff.press("核对并启用")
    expect(staff.page.locator("form[action$='/confirm']")).to_have_count(0)
    visit.go("/")
    expect(visit.page).to_have_url(re.compile("/my/shares$|/verify|/sign-in"))
