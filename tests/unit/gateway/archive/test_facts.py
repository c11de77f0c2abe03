"""What the release decision hears of items, and which items may be put into a share."""

import pytest

from gateway.archive import service
from gateway.archive.facts import item_facts
from gateway.policy.facts import Facts, ShareFact
from gateway.policy.parameters import defaults
from gateway.policy.release import release
from gateway.release import Ask, gather

WHY = "题名与内容不符，请更正后再提交。"


def facts(house, items, *, way="copy", who="biz.sj", duty=None):
    actor = house.actor(who)
    ask = Ask(way, "collect", actor, house.now, items=tuple(items), duty_purpose=duty)
    with house.deps.database.read() as session:
        return item_facts(house.deps, session, ask)


def test_a_filed_item_is_told_whole(house, pdf):
    client = house.client()
    _, item = house.filed(client, pdf, classes=("F03", "F07"))
    (fact,) = facts(house, [(item, 1)])["items"]
    assert (fact.id, fact.version, fact.client, fact.classes, fact.level) == (
        item,
        1,
        client,
        frozenset({"F03", "F07"}),
        3,
    )
    assert fact.filed and fact.alive and fact.markable and fact.intact and fact.basis and fact.newest
    assert fact.scan == "unscanned"


@pytest.mark.parametrize("asked", [[("0" * 32, 1)], [("ITEM", 2)], [("ITEM", 1), ("0" * 32, 1)]])
def test_an_unknown_item_or_version_leaves_nothing_met(house, pdf, asked):
    _, item = house.filed(house.client(), pdf)
    found = facts(house, [(item if i == "ITEM" else i, v) for i, v in asked])
    assert found["items"] == ()


def test_the_basis_serves_the_shares_purpose_or_none(house, pdf):
    saved = service.create_client(
        house.deps, service.ClientEntry("示例客户乙"), actor=house.actor("biz.sj"), now=house.now
    )
    service.add_basis(house.deps, saved.id, ["F07"], "B2", "P01", actor=house.actor("biz.sj"), now=house.now)
    _, item = house.filed(saved.id, pdf)
    (fact,) = facts(house, [(item, 1)])["items"]
    assert (fact.basis, fact.purposes) == (False, frozenset({"P01"}))
    assert facts(house, [(item, 1)], way="duty_view", who="hod.sj", duty="P08")["items"][0].basis


@pytest.mark.parametrize(("purpose", "state"), [("P01", "met"), ("P04", "unmet")])
def test_the_decision_asks_for_the_shares_own_purpose(house, pdf, purpose, state):
    saved = service.create_client(
        house.deps, service.ClientEntry("示例客户乙"), actor=house.actor("biz.sj"), now=house.now
    )
    service.add_basis(house.deps, saved.id, ["F07"], "B2", "P01", actor=house.actor("biz.sj"), now=house.now)
    _, item = house.filed(saved.id, pdf)
    share = ShareFact(
        "s", "GX", "DRAFT", "biz", purpose, None, None, "", frozenset(), frozenset(), frozenset(), {}, {}
    )
    found = Facts(house.now, share=share, **facts(house, [(item, 1)]))
    decision = release("copy", "submit", found, defaults())
    assert {c.code: c.state for c in decision.conditions}["BASIS"] == state


def test_releases_wait_while_a_case_is_amended(house, pdf):
    case, item = house.filed(house.client(), pdf)
    service.amend_case(house.deps, case, reason=WHY, actor=house.actor("arc1"), now=house.now)
    assert not facts(house, [(item, 1)])["items"][0].filed
    house.upload(item, pdf + b"%", who="arc1")
    service.submit_case(house.deps, case, actor=house.actor("arc1"), now=house.now)
    service.file_case(house.deps, case, actor=house.actor("arc2"), now=house.now)
    old, new = facts(house, [(item, 1), (item, 2)])["items"]
    assert (old.filed, old.newest, new.newest) == (True, False, True)


def test_a_voided_case_is_not_alive(house, pdf):
    case, item = house.reviewed(house.client(), pdf)
    service.void_case(house.deps, case, reason=WHY, actor=house.actor("arc2"), now=house.now)
    assert not facts(house, [(item, 1)])["items"][0].alive


def test_an_unfit_version_is_neither_markable_nor_intact(house):
    item = house.item(house.case(house.client()))
    house.upload(item, b"%PDF-1.7 broken")
    (fact,) = facts(house, [(item, 1)])["items"]
    assert not fact.markable and not fact.intact and not fact.filed


@pytest.mark.parametrize(
    ("who", "duty", "allowed"),
    [
        ("hod.sj", "P08", True),
        ("arc1", "P08", True),
        ("hod.sj", "P00", False),
        ("hod.gc", "P08", False),
        ("biz.sj", "P08", False),
        ("adm", "P08", False),
        ("sys", "P08", False),
    ],
)
def test_who_is_on_duty(house, pdf, who, duty, allowed):
    _, item = house.filed(house.client(), pdf)
    assert facts(house, [(item, 1)], way="duty_view", who=who, duty=duty)["duty"] is allowed


def test_the_gate_finds_the_archives_conditions_met(house, pdf):
    _, item = house.filed(house.client(), pdf)
    ask = Ask("copy", "submit", house.actor("biz.sj"), house.now, items=((item, 1),))
    with house.deps.database.read() as session:
        decision = release(
            "copy", "submit", gather(house.deps, session, ask), house.deps.parameters(session, house.now)
        )
    states = {c.code: c.state for c in decision.conditions}
    assert {code: states[code] for code in ("ALIVE", "FILED", "MARK", "BASIS")} == dict.fromkeys(
        ("ALIVE", "FILED", "MARK", "BASIS"), "met"
    )


@pytest.mark.parametrize(
    ("who", "count"),
    [
        ("biz.sj", 1),
        ("hod.sj", 1),
        ("biz.sj2", 0),
        ("biz.gc", 0),
        ("hod.gc", 0),
        ("arc1", 0),
        ("gm", 0),
        ("sys", 0),
    ],
)
def test_items_are_shared_by_their_owners_and_heads(house, pdf, who, count):
    client = house.client()
    _, item = house.filed(client, pdf)
    house.item(house.case(client))
    rows = service.items_for_share(house.deps, actor=house.actor(who), now=house.now)
    assert [r.id for r in rows] == [item] * count
    if rows:
        assert rows[0].number == "SG01-KH·2026·SJ-0001-001" and rows[0].markable and rows[0].version == 1
        assert (rows[0].title == "平面图") == (who == "hod.sj")
    with house.deps.database.read() as session:
        assert (
            service.shareable_item(session, item, actor=house.actor(who), now=house.now) is not None
        ) == bool(count)


def test_a_grant_lets_nobody_share(house, pdf):
    from datetime import timedelta

    case, _ = house.filed(house.client(), pdf)
    service.give_grant(
        house.deps,
        grantee=house.people["biz.gc"][0],
        client_id=None,
        case_id=case,
        classes=["F07"],
        purpose="P04",
        valid_from=house.now,
        valid_to=house.now + timedelta(days=1),
        reason="现场施工需要核对图纸尺寸。",
        actor=house.actor("hod.sj"),
        now=house.now,
    )
    assert service.items_for_share(house.deps, actor=house.actor("biz.gc"), now=house.now) == []
