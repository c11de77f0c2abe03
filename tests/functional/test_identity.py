"""Signing in and enrolling over the whole portal, on both installations."""

from __future__ import annotations

import re

import pyotp

from tests.factories import World

PASSWORD = "木匠铺子-rain-barrel-42"


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, pattern
    return match[1]


def test_a_partner_enrols_and_works_only_after_the_code_was_read_back(portal: World) -> None:
    adm = portal.browser("adm")
    organisation = portal.company.organisations["supplier"]
    path = f"/partners/{organisation}/contacts/new"
    adm.get(path)
    fields = {"name": "联系人三", "mobile": "100-0000-0003", "email": "s3@demo.invalid", "deliver": "show"}
    shown = adm.post(path, fields)
    assert shown.status_code == 200
    link = found(r'id="invitation-link">https?://[^/]+(/enrol/[^<]+)<', shown.text)

    phone = portal.browser()
    before = len(portal.leaves())
    assert phone.get(link).status_code == 200
    assert len(portal.leaves()) == before
    begun = phone.post(link)
    seed, pending = (
        found(r'id="seed">([A-Z2-7]+)<', begun.text),
        found(r'name="pending"[^>]* value="([^"]+)"', begun.text),
    )
    code = pyotp.TOTP(seed).at(portal.now())
    done = phone.post(
        link, {"password": PASSWORD, "password_again": PASSWORD, "pending": pending, "code": code}
    )
    assert done.status_code == 200, done.text
    readback = found(r'id="readback">(\d{6})<', done.text)
    assert phone.get(link).status_code == 404

    portal.clock.advance(seconds=31)
    phone.get("/sign-in")
    assert phone.post("/sign-in", {"email": "s3@demo.invalid", "password": "wrong"}).status_code == 422
    assert phone.post("/sign-in", {"email": "s3@demo.invalid", "password": PASSWORD}).status_code == 302
    phone.get("/verify")
    assert phone.post("/verify", {"otp": pyotp.TOTP(seed).at(portal.now())}).status_code == 302
    assert phone.get("/account").status_code == 404

    contact = found(r'href="/contacts/([0-9a-f]{32})">联系人三', adm.get(f"/partners/{organisation}").text)
    adm.get(f"/contacts/{contact}")
    answer = adm.post(f"/contacts/{contact}/confirm", {"code": readback, "identity_check": "IN_PERSON"})
    assert answer.status_code == 302, answer.text
    assert phone.get("/account").status_code == 200
    assert phone.get("/accounts").status_code == 404
    assert [leaf.object_id for leaf in portal.leaves("contact.confirm")][-1] == contact


def test_a_new_colleague_enrols_and_the_administrator_ends_the_account(portal: World) -> None:
    adm = portal.browser("adm")
    adm.get("/accounts/new")
    fields = {"name": "业务员乙", "email": "biz2@demo.invalid", "employment": "REGULAR", "deliver": "show"}
    shown = adm.post("/accounts/new", fields)
    assert shown.status_code == 200, shown.text
    link = found(r'id="invitation-link">https?://[^/]+(/enrol/[^<]+)<', shown.text)
    desk = portal.browser()
    desk.get(link)
    begun = desk.post(link)
    seed, pending = (
        found(r'id="seed">([A-Z2-7]+)<', begun.text),
        found(r'name="pending"[^>]* value="([^"]+)"', begun.text),
    )
    code = pyotp.TOTP(seed).at(portal.now())
    fields = {"password": PASSWORD, "password_again": PASSWORD, "pending": pending, "code": code}
    assert desk.post(link, fields).status_code == 200
    portal.clock.advance(seconds=31)
    desk.get("/sign-in")
    assert desk.post("/sign-in", {"email": "biz2@demo.invalid", "password": PASSWORD}).status_code == 302
    desk.get("/verify")
    assert desk.post("/verify", {"otp": pyotp.TOTP(seed).at(portal.now())}).status_code == 302
    assert desk.get("/account").status_code == 200

    page = found(r'href="(/accounts/[0-9a-f]{32})">业务员乙', adm.get("/accounts").text)
    administrator = portal.browser("sys")
    administrator.get(page)
    ended = administrator.post(f"{page}/disable", {"reason": "离职交接已经完成，停用账号"})
    assert ended.status_code == 302, ended.text
    assert desk.get("/account").status_code == 404
