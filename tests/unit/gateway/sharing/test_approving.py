"""Deciding on a share: the right person at each stage, nobody on their own request, nobody twice, only what was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import Invalid, NotAllowed, NotFound, Refused, StaleFactor, Withheld, WrongState
from gateway.identity import service as identity
from gateway.identity.models import RoleGrant
from gateway.principal import Role
from gateway.sharing import service as sharing
from gateway.sharing.errors import BadShare, NotDraft, SelfApproval
from gateway.sharing.models import Approval
from gateway.sharing.service.drafting import Wish
from tests.factories import World, copy_world

WHY = "内容与用途不符，请补充说明"
EVERYBODY = ("gm", "dgm", "adm", "hod.sj", "hod.gc", "biz.sj", "biz.gc", "arc1", "arc2", "aud", "sys", "s1")


@pytest.fixture(scope="module")
def template_filed(template: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, list[str]]:
    """A company with an agreement in force and two filed items."""
    world = copy_world(template, tmp_path_factory.mktemp("filed") / "home")
    items = world.filed_items(2)
    world.agreement()
    return world, items


@pytest.fixture
def filed(template_filed: tuple[World, list[str]], tmp_path: Path) -> Iterator[tuple[World, list[str]]]:
    """The same for this test alone."""
    made = copy_world(template_filed[0], tmp_path / "home")
    yield made, template_filed[1]
    made.deps.database.close()


def consent(world: World, share: str, name: str) -> None:
    """One consent to what stands there now."""
    seen = world.share(share).version_hash
    sharing.consent(world.deps, share, version_hash=seen, actor=world.actor(name), now=world.now())


def grant(world: World, name: str, role: Role) -> None:
    """A further role for somebody, through the product."""
    made = identity.propose_role(world.deps, world.id(name), role, actor=world.actor("adm"), now=world.now())
    with world.deps.database.read() as session:
        waiting = session.get_one(RoleGrant, made).state == "PROPOSED"
    if waiting:
        identity.confirm_role(world.deps, made, actor=world.actor("gm"), now=world.now())


def submitted(world: World, items: list[str], requester: str = "biz.sj", purpose: str = "P03") -> str:
    """A share handed in by somebody; P99 is a major matter."""
    wish = Wish("平面图", tuple(items), (world.id("s1"),), purpose, "其他用途的说明，供测试使用")
    made = sharing.draft(world.deps, wish, actor=world.actor(requester), now=world.now())
    sharing.submit(world.deps, made, actor=world.actor(requester), now=world.now())
    return made


def at_stage(world: World, items: list[str], stage: str) -> str:
    """A share by biz.sj that waits at a stage; made a major matter by its validity."""
    wish = Wish("平面图", tuple(items), (world.id("s1"),), "P03", valid_days=8)
    share = sharing.draft(world.deps, wish, actor=world.actor("biz.sj"), now=world.now())
    sharing.submit(world.deps, share, actor=world.actor("biz.sj"), now=world.now())
    for state, name in (("DEPT_REVIEW", "hod.sj"), ("ARC_REVIEW", "arc1")):
        if world.share(share).state == state != stage:
            consent(world, share, name)
    assert world.share(share).state == stage
    return share


RIGHT = {"DEPT_REVIEW": {"hod.sj"}, "ARC_REVIEW": {"arc1", "arc2"}, "GM_REVIEW": {"gm"}}


@pytest.mark.parametrize("stage", RIGHT)
def test_only_the_right_person_decides_at_a_stage(filed: tuple[World, list[str]], stage: str) -> None:
    world, items = filed
    share = at_stage(world, items, stage)
    seen = world.share(share).version_hash
    for name in EVERYBODY:
        if name in RIGHT[stage]:
            continue
        actor = world.actor(name)
        decisions: list[Callable[[], None]] = [
            lambda a=actor: sharing.consent(world.deps, share, version_hash=seen, actor=a, now=world.now()),
            lambda a=actor: sharing.reject(world.deps, share, WHY, actor=a, now=world.now()),
            lambda a=actor: sharing.send_back(world.deps, share, WHY, actor=a, now=world.now()),
        ]
        for decide in decisions:
            with pytest.raises(NotAllowed):
                decide()
    assert world.share(share).state == stage
    assert len(world.leaves("refused")) == 3 * (len(EVERYBODY) - len(RIGHT[stage]))
    consent(world, share, sorted(RIGHT[stage])[0])
    assert world.share(share).state != stage


def test_the_head_s_own_request_goes_to_the_deputy_general_manager(filed: tuple[World, list[str]]) -> None:
    world, items = filed
    share = submitted(world, items, "hod.sj")
    for name in ("hod.sj", "hod.gc", "gm", "arc1"):
        with pytest.raises(NotAllowed):
            consent(world, share, name)
    consent(world, share, "dgm")
    assert world.share(share).state == "ARC_REVIEW"


def test_an_archivist_who_asked_does_not_decide(filed: tuple[World, list[str]]) -> None:
    world, items = filed
    share = submitted(world, items)
    consent(world, share, "hod.sj")
    both = replace(world.actor("biz.sj"), roles=frozenset({Role.BIZ, Role.ARC}))
    seen = world.share(share).version_hash
    with pytest.raises(SelfApproval):
        sharing.consent(world.deps, share, version_hash=seen, actor=both, now=world.now())
    with pytest.raises(SelfApproval):
        sharing.reject(world.deps, share, WHY, actor=both, now=world.now())
    consent(world, share, "arc2")
    assert world.share(share).state == "ACTIVE"


def test_a_general_manager_who_asked_does_not_decide(filed: tuple[World, list[str]]) -> None:
    world, items = filed
    share = at_stage(world, items, "GM_REVIEW")
    both = replace(world.actor("biz.sj"), roles=frozenset({Role.BIZ, Role.GM}))
    seen = world.share(share).version_hash
    with pytest.raises(SelfApproval):
        sharing.consent(world.deps, share, version_hash=seen, actor=both, now=world.now())
    assert world.share(share).state == "GM_REVIEW"


def test_one_person_does_not_decide_two_stages(filed: tuple[World, list[str]]) -> None:
    world, items = filed
    grant(world, "hod.sj", Role.ARC)
    share = submitted(world, items)
    consent(world, share, "hod.sj")
    with pytest.raises(SelfApproval):
        consent(world, share, "hod.sj")
    assert world.share(share).state == "ARC_REVIEW"
    consent(world, share, "arc1")


def test_a_consent_needs_a_fresh_second_factor(filed: tuple[World, list[str]]) -> None:
    world, items = filed
    share = submitted(world, items)
    seen = world.share(share).version_hash
    stale = world.actor("hod.sj")
    world.clock.advance(minutes=11)
    with pytest.raises(StaleFactor):
        sharing.consent(world.deps, share, version_hash=seen, actor=stale, now=world.now())
    with pytest.raises(StaleFactor):
        sharing.consent(
            world.deps, share, version_hash=seen, actor=replace(stale, mfa_at=None), now=world.now()
        )


def test_a_consent_binds_to_what_was_seen(filed: tuple[World, list[str]]) -> None:
    world, items = filed
    share = submitted(world, items)
    with pytest.raises(WrongState):
        sharing.consent(
            world.deps, share, version_hash="0" * 64, actor=world.actor("hod.sj"), now=world.now()
        )
    assert world.share(share).state == "DEPT_REVIEW"


def test_a_consent_after_its_deadline_is_refused_even_before_the_sweep(
    filed: tuple[World, list[str]],
) -> None:
    world, items = filed
    share = submitted(world, items)
    world.clock.advance(days=7)
    for decide in (sharing.reject, sharing.send_back):
        with pytest.raises(WrongState):
            decide(world.deps, share, WHY, actor=world.actor("hod.sj"), now=world.now())
    with pytest.raises(WrongState):
        consent(world, share, "hod.sj")


def test_taking_back_voids_the_approvals_given(filed: tuple[World, list[str]]) -> None:
    world, items = filed
    share = submitted(world, items)
    consent(world, share, "hod.sj")
    with pytest.raises(NotDraft):
        sharing.edit(world.deps, share, _wish(world, items[:1]), actor=world.actor("biz.sj"), now=world.now())
    with pytest.raises(NotFound):
        sharing.take_back(world.deps, share, actor=world.actor("hod.sj"), now=world.now())
    sharing.take_back(world.deps, share, actor=world.actor("biz.sj"), now=world.now())
    assert _decisions(world) == ["VOID"] and world.share(share).state == "DRAFT"
    sharing.submit(world.deps, share, actor=world.actor("biz.sj"), now=world.now())
    assert world.share(share).state == "DEPT_REVIEW"
    consent(world, share, "hod.sj")
    consent(world, share, "arc1")
    assert world.share(share).state == "ACTIVE"
    assert sorted(_decisions(world)) == ["CONSENT", "CONSENT", "VOID"]


def _wish(world: World, items: list[str]) -> Wish:
    return Wish("平面图", tuple(items), (world.id("s1"),), "P03")


def _decisions(world: World) -> list[str]:
    with world.deps.database.read() as session:
        return [row.decision for row in session.query(Approval)]


def test_sending_back_voids_the_approvals_and_an_edit_changes_what_they_bind_to(
    filed: tuple[World, list[str]],
) -> None:
    world, items = filed
    share = submitted(world, items)
    consent(world, share, "hod.sj")
    before = world.share(share).version_hash
    sharing.send_back(world.deps, share, WHY, actor=world.actor("arc1"), now=world.now())
    assert sorted(_decisions(world)) == ["RETURN", "VOID"]
    sharing.edit(world.deps, share, _wish(world, items[:1]), actor=world.actor("biz.sj"), now=world.now())
    assert world.share(share).version_hash != before
    sharing.submit(world.deps, share, actor=world.actor("biz.sj"), now=world.now())
    with pytest.raises(WrongState):
        sharing.consent(world.deps, share, version_hash=before, actor=world.actor("hod.sj"), now=world.now())


def test_a_rejection_needs_its_reason_and_ends_the_request(filed: tuple[World, list[str]]) -> None:
    world, items = filed
    share = submitted(world, items)
    with pytest.raises(Invalid):
        sharing.reject(world.deps, share, "不行", actor=world.actor("hod.sj"), now=world.now())
    sharing.reject(world.deps, share, WHY, actor=world.actor("hod.sj"), now=world.now())
    assert world.share(share).state == "REJECTED"
    for again in ("hod.sj", "arc1"):
        with pytest.raises(WrongState):
            consent(world, share, again)


def test_an_unknown_share_is_not_found(filed: tuple[World, list[str]]) -> None:
    world, _ = filed
    with pytest.raises(NotFound):
        sharing.consent(world.deps, "0" * 32, version_hash="", actor=world.actor("hod.sj"), now=world.now())


def test_only_the_applicant_goes_on_with_a_request(filed: tuple[World, list[str]]) -> None:
    world, items = filed
    share = sharing.draft(world.deps, _wish(world, items), actor=world.actor("biz.sj"), now=world.now())
    for name in [n for n in EVERYBODY if n != "biz.sj"]:
        actor = world.actor(name)
        for verb in (sharing.submit, sharing.cancel, sharing.take_back):
            with pytest.raises(Refused):
                verb(world.deps, share, actor=actor, now=world.now())
        with pytest.raises(Refused):
            sharing.edit(world.deps, share, _wish(world, items[:1]), actor=actor, now=world.now())
    assert world.share(share).state == "DRAFT"


@pytest.mark.parametrize("name", [n for n in EVERYBODY if n not in ("biz.sj", "hod.sj")])
def test_others_cannot_ask_for_a_share_of_this_client(filed: tuple[World, list[str]], name: str) -> None:
    world, items = filed
    with pytest.raises(Refused):
        sharing.draft(world.deps, _wish(world, items), actor=world.actor(name), now=world.now())


BAD = {
    "no items": {"items": ()},
    "no contacts": {"contacts": ()},
    "no title": {"title": " "},
    "long title": {"title": "图" * 101},
    "unknown purpose": {"purpose": "P77"},
    "P99 unexplained": {"purpose": "P99", "purpose_note": "其他"},
    "too long": {"valid_days": 31},
    "no days": {"valid_days": 0},
    "too often": {"download_limit": 11},
    "never": {"download_limit": 0},
    "unknown relation": {"relation": "JOINT"},
    "originals": {"rights": ("ORIGINAL",)},
    "no rights": {"rights": ()},
    "unknown contact": {"contacts": ("0" * 32,)},
}


@pytest.mark.parametrize("change", BAD.values(), ids=list(BAD))
def test_a_field_that_cannot_be_taken(filed: tuple[World, list[str]], change: dict[str, object]) -> None:
    world, items = filed
    wish = replace(_wish(world, items), **change)  # type: ignore[arg-type]
    with pytest.raises(BadShare):
        sharing.draft(world.deps, wish, actor=world.actor("biz.sj"), now=world.now())


def test_an_unknown_item_is_not_found(filed: tuple[World, list[str]]) -> None:
    world, _ = filed
    with pytest.raises(NotFound):
        sharing.draft(world.deps, _wish(world, ["0" * 32]), actor=world.actor("biz.sj"), now=world.now())


def test_the_decision_at_submit_is_recorded_and_refusals_too(filed: tuple[World, list[str]]) -> None:
    world, items = filed
    wish = replace(_wish(world, items), contacts=(world.id("d1"),))
    share = sharing.draft(world.deps, wish, actor=world.actor("biz.sj"), now=world.now())
    with pytest.raises(Withheld) as refusal:
        sharing.submit(world.deps, share, actor=world.actor("biz.sj"), now=world.now())
    assert refusal.value.codes == ("NDA", "COVER")
    assert world.share(share).state == "DRAFT" and world.leaves("refused")
    both = replace(wish, contacts=(world.id("s1"), world.id("d1")))
    sharing.edit(world.deps, share, both, actor=world.actor("biz.sj"), now=world.now())
    with pytest.raises(Withheld) as one_of_two:
        sharing.submit(world.deps, share, actor=world.actor("biz.sj"), now=world.now())
    assert "NDA" in one_of_two.value.codes
