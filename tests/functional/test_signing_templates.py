"""The agreement's text over HTTP: a new version, its preview, approval, and what is refused."""

from __future__ import annotations

import html

import pytest

from agreements.defaults import DEFAULTS
from agreements.text import DEFAULT
from gateway.signing import service
from tests.factories import Browser, World


def enter(world: World, name: str) -> Browser:
    """Somebody's browser on the first page after signing in."""
    browser = world.browser(name)
    browser.get("/", follow_redirects=True)
    return browser


def drafted(world: World, **changes: str) -> str:
    adm = enter(world, "adm")
    assert "{partner_name}" in html.unescape(adm.get("/agreements/templates/new").get_data(as_text=True))
    made = adm.post(
        "/agreements/templates/new", {"version": "NDA-2", "zh": DEFAULT.zh, "en": DEFAULT.en, **changes}
    )
    assert made.status_code == 302, made.get_data(as_text=True)
    return made.headers["Location"].rpartition("/")[2]


def test_a_new_version_is_approved(world: World) -> None:
    template = drafted(world)
    adm, gm = enter(world, "adm"), enter(world, "gm")
    assert gm.get(f"/agreements/templates/{template}/pdf").get_data().startswith(b"%PDF-")
    assert "btn-seal" not in gm.get(f"/agreements/templates/{template}").get_data(as_text=True)
    assert adm.post(f"/agreements/templates/{template}/submit").status_code == 302
    assert "btn-seal" in gm.get(f"/agreements/templates/{template}").get_data(as_text=True)
    assert "btn-seal" not in adm.get(f"/agreements/templates/{template}").get_data(as_text=True)
    assert adm.post(f"/agreements/templates/{template}/approve").status_code == 403
    assert gm.post(f"/agreements/templates/{template}/approve").status_code == 302
    page = gm.get("/agreements/templates").get_data(as_text=True)
    assert page.index("NDA-2") < page.index("NDA-1")
    assert "已归档" in page
    assert "NDA-2" in adm.get("/agreements/new").get_data(as_text=True)


def test_it_is_sent_back_with_a_reason(world: World) -> None:
    template, gm = drafted(world), enter(world, "gm")
    enter(world, "adm").post(f"/agreements/templates/{template}/submit")
    assert gm.post(f"/agreements/templates/{template}/return", {"reason": "短"}).status_code == 422
    done = gm.post(
        f"/agreements/templates/{template}/return",
        {"reason": "第八条的时限须与参数一致"},
        follow_redirects=True,
    )
    assert "已退回" in done.get_data(as_text=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"zh": DEFAULT.zh + "{及不可见追踪标记}"}, "大括号只能用于占位符"),
        ({"zh": DEFAULT.zh + "{password}"}, "没有这些占位符"),
        ({"version": "NDA-1"}, "该版本号已存在"),
        ({"en": " "}, "请填写"),
    ],
)
def test_a_text_that_does_not_hold_is_refused(world: World, changes: dict[str, str], said: str) -> None:
    adm = enter(world, "adm")
    given = {"version": "NDA-2", "zh": DEFAULT.zh, "en": DEFAULT.en, **changes}
    refused = adm.post("/agreements/templates/new", given)
    assert refused.status_code == 422
    assert said in refused.get_data(as_text=True)


def test_a_version_starts_from_another(world: World) -> None:
    template, adm = drafted(world), enter(world, "adm")
    assert "甲方可合理核查履行情况" in adm.get(f"/agreements/templates/new?from={template}").get_data(
        as_text=True
    )
    assert adm.get(f"/agreements/templates/new?from={'0' * 32}").status_code == 404


def test_templates_are_for_those_who_draft_decide_and_audit(world: World) -> None:
    template = drafted(world)
    assert enter(world, "aud").get(f"/agreements/templates/{template}").status_code == 200
    for who in ("arc1", "biz.sj", "dgm"):
        assert enter(world, who).get("/agreements/templates").status_code == 403
    assert enter(world, "s1").get("/agreements/templates").status_code == 404
    assert enter(world, "gm").get("/agreements/templates/new").status_code == 403
    assert enter(world, "gm").get(f"/agreements/templates/{'0' * 32}").status_code == 404


def test_a_text_that_demands_a_new_signature_suspends_shares_until_it_is_signed(world: World) -> None:
    share, _ = world.active_share()
    adm, gm = world.browser("adm"), world.browser("gm")
    form = adm.get("/agreements/templates/new?kind=NDA").get_data(as_text=True)
    assert "启用后须重新签署" in form
    text = DEFAULTS["NDA"]
    made = adm.post(
        "/agreements/templates/new",
        {"kind": "NDA", "version": "NDA-2", "zh": text.zh, "en": text.en, "resign": "y"},
    )
    assert made.status_code == 302
    page = made.headers["Location"]
    assert adm.post(f"{page}/submit").status_code == 302
    assert "启用后须重新签署" in gm.get(page).get_data(as_text=True)
    assert gm.post(f"{page}/approve").status_code == 302
    assert world.share(share).state == "SUSPENDED"
    ledger = adm.get("/agreements?state=RESIGN").get_data(as_text=True)
    assert "待重新签署" in ledger
    world.agreement()
    assert world.share(share).state == "ACTIVE"


def test_the_first_texts_of_other_kinds_stand_in_the_form(world: World) -> None:
    adm = world.browser("adm")
    for kind in ("ENTRUST", "SUPPLEMENT", "TERMS"):
        assert DEFAULTS[kind].version in adm.get(f"/agreements/templates/new?kind={kind}").get_data(
            as_text=True
        )
    assert adm.get("/agreements/templates/new?kind=NONE").status_code == 200


def test_a_contact_accepts_the_terms_of_use_on_a_page(world: World) -> None:
    text = DEFAULTS["TERMS"]
    actor = world.actor("adm")
    made = service.draft_template(
        world.deps, "TERMS-1", text.zh, text.en, kind="TERMS", actor=actor, now=world.now()
    )
    service.submit_template(world.deps, made, actor=actor, now=world.now())
    service.approve_template(world.deps, made, actor=world.actor("gm"), now=world.now())
    partner = world.browser("s1")
    assert "资料领取平台使用条款" in partner.get("/my/pledge").get_data(as_text=True)
    assert partner.post("/my/terms", {"agreement": made}).status_code == 422
    assert partner.post("/my/terms", {"agreement": made, "consent": "y"}).status_code == 302
    assert "接受于" in partner.get("/my/pledge").get_data(as_text=True)


def test_the_record_of_entrusted_processing_stands_on_agreement_and_share(world: World) -> None:
    share, _ = world.active_share()
    page = world.browser("arc1").get(f"/shares/{share}").get_data(as_text=True)
    assert "委托处理记录" in page
    assert "访问控制、加密存储" in page


def test_an_uncovered_share_leads_administration_to_a_supplement(world: World) -> None:
    agreement = world.agreement(classes=("F08",))
    items = world.filed_items(1)
    share = world.draft_share(items)
    page = html.unescape(world.browser("adm").get(f"/shares/{share}").get_data(as_text=True))
    assert "未覆盖：" in page
    link = f"/agreements/new?from={agreement}&kind=SUPPLEMENT"
    assert link in page
    form = world.browser("adm").get(link).get_data(as_text=True)
    assert '<option selected value="SUPPLEMENT">' in form
    assert f'<option selected value="{agreement}">' in form
