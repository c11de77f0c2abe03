"""Role by relation on real rows: what appears, what opens, what a grant changes."""

from datetime import timedelta

import pytest

from gateway.archive import queries, service
from gateway.archive.models import Case, Item, KnowGrant
from gateway.archive.results import CaseFilter
from gateway.archive.visibility import may_see
from gateway.errors import Invalid, NotAllowed, NotFound, StaleFactor, WrongState

WHY = "现场施工需要核对图纸尺寸。"
ALL = ["gm", "dgm", "adm", "hod.sj", "hod.gc", "biz.sj", "biz.sj2", "biz.gc", "arc1", "aud", "sys"]
LISTS = {"gm", "dgm", "adm", "aud", "hod.sj", "biz.sj", "arc1"}
READS = {"hod.sj", "arc1"}


def scope(house, who, item):
    with house.deps.database.read() as session:
        return may_see(session, house.actor(who), session.get(Item, item), house.now)


def give(
    house, classes, who="hod.sj", grantee="biz.gc", days=7, purpose="P04", reason=WHY, start=None, **target
):
    return service.give_grant(
        house.deps,
        grantee=house.people[grantee][0],
        client_id=target.get("client"),
        case_id=target.get("case"),
        classes=list(classes),
        purpose=purpose,
        valid_from=start or house.now,
        valid_to=house.now + timedelta(days=days),
        reason=reason,
        actor=house.actor(who),
        now=house.now,
    )


@pytest.mark.parametrize("who", ALL)
def test_a_filed_item_is_seen_by_those_the_policy_names(house, pdf, who):
    client = house.client()
    case, item = house.filed(client, pdf)
    found = scope(house, who, item)
    assert found.listed == (who in LISTS)
    assert found.reads(["F07"]) == (who in READS)
    actor = house.actor(who)
    rows = queries.case_list(house.deps, CaseFilter(), actor=actor, now=house.now).rows
    assert [r.id for r in rows] == ([case] if who in LISTS else [])
    if who in LISTS:
        titled = queries.case_page(house.deps, case, actor=actor, now=house.now).row.title == "住宅装修"
        assert titled == (who in READS)
        assert queries.item_page(house.deps, item, actor=actor, now=house.now).viewable == (who in READS)
    else:
        for read, key in (
            (queries.case_page, case),
            (queries.item_page, item),
            (queries.client_page, client),
        ):
            with pytest.raises(NotFound):
                read(house.deps, key, actor=actor, now=house.now)
    if who not in READS:
        with pytest.raises(NotFound):
            queries.viewable(house.deps, item, 1, actor=actor, now=house.now)


def test_a_business_persons_own_case_closes_at_hand_over(house, pdf):
    case = house.case(house.client())
    item = house.item(case)
    house.upload(item, pdf)
    assert scope(house, "biz.sj", item).reads(["F07"])
    service.claim_case(house.deps, case, actor=house.actor("arc1"), now=house.now)
    assert not scope(house, "biz.sj", item).reads(["F07"])
    assert scope(house, "biz.sj", item).listed


@pytest.mark.parametrize("target", ["client", "case"])
def test_a_grant_opens_its_classes_for_its_time(house, pdf, target):
    client = house.client()
    case, item = house.filed(client, pdf)
    grant = give(house, ["F07"], **{target: client if target == "client" else case})
    assert scope(house, "biz.gc", item).reads(["F07"])
    assert not scope(house, "biz.gc", item).reads(["F07", "F08"])
    assert not scope(house, "biz.sj2", item)
    house.clock.forward(days=7)
    assert not scope(house, "biz.gc", item)
    house.clock.forward(days=-1)
    service.end_grant(
        house.deps, grant, reason="核对工作已经完成，提前收回。", actor=house.actor("hod.sj"), now=house.now
    )
    assert not scope(house, "biz.gc", item)
    with pytest.raises(WrongState):
        service.end_grant(
            house.deps,
            grant,
            reason="核对工作已经完成，提前收回。",
            actor=house.actor("hod.sj"),
            now=house.now,
        )


def test_a_level_3_grant_takes_an_archivist_too(house, pdf):
    case, item = house.filed(house.client(), pdf, classes=("F03",))
    grant = give(house, ["F03"], case=case)
    assert not scope(house, "biz.gc", item)
    for who, refusal in (("hod.sj", NotFound), ("biz.gc", NotFound), ("sys", NotFound)):
        with pytest.raises(refusal):
            service.confirm_grant(house.deps, grant, actor=house.actor(who), now=house.now)
    service.confirm_grant(house.deps, grant, actor=house.actor("arc1"), now=house.now)
    assert scope(house, "biz.gc", item).reads(["F03"])
    assert "F03" in scope(house, "biz.gc", item).reveal
    with pytest.raises(WrongState):
        service.confirm_grant(house.deps, grant, actor=house.actor("arc2"), now=house.now)


def test_a_grant_to_the_deputy_opens_files_and_reveals_nothing(house, pdf):
    case, item = house.filed(house.client(), pdf)
    give(house, ["F07"], grantee="dgm", case=case)
    found = scope(house, "dgm", item)
    assert found.reads(["F07"]) and not found.reveal


@pytest.mark.parametrize(
    ("more", "refusal"),
    [
        ({"who": "hod.gc"}, NotFound),
        ({"who": "arc1"}, NotAllowed),
        ({"who": "biz.sj"}, NotAllowed),
        ({"who": "sys"}, NotFound),
        ({"grantee": "hod.sj"}, NotAllowed),
        ({"grantee": "aud"}, Invalid),
        ({"grantee": "sys"}, Invalid),
        ({"days": 91}, Invalid),
        ({"days": 0}, Invalid),
        ({"purpose": "P00"}, Invalid),
        ({"reason": "短"}, Invalid),
        ({"classes": []}, Invalid),
    ],
)
def test_grants_outside_the_rules_are_refused(house, pdf, more, refusal):
    case, _ = house.filed(house.client(), pdf)
    given = {"classes": ["F07"], "case": case, **more}
    with pytest.raises(refusal):
        give(house, given.pop("classes"), **given)
    with house.deps.database.read() as session:
        assert session.query(KnowGrant).count() == 0


def test_a_grant_names_one_target_and_needs_a_fresh_factor(house, pdf):
    client = house.client()
    case, _ = house.filed(client, pdf)
    with pytest.raises(Invalid):
        give(house, ["F07"], case=case, client=client)
    with pytest.raises(StaleFactor):
        service.give_grant(
            house.deps,
            grantee=house.people["biz.gc"][0],
            client_id=client,
            case_id=None,
            classes=["F07"],
            purpose="P04",
            valid_from=house.now,
            valid_to=house.now + timedelta(days=1),
            reason=WHY,
            actor=house.actor("hod.sj"),
            now=house.now + timedelta(minutes=11),
        )


def test_strangers_to_a_grant_cannot_end_or_list_it(house, pdf):
    case, _ = house.filed(house.client(), pdf)
    grant = give(house, ["F07"], case=case)
    for who in ("hod.gc", "biz.sj2", "gm", "sys"):
        with pytest.raises(NotFound):
            service.end_grant(house.deps, grant, reason=WHY, actor=house.actor(who), now=house.now)
    seen = {who for who in ALL if queries.grant_list(house.deps, actor=house.actor(who), now=house.now)}
    assert seen == {"hod.sj", "arc1", "biz.gc"}


def test_the_catalogue_is_filtered_and_numbers_are_folded(house, pdf):
    client = house.client()
    case, _ = house.filed(client, pdf, classes=("F03",))
    other = house.case(client)

    def found(**asked):
        rows = queries.case_list(
            house.deps, CaseFilter(**asked), actor=house.actor("arc1"), now=house.now
        ).rows
        return {r.id for r in rows}

    assert found() == {case, other}
    assert found(state="FILED") == found(level=3) == found(number="ｓｇ01-kh•2026.sj") == {case}
    assert found(number="ls-20261123-002") == found(level=1) == {other}
    assert found(department=house.departments["SJ"], year=2026) == {case, other}
    assert found(department=house.departments["GC"]) == found(year=2025) == found(number="%") == set()


def test_a_case_moved_to_another_department_is_seen_by_its_new_head(house, pdf):
    case, item = house.filed(house.client(), pdf)
    with house.deps.database.write() as session:
        session.get(Case, case).department_id = house.departments["GC"]
    assert scope(house, "hod.gc", item).reads(["F07"]) and not scope(house, "hod.sj", item)
