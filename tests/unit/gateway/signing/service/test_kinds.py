"""Kinds of texts: supplements, entrusted processing, terms of use, and texts that demand a new signature."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from agreements.defaults import DEFAULTS
from gateway.errors import Invalid, NotFound
from gateway.release import Ask
from gateway.signing import queries, service
from gateway.signing.errors import BadAgreement
from gateway.signing.models import TermsAcceptance
from gateway.signing.service.facts import agreement_facts


def facts(room, contact="s1"):
    ask = Ask("copy", "reserve", room.world.actor("s1"), room.now, contact=room.world.id(contact))
    with room.deps.database.read() as session:
        return agreement_facts(room.deps, session, ask)


def activated(room, kind: str, version: str = "", *, resign: bool = False) -> str:
    text = DEFAULTS[kind]
    made = service.draft_template(
        room.deps, version or text.version, text.zh, text.en, kind=kind, resign=resign,
        actor=room.world.actor("adm"), now=room.now,
    )  # fmt: skip
    service.submit_template(room.deps, made, actor=room.world.actor("adm"), now=room.now)
    service.approve_template(room.deps, made, actor=room.world.actor("gm"), now=room.now)
    return made


@pytest.mark.parametrize("kind", ["ENTRUST", "SUPPLEMENT", "TERMS"])
def test_the_first_text_of_each_kind_can_be_activated_and_previewed(room, kind) -> None:
    made = activated(room, kind)
    assert room.template_state(made) == "ACTIVE"
    assert service.preview_pdf(room.deps, made, actor=room.world.actor("aud"), now=room.now)[:5] == b"%PDF-"


def test_activating_one_kind_leaves_the_others_active(room) -> None:
    activated(room, "SUPPLEMENT")
    assert room.row(room.draft()).kind == "NDA"


@pytest.mark.parametrize(
    ("kind", "lacks"), [("ENTRUST", "pi_return"), ("SUPPLEMENT", "parent_no"), ("NDA", "purpose")]
)
def test_each_kind_has_places_it_cannot_lack(room, kind, lacks) -> None:
    text = DEFAULTS[kind]
    with pytest.raises(BadAgreement) as refused:
        service.draft_template(
            room.deps, "X-1", text.zh.replace("{" + lacks + "}", "略"), text.en, kind=kind,
            actor=room.world.actor("adm"), now=room.now,
        )  # fmt: skip
    assert lacks in refused.value.text.zh


def test_an_unknown_kind_is_refused(room) -> None:
    text = DEFAULTS["NDA"]
    with pytest.raises(BadAgreement) as refused:
        service.draft_template(
            room.deps, "X-1", text.zh, text.en, kind="OTHER", actor=room.world.actor("adm"), now=room.now
        )
    assert refused.value.field == "kind"


def supplement(room, parent: str, **changes) -> str:
    return room.in_force(kind="SUPPLEMENT", parent=parent, classes=("F09",), **changes)


def test_a_supplement_widens_what_is_covered_and_names_its_agreement(room) -> None:
    activated(room, "SUPPLEMENT")
    parent = room.in_force()
    added = supplement(room, parent)
    row = room.row(added)
    assert (row.kind, row.parent_id, row.state) == ("SUPPLEMENT", parent, "IN_FORCE")
    assert room.row(parent).state == "IN_FORCE"
    assert row.values["parent_no"] == room.row(parent).number
    assert {tuple(sorted(a.classes)) for a in facts(room)["agreements"]} == {("F07", "F08"), ("F09",)}


def test_a_supplement_ends_with_what_it_supplements(room) -> None:
    activated(room, "SUPPLEMENT")
    parent = room.in_force()
    supplement(room, parent)
    service.terminate(
        room.deps, parent, "双方商定不再继续，另行处理", actor=room.world.actor("gm"), now=room.now
    )
    assert facts(room)["agreements"] == ()


def test_a_wide_supplement_does_not_renew_the_agreement_itself(room) -> None:
    activated(room, "SUPPLEMENT")
    parent = room.in_force()
    room.in_force(kind="SUPPLEMENT", parent=parent, classes=("F07", "F08", "F09"))
    assert room.row(parent).state == "IN_FORCE"


@pytest.mark.parametrize("parent", ["", "0" * 32])
def test_a_supplement_needs_an_agreement_in_force(room, parent) -> None:
    activated(room, "SUPPLEMENT")
    with pytest.raises(BadAgreement) as refused:
        room.draft(kind="SUPPLEMENT", parent=parent)
    assert refused.value.field == "parent"


def test_a_supplement_is_for_the_same_organisation_and_no_longer_than_its_agreement(room) -> None:
    activated(room, "SUPPLEMENT")
    parent = room.in_force()
    foreign = {"organisation": room.world.company.organisations["studio"], "signer": room.world.id("d1")}
    with pytest.raises(BadAgreement) as refused:
        room.draft(kind="SUPPLEMENT", parent=parent, **foreign)
    assert refused.value.field == "parent"
    with pytest.raises(BadAgreement) as refused:
        room.draft(kind="SUPPLEMENT", parent=parent, valid_to=room.scope().valid_to + timedelta(days=1))
    assert refused.value.field == "valid_to"


def test_entrusted_processing_alone_is_no_promise_of_secrecy(room) -> None:
    activated(room, "ENTRUST")
    room.in_force(kind="ENTRUST")
    assert facts(room)["agreements"] == ()


def test_the_record_of_entrusted_processing_is_bound_to_the_agreement(room) -> None:
    made = room.draft(method="线下查阅", safeguards="专人保管", disposal="当面返还")
    page = queries.agreement_page(room.deps, made, actor=room.world.actor("adm"), now=room.now)
    words = {text.zh: value for text, value in page.entrustment}
    assert (words["处理方式"], words["保护措施"], words["返还或删除"]) == ("线下查阅", "专人保管", "当面返还")
    assert words["处理期限"] and words["处理目的"] and words["个人信息种类"]
    other = room.draft(relation="NOPI")
    page = queries.agreement_page(room.deps, other, actor=room.world.actor("adm"), now=room.now)
    assert page.entrustment == ()


def test_a_text_that_demands_it_stops_what_was_signed_before_until_it_is_signed(room) -> None:
    old = room.in_force()
    before = room.row(old)
    activated(room, "NDA", "NDA-2", resign=True)
    assert room.row(old).state == "RESIGN"
    assert facts(room)["agreements"] == ()
    assert room.told("agreement.inside")
    new = room.in_force()
    assert [a.id for a in facts(room)["agreements"]] == [new]
    after = room.row(old)
    assert after.state == "RENEWED"
    assert (after.pdf_sha256, after.sealed_sha256) == (before.pdf_sha256, before.sealed_sha256)


def test_a_text_that_does_not_demand_it_leaves_agreements_standing(room) -> None:
    old = room.in_force()
    activated(room, "NDA", "NDA-2")
    assert room.row(old).state == "IN_FORCE"


def test_what_waits_to_be_signed_again_still_ends_on_its_day(room) -> None:
    old = room.in_force(valid_to=room.scope().valid_from + timedelta(days=1))
    activated(room, "NDA", "NDA-2", resign=True)
    room.world.clock.advance(days=3)
    room.sweep()
    assert room.row(old).state == "LAPSED"


def pledge(room) -> str:
    made = room.in_force()
    service.accept_pledge(room.deps, made, consent=True, actor=room.world.actor("s1"), now=room.now)
    return made


def accept(room, terms: str, who: str = "s1", *, consent: bool = True) -> None:
    service.accept_terms(room.deps, terms, consent=consent, actor=room.world.actor(who), now=room.now)


def test_each_contact_accepts_the_terms_of_use(room) -> None:
    pledge(room)
    assert facts(room)["pledge"] is True
    terms = activated(room, "TERMS")
    assert facts(room)["pledge"] is False
    accept(room, terms)
    accept(room, terms)
    assert facts(room)["pledge"] is True
    with room.deps.database.read() as session:
        assert len(session.scalars(select(TermsAcceptance)).all()) == 1
    found = queries.own_terms(room.deps, actor=room.world.actor("s1"))
    assert found is not None and found.accepted_at is not None


def test_new_terms_ask_again_only_where_they_say_so(room) -> None:
    pledge(room)
    accept(room, activated(room, "TERMS"))
    room.world.clock.advance(days=1)
    activated(room, "TERMS", "TERMS-2")
    assert facts(room)["pledge"] is True
    room.world.clock.advance(days=1)
    third = activated(room, "TERMS", "TERMS-3", resign=True)
    assert facts(room)["pledge"] is False
    accept(room, third)
    assert facts(room)["pledge"] is True


def test_terms_are_accepted_by_contacts_with_the_box_ticked(room) -> None:
    terms = activated(room, "TERMS")
    with pytest.raises(Invalid):
        accept(room, terms, consent=False)
    with pytest.raises(NotFound):
        service.accept_terms(room.deps, terms, consent=True, actor=room.world.actor("adm"), now=room.now)
    with pytest.raises(NotFound):
        accept(room, "0" * 32)
