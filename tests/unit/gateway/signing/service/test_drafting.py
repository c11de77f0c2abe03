"""Drafting, sending and voiding."""

from datetime import timedelta

import pytest

from agreements.render import digest
from gateway.errors import Invalid, NotAllowed
from gateway.identity import service as identity
from gateway.signing import service
from gateway.signing.errors import BadAgreement, Overdue
from gateway.signing.rules import CLASSES, first_day, last_day


def test_a_draft_holds_the_whole_scope(room) -> None:
    clients = tuple(room.world.company.clients[n] for n in ("示例客户丙", "示例客户甲"))
    agreement = room.draft(clients=clients, classes=("F08", "F07", "F07"), purposes=("P03", "P01"))
    row, scope = room.row(agreement), room.scope()
    assert (row.state, row.clients, row.classes, row.purposes) == (
        "DRAFT",
        sorted(clients),
        ["F07", "F08"],
        ["P01", "P03"],
    )
    assert (first_day(row.valid_from), last_day(row.valid_to)) == (scope.valid_from, scope.valid_to)
    assert row.values["client_scope"] == "客户编号 KH2026-0001、KH2026-0003"
    assert row.values["contact_list"] == "供应商联系人一、供应商联系人二"
    assert "示例客户" not in str(row.values)
    assert row.pdf_sha256 is None


def test_numbers_count_up_and_a_refused_draft_takes_none(room) -> None:
    first = room.row(room.draft()).number
    with pytest.raises(BadAgreement):
        room.draft(liability="")
    assert (first[:3], int(room.row(room.draft()).number[-4:])) == ("BM-", int(first[-4:]) + 1)


def test_another_purpose_is_written_out(room) -> None:
    agreement = room.draft(purposes=("P01", "P99"), purpose_note="样板间摄影")
    assert room.row(agreement).values["purpose"] == "量房设计、其他：样板间摄影"


BAD = {
    "organisation": {"organisation": "0" * 32},
    "signer": {"signer": "0" * 32},
    "no classes": {"classes": ()},
    "unknown class": {"classes": ("F13",)},
    "no purposes": {"purposes": ()},
    "unknown purpose": {"purposes": ("P10",)},
    "unexplained purpose": {"purposes": ("P99",)},
    "relation": {"relation": "JOINT"},
    "no clients": {"clients": ()},
    "unknown client": {"clients": ("0" * 32,)},
    "no liability": {"liability": " \n "},
    "no forum": {"forum": ""},
    "hidden characters": {"incident_contact": "行政部\u202e0000"},
    "too long": {"contact_list": "甲" * 2001},
    "no glyph": {"liability": "赔偿 \U0001f600"},
}
FIELD = {
    "unexplained purpose": "purpose_note",
    "hidden characters": "incident_contact",
    "too long": "contact_list",
    "no glyph": "organisation",
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_agreed_is_named_by_its_field(room, case) -> None:
    before = room.everything()
    with pytest.raises(BadAgreement) as refusal:
        room.draft(**BAD[case])
    assert refusal.value.field == FIELD.get(case, next(iter(BAD[case])))
    assert room.everything() == before


@pytest.mark.parametrize(("days", "good"), [(-1, False), (0, True), (1094, True), (1095, False)])
def test_terms_within_the_policy(room, days, good) -> None:
    last = room.scope().valid_from + timedelta(days=days)
    if good:
        assert room.draft(valid_to=last)
    else:
        with pytest.raises(BadAgreement):
            room.draft(valid_to=last)


def test_a_term_that_is_over_is_no_term_but_one_that_ends_today_is(room) -> None:
    today = room.scope().valid_from
    assert room.draft(valid_from=today - timedelta(days=9), valid_to=today)
    with pytest.raises(BadAgreement):
        room.draft(valid_from=today - timedelta(days=9), valid_to=today - timedelta(days=1))


def test_the_signer_is_of_that_organisation_and_authorised(room) -> None:
    for signer in ("s2", "d1"):
        with pytest.raises(BadAgreement) as refusal:
            room.draft(signer=room.world.id(signer))
        assert refusal.value.field == "signer"


def test_a_stopped_organisation_gets_no_agreement(room) -> None:
    organisation = room.world.company.organisations["supplier"]
    identity.change_organisation_state(
        room.deps,
        organisation,
        "suspend",
        reason="对方停业整顿，暂停合作",
        actor=room.world.actor("adm"),
        now=room.now,
    )
    with pytest.raises(BadAgreement):
        room.draft()


@pytest.mark.parametrize("who", ["gm", "dgm", "arc1", "biz.sj", "s1"])
def test_only_administration_drafts(room, who) -> None:
    with pytest.raises(NotAllowed):
        room.draft(who)
    assert room.refusals()[-1] == ("agreement.draft", "NOT_ALLOWED")


def test_sending_fixes_the_document(room) -> None:
    agreement = room.sent(classes=CLASSES)
    row = room.row(agreement)
    assert row.pdf_sha256 == digest(room.stored(agreement))
    assert row.sign_by == row.sent_at + timedelta(days=14)
    assert room.told("agreement.sent") == [("contact", room.world.id("s1"))]


def test_nobody_else_touches_the_store(room) -> None:
    agreement = room.draft()
    before = room.everything()
    with pytest.raises(NotAllowed):
        service.send(room.deps, agreement, actor=room.world.actor("arc1"), now=room.now)
    assert room.everything() == before


def test_a_send_that_was_cut_short_goes_on_with_what_is_stored(room) -> None:
    agreement = room.draft()
    early = service.pdf_bytes(room.deps, agreement, actor=room.world.actor("adm"), now=room.now)
    room.deps.evidence.put(f"agreement-{agreement}", 1, iter([early]))
    service.send(room.deps, agreement, actor=room.world.actor("adm"), now=room.now)
    assert room.stored(agreement) == early
    assert room.row(agreement).pdf_sha256 == digest(early)


def test_a_draft_whose_term_is_over_is_not_sent(room) -> None:
    agreement = room.draft(valid_to=room.scope().valid_from)
    room.world.clock.advance(days=1)
    with pytest.raises(Overdue):
        service.send(room.deps, agreement, actor=room.world.actor("adm"), now=room.now)


def test_voiding_needs_a_reason_and_is_told_to_who_has_signed(room) -> None:
    agreement = room.sent()
    with pytest.raises(Invalid):
        service.void(room.deps, agreement, "错了", actor=room.world.actor("adm"), now=room.now)
    room.sign(agreement)
    service.void(room.deps, agreement, "范围写错，重新起草一份", actor=room.world.actor("gm"), now=room.now)
    assert room.told("agreement.ended") == [("contact", room.world.id("s1"))]
