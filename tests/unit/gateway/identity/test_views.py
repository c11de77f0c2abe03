"""The pages of identity over the whole web layer: signing in, enrolling, staff and partner pages."""

import re
from datetime import timedelta

import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.app import SESSION_KEY, assemble
from gateway.config import write_secret
from gateway.identity import service
from gateway.identity.gate import Gate
from gateway.identity.views import bp
from gateway.principal import Actor, Role

ORIGIN = "https://files.example.com"
PASSWORD = "木匠铺子-rain-barrel-42"


class Browser:
    """A test client that sends the token against forged requests along, over the portal's own origin."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()

    def get(self, path: str) -> TestResponse:
        return self.client.get(path, base_url=ORIGIN)

    def post(self, path: str, page: str | None = None, **fields: str) -> TestResponse:
        shown = self.get(page or "/sign-in").text
        token = re.search(r'name="csrf_token" value="([^"]+)"', shown)
        assert token is not None
        return self.client.post(path, data={"csrf_token": token[1], **fields}, base_url=ORIGIN)


def served(world) -> Flask:
    write_secret(world.deps.settings.keys / SESSION_KEY, b"k" * 64)
    return assemble(world.deps, Gate(world.deps), [bp])


@pytest.fixture
def app(office) -> Flask:
    return served(office[0])


def sign_in(world, browser: Browser, label: str) -> None:
    answer = browser.post("/sign-in", email=world.emails[label], password=PASSWORD)
    assert answer.status_code == 302 and answer.location.startswith("/verify")
    answer = browser.post("/verify", "/verify", otp=world.code(label))
    assert answer.status_code == 302, answer.text
    world.clock.pass_(seconds=30)


def enrol(world, browser: Browser, path: str, password: str = PASSWORD) -> TestResponse:
    begun = browser.post(path, path)
    assert begun.status_code == 200
    seed = re.search(r'id="seed">([A-Z2-7]+)<', begun.text)
    pending = re.search(r'name="pending"[^>]* value="([^"]+)"', begun.text)
    assert seed is not None and pending is not None
    world.last_seed = seed[1]
    fields = {"password": password, "password_again": password, "code": pyotp.TOTP(seed[1]).at(world.now)}
    done = browser.post(path, path, pending=pending[1], **fields)
    world.clock.pass_(seconds=30)
    return done


def test_sign_in_needs_both_factors(app: Flask, staffed) -> None:
    world, people = staffed
    label = people[Role.ADM].label
    browser = Browser(app)
    answer = browser.post("/sign-in", email=world.emails[label], password=PASSWORD)
    assert answer.status_code == 302
    for path in ("/accounts", "/account", "/partners", "/departments"):
        assert browser.get(path).status_code == 404
    assert browser.post("/verify", "/verify", otp="000000").status_code == 422
    half = browser.client.get_cookie("__Host-sealgate", domain="files.example.com")
    assert browser.post("/verify", "/verify", otp=world.code(label)).status_code == 302
    whole = browser.client.get_cookie("__Host-sealgate", domain="files.example.com")
    assert half is not None and whole is not None and half.value != whole.value
    assert browser.get("/accounts").status_code == 200
    # The half session's cookie, planted elsewhere, has become worthless.
    other = Browser(app)
    other.client.set_cookie("__Host-sealgate", half.value, domain="files.example.com", secure=True)
    assert other.get("/accounts").status_code == 404
    assert browser.post("/sign-out", "/accounts").status_code == 302
    assert browser.get("/accounts").status_code == 404


def test_known_and_unknown_get_the_same_answer(app: Flask, staffed) -> None:
    world, people = staffed
    known = Browser(app).post(
        "/sign-in", email=world.emails[people[Role.GM].label], password="wrong password 1"
    )
    unknown = Browser(app).post("/sign-in", email="xx@example.com", password="wrong password 1")
    broken = Browser(app).post("/sign-in", email="not an address", password="wrong password 1")
    assert known.status_code == unknown.status_code == broken.status_code == 422

    def plain(answer: TestResponse) -> str:
        text = re.sub(r'(csrf-token" content|name="csrf_token" value)="[^"]+"', "", answer.text)
        return re.sub(r'value="(gm@example.com|xx@example.com|not an address)"', "", text)

    assert plain(known) == plain(unknown) == plain(broken)


def test_lock_out_page_is_the_same_for_unknown(app: Flask) -> None:
    browser = Browser(app)
    for _ in range(5):
        assert browser.post("/sign-in", email="nobody@example.com", password="x").status_code == 422
    stopped = browser.post("/sign-in", email="nobody@example.com", password="x")
    assert stopped.status_code == 429 and int(stopped.headers["Retry-After"]) > 0


def test_opening_an_invitation_spends_nothing(world) -> None:
    app = served(world)
    people = {r: (f"{r.value.lower()}@example.com", "某人") for r in (Role.SYS, Role.GM, Role.ADM)}
    token = service.first_day(world.deps, people, now=world.now)[Role.GM]
    before, browser = world.events(), Browser(app)
    for _ in range(3):
        assert "gm@example.com" in browser.get(f"/enrol/{token}").text
    assert browser.client.head(f"/enrol/{token}", base_url=ORIGIN).status_code in (200, 405)
    assert world.events() == before
    done = enrol(world, browser, f"/enrol/{token}")
    assert done.status_code == 200 and 'id="recovery-codes"' in done.text
    assert browser.get(f"/enrol/{token}").status_code == 404
    assert browser.get("/enrol/unknown").status_code == 404


def test_bad_password_keeps_the_same_seed(app: Flask, staffed) -> None:
    world, people = staffed
    made = service.enrol_account(
        world.deps, email="biz@example.com", name="业务员甲", department=None, employment="REGULAR", ends_on=None,
        actor=people[Role.ADM], now=world.now,
    )  # fmt: skip
    browser = Browser(app)
    refused = enrol(world, browser, f"/enrol/{made.token}", password="short")
    assert refused.status_code == 422 and world.last_seed in refused.text


def test_partner_from_invitation_to_verified(app: Flask, staffed) -> None:
    world, people = staffed
    adm = Browser(app)
    sign_in(world, adm, people[Role.ADM].label)
    made = adm.post(
        "/partners/new",
        "/partners/new",
        name="示例建材供应商（虚构）",
        uscc="91350100M000100Y43",
        category="SUPPLIER",
    )
    assert made.status_code == 302
    partner = made.location
    assert adm.post(f"{partner}/verify", partner, how="营业执照原件", abroad="no").status_code == 302
    shown = adm.post(
        f"{partner}/contacts/new", f"{partner}/contacts/new",
        name="联系人甲", mobile="100-0000-0001", email="S1@demo.invalid", deliver="show", signer="y",
    )  # fmt: skip
    link = re.search(r'id="invitation-link">([^<]+)<', shown.text)
    assert shown.status_code == 200 and link is not None and "data:image/svg" in shown.text
    path = link[1].removeprefix(ORIGIN)

    phone = Browser(app)
    done = enrol(world, phone, path)
    readback = re.search(r'id="readback">(\d{6})<', done.text)
    assert done.status_code == 200 and readback is not None
    seed = world.last_seed
    assert phone.post("/sign-in", email="s1@demo.invalid", password=PASSWORD).status_code == 302
    assert phone.post("/verify", "/verify", otp=pyotp.TOTP(seed).at(world.now)).status_code == 302
    # Both factors are right, yet nothing opens before 行政部 has heard the code.
    assert phone.get("/account").status_code == 404
    assert phone.get("/verify").location == "/waiting"
    world.clock.pass_(seconds=60)
    again = phone.post("/waiting", "/waiting")
    code = re.search(r'id="readback">(\d{6})<', again.text)
    assert code is not None

    contact = re.search(r'href="(/contacts/[0-9a-f]{32})"', adm.get(partner).text)
    assert contact is not None
    wrong = f"{(int(code[1]) + 1) % 10**6:06}"
    refused = adm.post(f"{contact[1]}/confirm", contact[1], code=wrong, identity_check="IN_PERSON")
    assert refused.status_code == 422
    good = adm.post(f"{contact[1]}/confirm", contact[1], code=code[1], identity_check="IN_PERSON")
    assert good.status_code == 302
    assert phone.get("/account").status_code == 200
    assert phone.get("/partners").status_code == 404
    suspended = adm.post(f"{contact[1]}/suspend", contact[1], reason="收到举报，先暂停使用等待核实")
    assert suspended.status_code == 302
    assert phone.get("/account").status_code == 404


def test_confirming_asks_for_a_fresh_factor(app: Flask, office) -> None:
    world, people, org = office
    invited = service.invite_contact(
        world.deps,
        org,
        name="联系人乙",
        email="s2@demo.invalid",
        mobile="100-0000-0002",
        actor=people[Role.ADM],
        now=world.now,
    )
    label = world.enrol(invited.token)
    adm = Browser(app)
    sign_in(world, adm, people[Role.ADM].label)
    world.clock.pass_(minutes=9)
    world.clock.pass_(minutes=2)
    page = f"/contacts/{invited.id}"
    assert 'name="otp"' in adm.get(page).text
    asked = adm.post(f"{page}/confirm", page, code=world.readbacks[label], identity_check="IN_PERSON")
    assert asked.status_code == 403 and 'name="otp"' in asked.text
    given = adm.post(
        f"{page}/confirm",
        page,
        code="000000",
        identity_check="IN_PERSON",
        otp=world.code(people[Role.ADM].label),
    )
    assert (
        given.status_code == 403 and "CODE_SPENT" in given.text
    )  # The factor was taken; the read-back code is over by now.


def test_staff_account_roles_and_departments(app: Flask, staffed) -> None:
    world, people = staffed
    adm, gm = Browser(app), Browser(app)
    sign_in(world, adm, people[Role.ADM].label)
    assert adm.post("/departments", "/departments", code="sj", name="设计部").status_code == 302
    department = re.search(r'<option value="([0-9a-f]{32})">SJ', adm.get("/accounts/new").text)
    assert department is not None
    made = adm.post(
        "/accounts/new", "/accounts/new", email="hod.sj@demo.invalid", name="设计部负责人", department=department[1],
        employment="REGULAR", deliver="mail",
    )  # fmt: skip
    assert made.status_code == 302, made.text
    page = made.location
    assert len(world.messages("invitation")) == 1
    assert adm.post(f"{page}/roles", page, role="HOD").status_code == 302
    sign_in(world, gm, people[Role.GM].label)
    grant = re.search(r'action="(/accounts/[0-9a-f]{32}/roles/[0-9a-f]{32}/confirm)"', gm.get(page).text)
    assert grant is not None
    assert gm.post(grant[1], page).status_code == 302
    assert adm.post(f"{page}/roles", page, role="SYS").status_code in (403, 422)
    assert adm.post(f"{page}/roles", page, role="nonsense").status_code == 422


def test_own_account_page(app: Flask, staffed) -> None:
    world, people = staffed
    label = people[Role.GM].label
    browser = Browser(app)
    sign_in(world, browser, label)
    assert "gm@example.com" in browser.get("/account").text
    assert (
        browser.post("/account/settings", "/account", language="en", timezone="Europe/Berlin").status_code
        == 302
    )
    assert "My account" in browser.get("/account").text
    assert (
        browser.post("/account/settings", "/account", language="en", timezone="Mars/Base").status_code == 422
    )
    new = "another long phrase 9"
    fields = {"current_password": PASSWORD, "password": new, "password_again": new}
    assert (
        browser.post("/account/password", "/account", **{**fields, "password_again": "x"}).status_code == 422
    )
    assert (
        browser.post("/account/password", "/account", **{**fields, "current_password": "no"}).status_code
        == 422
    )
    assert browser.post("/account/password", "/account", **fields).status_code == 302
    changed = browser.post("/account/recovery-codes", "/account")
    assert changed.status_code == 200 and 'id="recovery-codes"' in changed.text
    begun = browser.post("/account/authenticator", "/account")
    seed = re.search(r'id="seed">([A-Z2-7]+)<', begun.text)
    pending = re.search(r'name="pending"[^>]* value="([^"]+)"', begun.text)
    assert seed is not None and pending is not None
    wrong = browser.post("/account/authenticator", "/account", pending=pending[1], code="000000")
    assert wrong.status_code == 422 and seed[1] in wrong.text
    done = browser.post(
        "/account/authenticator", "/account", pending=pending[1], code=pyotp.TOTP(seed[1]).at(world.now)
    )
    assert done.status_code == 200
    assert browser.post("/account/age-key", "/account", key="age1x").status_code == 404


def test_recovery_code_page(app: Flask, staffed) -> None:
    world, people = staffed
    label = people[Role.SYS].label
    browser = Browser(app)
    browser.post("/sign-in", email=world.emails[label], password=PASSWORD)
    assert browser.post("/verify/recovery", "/verify/recovery", recovery="nonsense").status_code == 422
    code = world.recovery[label][0].lower()
    assert browser.post("/verify/recovery", "/verify/recovery", recovery=code).location == "/account"
    assert browser.get("/accounts").status_code == 200
    assert len(world.messages("credential.changed")) == 1


def test_session_is_shown_and_ended(app: Flask, staffed) -> None:
    world, people = staffed
    label = people[Role.GM].label
    one, two = Browser(app), Browser(app)
    sign_in(world, one, label)
    sign_in(world, two, label)
    found = re.findall(r'action="(/account/sessions/[0-9a-f]{32}/end)"', one.get("/account").text)
    assert len(found) == 2  # The one of the fixture and the second browser's.
    assert one.post("/account/sessions/end-others", "/account").status_code == 302
    assert two.get("/account").status_code == 404
    assert one.get("/account").status_code == 200
    world.clock.pass_(minutes=31)
    assert one.get("/account").status_code == 404


def test_open_redirects_are_not_followed(app: Flask, staffed) -> None:
    world, _ = staffed
    browser = Browser(app)
    for planted in ("//evil.example", "https://evil.example/", "/\\evil.example"):
        answer = browser.post("/sign-in", email="gm@example.com", password=PASSWORD, next=planted)
        assert answer.location == "/verify?next=/"
        world.clock.pass_(seconds=1)


def test_actors_carry_where_they_came_from(staffed) -> None:
    _, people = staffed
    actor: Actor = people[Role.GM]
    assert actor.ip and actor.agent and actor.session and actor.mfa_at is not None
    assert actor.mfa_at + timedelta(hours=12) > actor.mfa_at
