"""Making a share over HTTP, from the wizard to the approvals; who may see it, and how much of it."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from gateway.sharing.models import Share
from gateway.signing.models import Agreement
from tests.factories import Browser, World

REASON = "供应商变更，不再需要资料"


def fields(world: World, items: list[str], more: dict[str, object] | None = None) -> dict[str, object]:
    """What the applicant types."""
    return {
        "title": "施工图", "items": items, "contacts": [world.id("s1")], "purpose": "P03", "relation": "ENTRUST",
        "valid_days": "7", "download_limit": "3",
    } | (more or {})  # fmt: skip


def made(world: World, browser: Browser, items: list[str]) -> str:
    """The id of a draft saved through the wizard."""
    case = re.search(
        r'href="(/shares/new\?case=[0-9a-f]{32})"', browser.get("/shares/new").get_data(as_text=True)
    )
    assert case is not None
    assert browser.get(case[1]).status_code == 200
    saved = browser.post(case[1], fields(world, items))
    assert saved.status_code == 303
    return str(saved.headers["Location"].rsplit("/", 1)[1])


def seen_version(browser: Browser, share: str) -> str:
    """The version an approver sees on the share's page."""
    found = re.search(
        r'name="version_hash" value="([0-9a-f]{64})"', browser.get(f"/shares/{share}").get_data(as_text=True)
    )
    assert found is not None
    return found[1]


def test_from_the_wizard_to_active(world: World) -> None:
    items = world.filed_items(2)
    browser = world.browser("biz.sj")
    share = made(world, browser, items)
    page = browser.get(f"/shares/{share}").get_data(as_text=True)
    assert "示例建材供应商（虚构）" in page and "未启用" in page and "管不到" in page
    assert 'aria-disabled="true"' in page

    refused = browser.post(f"/shares/{share}/submit")
    text = refused.get_data(as_text=True)
    assert refused.status_code == 409 and "保密协议生效" in text and "没有文件外出" in text
    assert world.share(share).state == "DRAFT"
    assert b'"NDA"' in world.leaves("refused")[-1].body

    world.agreement()
    ready = browser.get(f"/shares/{share}/checklist", headers={"HX-Request": "true"}).get_data(as_text=True)
    assert "<html" not in ready and 'aria-disabled="true"' not in ready and "未扫描" in ready
    assert browser.post(f"/shares/{share}/submit").status_code == 303
    for name in ("hod.sj", "arc1"):
        approver = world.browser(name)
        assert world.share(share).number in approver.get("/approvals").get_data(as_text=True)
        given = approver.post(f"/shares/{share}/consent", {"version_hash": seen_version(approver, share)})
        assert given.status_code == 303
        assert world.share(share).number not in approver.get("/approvals").get_data(as_text=True)
    assert world.share(share).state == "ACTIVE"
    timeline = browser.get(f"/shares/{share}").get_data(as_text=True)
    assert "共享生效" in timeline and "设计部负责人同意（部门）" in timeline


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"title": ""}, "请填写题名"),
        ({"items": []}, "请选 1 到"),
        ({"contacts": []}, "请选 1 到"),
        ({"valid_days": "31"}, "期限请填 1 到 30 天"),
        ({"download_limit": "11"}, "下载次数请填 1 到 10"),
        ({"purpose": "P99"}, "其他用途须说明"),
    ],
)
def test_a_bad_field_is_said_under_it_and_nothing_is_saved(
    world: World, wrong: dict[str, object], said: str
) -> None:
    items = world.filed_items(1)
    browser = world.browser("biz.sj")
    case = re.search(
        r'href="(/shares/new\?case=[0-9a-f]{32})"', browser.get("/shares/new").get_data(as_text=True)
    )
    assert case is not None
    answer = browser.post(case[1], fields(world, items, wrong))
    assert answer.status_code == 422 and said in answer.get_data(as_text=True)
    with world.deps.database.read() as session:
        assert session.query(Share).count() == 0


def test_a_draft_is_edited_and_a_submitted_share_is_not(world: World) -> None:
    items = world.filed_items(2)
    world.agreement()
    browser = world.browser("biz.sj")
    share = made(world, browser, items)
    form = browser.get(f"/shares/{share}/edit").get_data(as_text=True)
    assert form.count(" checked") >= 3
    before = world.share(share).version_hash
    assert browser.post(f"/shares/{share}/edit", fields(world, items[:1])).status_code == 303
    assert world.share(share).version_hash != before
    browser.post(f"/shares/{share}/submit")
    assert browser.get(f"/shares/{share}/edit").status_code == 404
    head = world.browser("hod.sj")
    head.post(f"/shares/{share}/consent", {"version_hash": seen_version(head, share)})
    assert browser.post(f"/shares/{share}/take-back").status_code == 303
    assert world.share(share).state == "DRAFT"
    assert "已作废" in browser.get(f"/shares/{share}").get_data(as_text=True)
    assert browser.post(f"/shares/{share}/cancel").status_code == 303
    assert world.share(share).state == "CANCELLED"


def submitted(world: World) -> str:
    """A share that waits for the department."""
    items = world.filed_items(1)
    world.agreement()
    share = world.draft_share(items)
    browser = world.browser("biz.sj")
    browser.get(f"/shares/{share}")
    browser.post(f"/shares/{share}/submit")
    return share


def test_declining_needs_a_reason_which_the_applicant_reads(world: World) -> None:
    share = submitted(world)
    head = world.browser("hod.sj")
    seen = seen_version(head, share)
    short = head.post(f"/shares/{share}/send-back", {"version_hash": seen, "reason": "不行"})
    assert short.status_code == 422 and "10 到 500 字" in short.get_data(as_text=True)
    assert (
        head.post(
            f"/shares/{share}/send-back", {"version_hash": seen, "reason": "请去掉与采购无关的图纸"}
        ).status_code
        == 303
    )
    assert world.share(share).state == "DRAFT"
    browser = world.browser("biz.sj")
    assert "请去掉与采购无关的图纸" in browser.get(f"/shares/{share}").get_data(as_text=True)
    browser.post(f"/shares/{share}/submit")
    seen = seen_version(head, share)
    assert (
        head.post(
            f"/shares/{share}/reject", {"version_hash": seen, "reason": "用途与协议约定不符合"}
        ).status_code
        == 303
    )
    assert world.share(share).state == "REJECTED"


def test_consent_binds_to_the_version_that_was_seen(world: World) -> None:
    share = submitted(world)
    head = world.browser("hod.sj")
    seen_version(head, share)
    stale = head.post(f"/shares/{share}/consent", {"version_hash": "0" * 64})
    assert stale.status_code == 409
    assert world.share(share).state == "DEPT_REVIEW"


def test_nobody_else_is_offered_or_granted_the_decision(world: World) -> None:
    share = submitted(world)
    version = world.share(share).version_hash
    for name, status in (
        ("biz.sj", 403),
        ("hod.gc", 404),
        ("gm", 403),
        ("arc1", 403),
        ("adm", 403),
        ("aud", 403),
    ):
        browser = world.browser(name)
        assert 'id="decide"' not in browser.get(f"/shares/{share}").get_data(as_text=True)
        assert browser.post(f"/shares/{share}/consent", {"version_hash": version}).status_code == status
    assert world.share(share).state == "DEPT_REVIEW"


def test_who_sees_a_share_and_how_much(world: World) -> None:
    share, _ = world.active_share(1)
    for name in ("biz.sj", "hod.sj", "arc2"):
        assert "平面图" in world.browser(name).get(f"/shares/{share}").get_data(as_text=True)
    for name in ("gm", "dgm", "adm", "aud"):
        page = world.browser(name).get(f"/shares/{share}").get_data(as_text=True)
        assert "平****" in page and "平面图" not in page and "图纸1" not in page
        listed = world.browser(name).get("/shares").get_data(as_text=True)
        assert world.share(share).number in listed and "平面图" not in listed
    for name, status in (("hod.gc", 404), ("biz.gc", 404), ("sys", 403), ("s1", 404), (None, 404)):
        browser = world.browser(name)
        assert browser.get(f"/shares/{share}").status_code == status
        if name in ("hod.gc", "biz.gc"):
            assert world.share(share).number not in browser.get("/shares").get_data(as_text=True)


def test_the_register_filters_by_state_purpose_and_partner(world: World) -> None:
    share, _ = world.active_share(1)
    number = world.share(share).number
    browser = world.browser("arc1")
    companies = world.company.organisations
    for query, there in (
        ("state=ACTIVE", True),
        ("state=DRAFT", False),
        ("purpose=P03", True),
        ("purpose=P01", False),
        (f"partner={companies['supplier']}", True),
        (f"partner={companies['studio']}", False),
        ("state=nonsense&purpose=x", True),
    ):
        assert (number in browser.get(f"/shares?{query}").get_data(as_text=True)) is there


def test_pausing_and_resuming_are_for_administration_with_a_reason(world: World) -> None:
    share, _ = world.active_share(1)
    browser = world.browser("adm")
    browser.get(f"/shares/{share}")
    assert browser.post(f"/shares/{share}/suspend", {"reason": "短"}).status_code == 422
    assert browser.post(f"/shares/{share}/suspend", {"reason": REASON}).status_code == 303
    assert world.share(share).state == "SUSPENDED"
    partner = world.browser("s1").get("/my/shares").get_data(as_text=True)
    assert "已暂停" in partner
    assert browser.post(f"/shares/{share}/resume", {"reason": REASON}).status_code == 303
    assert world.share(share).state == "ACTIVE"
    for name in ("arc1", "biz.sj"):
        other = world.browser(name)
        other.get(f"/shares/{share}")
        assert other.post(f"/shares/{share}/suspend", {"reason": REASON}).status_code == 403


def test_revoking_is_confirmed_by_the_typed_number(world: World) -> None:
    share, _ = world.active_share(1)
    browser = world.browser("hod.sj")
    browser.get(f"/shares/{share}")
    wrong = browser.post(f"/shares/{share}/revoke", {"reason": REASON, "number": "GX-2026-9999"})
    assert wrong.status_code == 422 and "编号不符" in wrong.get_data(as_text=True)
    assert world.share(share).state == "ACTIVE"
    number = world.share(share).number
    assert browser.post(f"/shares/{share}/revoke", {"reason": REASON, "number": number}).status_code == 303
    assert world.share(share).state == "REVOKED"
    assert "这项共享已结束" in browser.get(f"/shares/{share}").get_data(as_text=True)
    assert "已撤销" in world.browser("s1").get("/my/shares").get_data(as_text=True)


def test_a_major_matter_goes_to_the_general_manager_who_then_sees_the_titles(world: World) -> None:
    items = world.filed_items(1)
    world.agreement()
    share = world.draft_share(items, valid_days=20)
    browser = world.browser("biz.sj")
    browser.get(f"/shares/{share}")
    browser.post(f"/shares/{share}/submit")
    assert "重大事项" in browser.get(f"/shares/{share}").get_data(as_text=True)
    for name in ("hod.sj", "arc1", "gm"):
        approver = world.browser(name)
        assert "平面图" in approver.get(f"/shares/{share}").get_data(as_text=True)
        assert (
            approver.post(
                f"/shares/{share}/consent", {"version_hash": seen_version(approver, share)}
            ).status_code
            == 303
        )
    assert world.share(share).state == "ACTIVE"


@pytest.mark.parametrize(
    ("language", "words"),
    [("zh-CN", ("对外提供登记表", "经办人")), ("en", ("Register of releases", "In charge"))],
)
def test_the_register_in_both_languages(world: World, language: str, words: tuple[str, ...]) -> None:
    world.active_share(1)
    browser = world.browser("arc1")
    browser.get("/shares")
    browser.post("/language", {"language": language, "next": "/shares"})
    page = browser.get("/shares").get_data(as_text=True)
    assert all(word in page for word in words)


def test_the_register_shows_what_rests_on_one_agreement(world: World) -> None:
    share, _ = world.active_share()
    with world.deps.database.read() as session:
        governing = session.scalars(select(Agreement)).one()
        number = session.get_one(Share, share).number
    elsewhere = world.agreement("studio", "d1", pledges=())
    other_use = world.agreement(purposes=("P05",), pledges=())
    adm = world.browser("adm")
    assert number in adm.get(f"/shares?agreement={governing.id}").get_data(as_text=True)
    for other in (elsewhere, other_use, "0" * 32):
        assert number not in adm.get(f"/shares?agreement={other}").get_data(as_text=True)
