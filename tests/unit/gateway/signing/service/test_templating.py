"""The agreement's text: drafting, approving, retiring."""

from dataclasses import replace
from datetime import timedelta

import pytest

from agreements.text import DEFAULT
from gateway.errors import Invalid, NotAllowed, NotFound, StaleFactor, TamperedRow, WrongState
from gateway.signing import service
from gateway.signing.errors import BadAgreement
from gateway.signing.template_queries import template_list


def drafted(room, version="NDA-2", zh=DEFAULT.zh, en=DEFAULT.en, who="adm"):
    return service.draft_template(room.deps, version, zh, en, actor=room.world.actor(who), now=room.now)


def act(room, event, template, who, **more):
    getattr(service, f"{event}_template")(
        room.deps, template, *more.values(), actor=room.world.actor(who), now=room.now
    )


def test_a_new_version_takes_over_and_the_old_one_is_retired(room) -> None:
    old = room.row(room.draft()).template_id
    template = drafted(room)
    act(room, "submit", template, "adm")
    act(room, "approve", template, "gm")
    assert (room.template_state(template), room.template_state(old)) == ("ACTIVE", "RETIRED")
    assert room.row(room.draft()).template_id == template
    assert room.world.leaves("template.retire")


def test_agreements_of_a_retired_version_stand(room) -> None:
    agreement = room.sent()
    template = drafted(room)
    act(room, "submit", template, "adm")
    act(room, "approve", template, "gm")
    room.sign(agreement)
    room.countersign(agreement)
    assert room.row(agreement).state == "IN_FORCE"


def test_sent_back_it_may_be_handed_in_again(room) -> None:
    template = drafted(room)
    act(room, "submit", template, "adm")
    with pytest.raises(Invalid):
        act(room, "return", template, "gm", reason="不行")
    act(room, "return", template, "gm", reason="第八条的时限须与参数一致")
    assert room.template_state(template) == "DRAFT"
    act(room, "submit", template, "adm")
    assert room.template_state(template) == "REVIEW"


@pytest.mark.parametrize(
    ("event", "who"), [("submit", "gm"), ("submit", "arc1"), ("approve", "adm"), ("approve", "dgm")]
)
def test_other_roles_may_not(room, event, who) -> None:
    template = drafted(room)
    if event == "approve":
        act(room, "submit", template, "adm")
    before = room.everything()
    with pytest.raises(NotAllowed):
        act(room, event, template, who)
    assert room.everything() == before


def test_only_administration_drafts(room) -> None:
    with pytest.raises(NotAllowed):
        drafted(room, who="gm")


def test_who_drafted_it_does_not_approve_it(room) -> None:
    template = drafted(room)
    act(room, "submit", template, "adm")
    adm = room.world.actor("adm")
    both = replace(adm, roles=adm.roles | room.world.actor("gm").roles)
    with pytest.raises(NotAllowed) as refusal:
        service.approve_template(room.deps, template, actor=both, now=room.now)
    assert refusal.value.code == "SOD-1"
    stale = replace(room.world.actor("gm"), mfa_at=room.now - timedelta(minutes=11))
    with pytest.raises(StaleFactor):
        service.approve_template(room.deps, template, actor=stale, now=room.now)
    assert room.template_state(template) == "REVIEW"


def test_steps_out_of_order_are_refused(room) -> None:
    template = drafted(room)
    with pytest.raises(WrongState):
        act(room, "approve", template, "gm")
    with pytest.raises(NotFound):
        act(room, "approve", "0" * 32, "gm")


BAD = {
    "version": {"version": " "},
    "long version": {"version": "v" * 21},
    "taken version": {"version": "NDA-1"},
    "zh": {"zh": " "},
    "en": {"en": ""},
    "unknown place": {"zh": DEFAULT.zh + "{secret}"},
    "stray brace": {"zh": DEFAULT.zh + "{及不可见追踪标记}"},
    "lacks the partner": {"zh": DEFAULT.zh.replace("{partner_name}", "乙方")},
    "no glyph": {"en": DEFAULT.en + "\U0001f600"},
    "too long": {"zh": DEFAULT.zh + "条" * 30_000},
}


@pytest.mark.parametrize("case", BAD)
def test_a_text_that_cannot_become_an_agreement_is_refused(room, case) -> None:
    before = room.everything()
    with pytest.raises(BadAgreement) as refusal:
        drafted(room, **BAD[case])
    assert refusal.value.field == ("en" if case == "en" else "version" if "version" in case else "zh")
    assert room.everything() == before


def test_the_preview_is_a_document_for_those_who_decide(room) -> None:
    template = drafted(room)
    for who in ("adm", "gm", "aud"):
        assert service.preview_pdf(room.deps, template, actor=room.world.actor(who), now=room.now).startswith(
            b"%PDF-"
        )
    with pytest.raises(NotAllowed):
        service.preview_pdf(room.deps, template, actor=room.world.actor("arc1"), now=room.now)
    with pytest.raises(NotFound):
        service.preview_pdf(room.deps, "0" * 32, actor=room.world.actor("gm"), now=room.now)


def test_a_text_changed_from_outside_is_not_used(room) -> None:
    with room.deps.database.engine.connect() as connection:
        connection.exec_driver_sql("UPDATE template SET zh = replace(zh, '不得', '可以')")
        connection.commit()
    with pytest.raises(TamperedRow):
        room.draft()


def test_the_default_is_made_once(room) -> None:
    found = service.ensure_default(
        room.deps, adm=room.world.actor("adm"), gm=room.world.actor("gm"), now=room.now
    )
    rows = template_list(room.deps, actor=room.world.actor("adm"))
    assert [(r.id, r.version, r.state_name) for r in rows] == [(found, "NDA-1", "ACTIVE")]
