"""Clients: validation, sealing, duplicates, revealing, legal bases."""

import sqlite3

import pytest

from gateway.archive import queries, service
from gateway.archive.models import Client
from gateway.archive.subjects import check_character
from gateway.errors import Invalid, NotAllowed, NotFound, WrongState

GOOD_ID = "11010519491231002X"
BAD_ID = "000000190001010001"
WHY = "客户当面出示证件，原件号码如此。"


def create(house, who="biz.sj", name="示例客户甲", **more):
    entry = service.ClientEntry(name, **more)
    return service.create_client(house.deps, entry, actor=house.actor(who), now=house.now)


def reveal(house, client, column, who, purpose="P01"):
    return service.reveal_field(house.deps, client, column, purpose, actor=house.actor(who), now=house.now)


def test_personal_fields_are_sealed_and_found_by_exact_search_only(house):
    saved = create(
        house, phone="138 0000 0000", id_type="RESIDENT", id_no=GOOD_ID.lower(), address="示例小区1幢101室"
    )
    actor = house.actor("biz.sj")
    for asked in ("示例客户甲", "13800000000", "138-0000-0000", GOOD_ID, "kh2026-0001"):
        rows = queries.client_list(house.deps, asked, actor=actor, now=house.now)
        assert [r.client_no for r in rows] == [saved.client_no], asked
    for asked in ("示例", "1380000000", GOOD_ID[:-1]):
        assert queries.client_list(house.deps, asked, actor=actor, now=house.now) == ()
    house.deps.database.close()
    with sqlite3.connect(house.deps.settings.home / "sealgate.db") as raw:
        text = "\n".join(raw.iterdump())
    raw.close()
    for clear in ("示例客户甲", "13800000000", GOOD_ID, "101室"):
        assert clear not in text and clear.encode().hex().upper() not in text


def test_an_identity_number_that_fails_needs_a_reason_and_is_marked(house):
    with pytest.raises(Invalid) as found:
        create(house, id_type="RESIDENT", id_no=BAD_ID)
    assert found.value.field == "reason"
    assert create(house, id_type="RESIDENT", id_no=BAD_ID, reason=WHY).id_unverified
    assert not create(house, id_type="RESIDENT", id_no=GOOD_ID).id_unverified
    assert [e["data"]["id_unverified"] for e in house.entries("client.created")] == [True, False]


def test_the_check_character_is_part_of_the_rule(house):
    number = "110105194912310" + "03"
    assert not create(house, id_type="RESIDENT", id_no=number + check_character(number)).id_unverified


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "x" * 61}),
        ("phone", {"phone": "12345"}),
        ("phone", {"phone": "100-0000-0001"}),
        ("id_type", {"id_no": GOOD_ID}),
        ("id_no", {"id_type": "RESIDENT", "id_no": "123"}),
        ("type", {"type": "ROBOT"}),
        ("status", {"status": ""}),
        ("owner", {"owner": "0" * 32}),
    ],
)
def test_entries_outside_the_rules_are_refused_by_field(house, field, more):
    with pytest.raises(Invalid) as found:
        create(house, **more)
    assert found.value.field == field


def test_duplicates_are_told_and_those_elsewhere_without_their_number(house):
    first = create(house, id_type="RESIDENT", id_no=GOOD_ID)
    assert create(house, name="示例客户乙", id_type="RESIDENT", id_no=GOOD_ID).duplicates == (
        first.client_no,
    )
    assert create(house, who="biz.gc", id_type="RESIDENT", id_no=GOOD_ID).duplicates == ("", "")


@pytest.mark.parametrize("who", ["gm", "dgm", "adm", "arc1", "aud", "sys"])
def test_only_business_staff_and_heads_register(house, who):
    with pytest.raises(NotAllowed):
        create(house, who=who)


def test_a_field_left_empty_keeps_what_is_stored(house):
    saved = create(house, phone="13800000000")
    entry = service.ClientEntry("", status="SIGNED")
    service.edit_client(house.deps, saved.id, entry, actor=house.actor("hod.sj"), now=house.now)
    assert reveal(house, saved.id, "phone", "hod.sj") == "13800000000"
    assert reveal(house, saved.id, "name", "hod.sj") == "示例客户甲"
    with pytest.raises(NotFound):
        service.edit_client(house.deps, saved.id, entry, actor=house.actor("hod.gc"), now=house.now)
    with pytest.raises(NotAllowed):
        service.edit_client(house.deps, saved.id, entry, actor=house.actor("arc1"), now=house.now)


@pytest.mark.parametrize(
    ("who", "refusal"),
    [
        ("gm", NotAllowed),
        ("adm", NotAllowed),
        ("aud", NotAllowed),
        ("biz.sj", NotAllowed),
        ("hod.gc", NotFound),
        ("sys", NotFound),
    ],
)
def test_a_field_is_revealed_to_whom_the_policy_names_and_each_time_recorded(house, who, refusal):
    saved = create(house, phone="13800000000")
    with pytest.raises(refusal):
        reveal(house, saved.id, "phone", who)
    assert house.entries("client.revealed") == []
    assert len(house.entries("refused")) == 1
    assert (
        reveal(house, saved.id, "phone", "hod.sj")
        == reveal(house, saved.id, "phone", "arc1")
        == "13800000000"
    )
    assert [(e["data"]["field_class"], e["data"]["purpose"]) for e in house.entries("client.revealed")] == [
        ("F02", "P01")
    ] * 2


def test_a_reveal_wants_a_purpose_and_something_to_show(house):
    saved = create(house)
    with pytest.raises(Invalid):
        reveal(house, saved.id, "name", "hod.sj", purpose="P00")
    for column in ("phone", "name_hash", "owner"):
        with pytest.raises(NotFound):
            reveal(house, saved.id, column, "hod.sj")


def test_what_cannot_be_recorded_is_not_revealed(house, monkeypatch):
    saved = create(house)

    def fail(*_, **__):
        raise OSError

    monkeypatch.setattr("gateway.archive.clients.record", fail)
    with pytest.raises(OSError):
        reveal(house, saved.id, "name", "hod.sj")


def test_a_client_whose_key_is_gone_stays_as_a_stub(house):
    saved = create(house)
    house.deps.keyring.destroy(f"field:client:{saved.id}")
    page = queries.client_page(house.deps, saved.id, actor=house.actor("hod.sj"), now=house.now)
    assert page.row.name == "****"
    with pytest.raises(NotFound):
        reveal(house, saved.id, "name", "hod.sj")


def test_a_basis_is_registered_ended_once_and_gone_from_the_facts(house):
    saved = create(house)
    actor = house.actor("biz.sj")
    with pytest.raises(Invalid) as found:
        service.add_basis(house.deps, saved.id, ["F07"], "B1", "P01", actor=actor, now=house.now)
    assert found.value.field == "notice_version"
    rows = service.add_basis(
        house.deps, saved.id, ["F07", "F08"], "B1", "P01", notice_version="2026-1", actor=actor, now=house.now
    )
    with house.deps.database.read() as session:
        assert service.has_basis(session, saved.id, ["F07", "F08"], "P01")
        assert not service.has_basis(session, saved.id, ["F07", "F08"], "P04")
        assert not service.has_basis(session, saved.id, ["F07", "F09"], "P01")
        assert not service.has_basis(session, saved.id, [], "P01")
    service.end_basis(
        house.deps, rows[0], reason="客户书面撤回同意，自今日起停止使用。", actor=actor, now=house.now
    )
    with house.deps.database.read() as session:
        assert not service.has_basis(session, saved.id, ["F07"], "P01")
        assert service.has_basis(session, saved.id, ["F08"], "P01")
    with pytest.raises(WrongState):
        service.end_basis(
            house.deps, rows[0], reason="客户书面撤回同意，自今日起停止使用。", actor=actor, now=house.now
        )


@pytest.mark.parametrize(
    "more", [{"basis": "B5"}, {"purpose": "P00"}, {"field_classes": []}, {"field_classes": ["F13"]}]
)
def test_bases_outside_the_vocabulary_are_refused(house, more):
    saved = create(house)
    given = {"field_classes": ["F07"], "basis": "B2", "purpose": "P01", **more}
    with pytest.raises(Invalid):
        service.add_basis(
            house.deps,
            saved.id,
            given["field_classes"],
            given["basis"],
            given["purpose"],
            actor=house.actor("biz.sj"),
            now=house.now,
        )


def test_clients_have_rows_of_their_own_number(house):
    create(house)
    create(house)
    with house.deps.database.read() as session:
        from sqlalchemy import select

        assert sorted(session.scalars(select(Client.client_no))) == ["KH2026-0001", "KH2026-0002"]
