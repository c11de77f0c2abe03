"""The life of a case: from intake to its file number, and who may do which step."""

import pytest
from sqlalchemy import select

from gateway.archive import service
from gateway.archive.models import Case, Item, ItemVersion
from gateway.errors import Invalid, NotAllowed, NotFound, StaleFactor, WrongState

WHY = "题名与内容不符，请更正后再提交。"


def state(house, case):
    with house.deps.database.read() as session:
        return session.get(Case, case).state


def act(house, name, case, who, **more):
    return getattr(service, f"{name}_case")(house.deps, case, actor=house.actor(who), now=house.now, **more)


def test_a_case_is_filed_by_two_archivists_and_gets_its_number(house, pdf):
    case, item = house.reviewed(house.client(), pdf)
    number = act(house, "file", case, "arc2")
    assert number == "SG01-KH·2026·SJ-0001"
    with house.deps.database.read() as session:
        row = session.get(Case, case)
        version = session.scalars(select(ItemVersion).where(ItemVersion.item_id == item)).one()
        assert (row.state, row.number, row.reviewed_by) == ("FILED", number, house.people["arc2"][0])
        assert row.temp_no == "LS-20261123-001"
        assert (version.state, version.kind, version.pages, version.markable) == ("READY", "pdf", 2, True)
        assert session.get(Item, item).version == 1
    assert [e["data"]["number"] for e in house.entries("case.file")] == [number]


@pytest.mark.parametrize(
    ("who", "refusal", "code"),
    [("arc1", NotAllowed, "SOD-2"), ("hod.sj", NotAllowed, "NOT_ALLOWED"), ("sys", NotFound, "NOT_FOUND")],
)
def test_filing_by_the_wrong_person_is_refused_recorded_and_spends_no_number(house, pdf, who, refusal, code):
    case, _ = house.reviewed(house.client(), pdf)
    with pytest.raises(refusal) as found:
        act(house, "file", case, who)
    assert found.value.code == code
    assert state(house, case) == "REVIEW"
    assert [(e["data"]["code"], e["data"]["verb"]) for e in house.entries("refused")] == [(code, "case.file")]
    assert act(house, "file", case, "arc2") == "SG01-KH·2026·SJ-0001"


def test_administration_may_confirm_and_needs_a_fresh_factor(house, pdf):
    from dataclasses import replace

    case, _ = house.reviewed(house.client(), pdf)
    actor = house.actor("adm")
    with pytest.raises(StaleFactor):
        service.file_case(house.deps, case, actor=replace(actor, mfa_at=None), now=house.now)
    assert act(house, "file", case, "adm").endswith("-0001")


def test_who_created_a_case_does_not_confirm_it(house, pdf):
    case = house.case(house.client(), who="arc2")
    house.upload(house.item(case, who="arc2"), pdf, who="arc2")
    act(house, "claim", case, "arc1")
    act(house, "submit", case, "arc1")
    with pytest.raises(NotAllowed, match="SOD-2"):
        act(house, "file", case, "arc2")


def test_an_incomplete_entry_is_not_sent_to_review(house, pdf):
    case = house.case(house.client(), media="MIXED")
    act(house, "claim", case, "arc1")
    with pytest.raises(WrongState) as found:
        act(house, "submit", case, "arc1")
    assert (
        found.value.code == "INCOMPLETE"
        and "存放位置" in found.value.text.zh
        and "卷内文件" in found.value.text.zh
    )
    item = house.item(case, who="arc1")
    service.edit_case(
        house.deps,
        case,
        service.CaseEntry("住宅", media="ELECTRONIC"),
        actor=house.actor("arc1"),
        now=house.now,
    )
    with pytest.raises(WrongState):
        act(house, "submit", case, "arc1")
    house.upload(item, pdf, who="arc1")
    act(house, "submit", case, "arc1")


def test_only_the_archivist_who_claimed_catalogues(house, pdf):
    case = house.case(house.client())
    house.upload(house.item(case), pdf)
    act(house, "claim", case, "arc1")
    with pytest.raises(WrongState):
        act(house, "claim", case, "arc2")
    with pytest.raises(NotAllowed):
        act(house, "submit", case, "arc2")
    for who in ("biz.sj", "hod.sj", "arc2"):
        with pytest.raises(NotAllowed):
            house.item(case, who=who)


def test_a_returned_case_goes_round_again_and_keeps_one_number(house, pdf):
    case, _ = house.reviewed(house.client(), pdf)
    with pytest.raises(Invalid):
        act(house, "return", case, "arc2", reason="短")
    act(house, "return", case, "arc2", reason=WHY)
    assert state(house, case) == "CATALOGUING"
    act(house, "submit", case, "arc1")
    number = act(house, "file", case, "arc2")
    act(house, "amend", case, "arc2", reason=WHY)
    act(house, "submit", case, "arc2")
    with pytest.raises(NotAllowed, match="SOD-2"):
        act(house, "file", case, "arc2")
    assert act(house, "file", case, "arc1") == number


def test_an_amendment_adds_a_version_keeps_the_old_and_tells_of_it(house, pdf):
    case, item = house.filed(house.client(), pdf)
    told = []
    house.deps.on(
        "item.superseded", lambda deps, session, event: told.append((event.object, event.data["version"]))
    )
    with pytest.raises(WrongState):
        house.upload(item, pdf, who="arc1")
    house.clock.forward(hours=1)
    act(house, "amend", case, "arc1", reason=WHY)
    house.upload(item, pdf + b"%", who="arc1")
    act(house, "submit", case, "arc1")
    act(house, "file", case, "arc2")
    assert told == [(("item", item), 2)]
    with house.deps.database.read() as session:
        states = list(session.scalars(select(ItemVersion.state).where(ItemVersion.item_id == item)))
        assert (states, session.get(Item, item).version) == (["READY", "READY"], 2)


def test_level_and_classes_of_a_filed_item_only_grow(house, pdf):
    case, item = house.filed(house.client(), pdf, classes=("F03", "F07"))
    act(house, "amend", case, "arc1", reason=WHY)
    for classes, level in ((("F07",), 3), (("F03", "F07"), 2)):
        entry = service.ItemEntry("平面图", "PLAN", classes, level)
        with pytest.raises(Invalid):
            service.edit_item(house.deps, item, entry, actor=house.actor("arc1"), now=house.now)
    entry = service.ItemEntry("平面图", "PLAN", ("F03", "F07", "F11"), 3)
    service.edit_item(house.deps, item, entry, actor=house.actor("arc1"), now=house.now)


def test_a_filed_case_is_voided_by_two_people_and_its_number_is_gone(house, pdf):
    client = house.client()
    case, _ = house.filed(client, pdf)
    act(house, "amend", case, "arc1", reason=WHY)
    with pytest.raises(WrongState):
        act(house, "void", case, "arc1", reason=WHY)
    act(house, "submit", case, "arc1")
    with pytest.raises(NotAllowed, match="SOD-2"):
        act(house, "void", case, "arc1", reason=WHY)
    act(house, "void", case, "arc2", reason=WHY)
    assert state(house, case) == "VOID"
    other, _ = house.reviewed(client, pdf)
    assert act(house, "file", other, "arc2") == "SG01-KH·2026·SJ-0002"


@pytest.mark.parametrize(
    ("who", "refusal"),
    [
        ("biz.sj2", NotFound),
        ("biz.gc", NotFound),
        ("hod.gc", NotFound),
        ("gm", NotAllowed),
        ("sys", NotFound),
    ],
)
def test_cases_are_opened_for_ones_own_clients_only(house, who, refusal):
    client = house.client()
    with pytest.raises(refusal):
        house.case(client, who=who)


@pytest.mark.parametrize(
    "entry",
    [
        {"year": 2027},
        {"year": 1999},
        {"category": "XX"},
        {"retention": "BG9"},
        {"media": ""},
        {"location": "x" * 61},
    ],
)
def test_entries_outside_the_vocabulary_are_refused(house, entry):
    client = house.client()
    with pytest.raises(Invalid) as found:
        house.case(client, **entry)
    assert found.value.field == next(iter(entry))


def test_titles_stay_out_of_the_log(house, pdf):
    from gateway.audit.models import Leaf

    client = house.client(name="示例客户甲")
    case = house.case(client, title="示例客户甲的住宅")
    house.upload(house.item(case), pdf, name="示例客户甲.pdf")
    with house.deps.database.read() as session:
        bodies = [leaf.body for leaf in session.scalars(select(Leaf))]
    assert bodies and not any("示例客户甲".encode() in bytes(b) for b in bodies)
