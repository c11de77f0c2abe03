"""The process tables, walked whole: every state, every event, every role, and what each entry must hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.errors import NotAllowed, Refused, StaleFactor, WrongState
from gateway.principal import SYSTEM, Actor, Role
from gateway.sharing.errors import SelfApproval
from gateway.sharing.rules import BUNDLE, COPY, LIVE, REVIEWS, SHARE
from gateway.workflow import Process, move
from tests.worlds import Scene

PROCESSES = (SHARE, BUNDLE, COPY)

# Written by hand from policy.md §3.6: what may happen from a state, and who may do it.
EXPECTED: dict[str, dict[str, set[str]]] = {
    "share": {
        "": {"draft"},
        "DRAFT": {"submit", "cancel"},
        "DEPT_REVIEW": {"consent_dept", "reject_dept", "return_dept", "take_back", "cancel", "lapse"},
        "ARC_REVIEW": {
            "consent_arc", "consent_arc_major", "reject_arc", "return_arc", "take_back", "cancel", "lapse",
        },
        "GM_REVIEW": {"approve", "reject_gm", "return_gm", "take_back", "cancel", "lapse"},
        "APPROVED": {"activate", "revoke", "withdraw"},
        "ACTIVE": {"suspend", "halt", "revoke", "withdraw", "expire"},
        "SUSPENDED": {"resume", "recover", "revoke", "withdraw", "expire"},
    },
    "bundle": {
        "": {"prepare"}, "PREPARING": {"ready", "fail", "abandon"}, "READY": {"collect", "abandon"},
    },
    "copy": {"": {"reserve"}, "RESERVED": {"ready", "abandon"}, "READY": {"collect", "abandon"}},
}  # fmt: skip
OWNERS, HEADS = {Role.HOD, Role.BIZ}, {Role.HOD, Role.DGM}
WHO: dict[str, set[Role]] = {
    "draft": OWNERS, "submit": OWNERS, "take_back": OWNERS, "cancel": OWNERS,
    "consent_dept": HEADS, "reject_dept": HEADS, "return_dept": HEADS,
    "consent_arc": {Role.ARC}, "consent_arc_major": {Role.ARC}, "reject_arc": {Role.ARC}, "return_arc": {Role.ARC},
    "approve": {Role.GM}, "reject_gm": {Role.GM}, "return_gm": {Role.GM},
    "suspend": {Role.ADM}, "resume": {Role.ADM},
    "revoke": {Role.GM, Role.DGM, Role.ADM, Role.HOD, Role.BIZ, Role.ARC},
    "prepare": {Role.PTN}, "collect": {Role.PTN}, "reserve": {Role.PTN},
}  # fmt: skip


def every_event(process: Process) -> set[str]:
    """All events of a process."""
    return {found.event for found in process.moves}


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.name)
def test_each_state_has_exactly_these_ways_on(process: Process) -> None:
    expected = EXPECTED[process.name]
    for state in ("", *process.states):
        ways = {event for event in every_event(process) if process.find(state, event) is not None}
        assert ways == expected.get(state, set()), state
        assert state == "" or process.states[state].final is (not ways) or state == "COLLECTED"


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.name)
def test_each_move_is_for_exactly_these_roles(process: Process) -> None:
    for found in process.moves:
        assert set(found.who or ()) == WHO.get(found.event, set()), found.event
        assert Role.SYS not in (found.who or ()) and Role.AUD not in (found.who or ())


def test_every_release_and_every_consent_wants_a_fresh_factor() -> None:
    fresh = {found.event for process in PROCESSES for found in process.moves if found.fresh}
    assert fresh == {
        "consent_dept", "consent_arc", "consent_arc_major", "approve", "reject_dept", "reject_arc", "reject_gm",
        "resume", "collect",
    }  # fmt: skip


def _rows(scene: Scene, process: Process) -> Iterator[tuple[Any, str]]:
    for state in ("", *process.states):
        yield SimpleNamespace(id="1" * 32, state=state, leaf="", requester="r" * 32), state


EXTRAS = {name: "x" for process in PROCESSES for found in process.moves for name in found.records}


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.name)
def test_what_the_table_does_not_name_is_refused_to_everyone(scene: Scene, process: Process) -> None:
    """Every state × event × role, through the one function that moves rows; nothing is written by a refused attempt."""
    now = scene.world.now()
    actors = [SYSTEM] + [Actor("staff", "a" * 32, roles=frozenset({role}), mfa_at=now) for role in Role]
    before, tried = len(scene.world.leaves()), 0
    for (row, state), event, actor in product(
        list(_rows(scene, process)), sorted(every_event(process)), actors
    ):
        found = process.find(state, event)
        allowed = found is not None and (
            found.who is None if actor.kind == "system" else bool(found.who) and actor.has(*found.who)
        )
        if allowed:
            continue
        tried += 1
        with scene.deps.database.write() as session, pytest.raises(Refused) as refusal:
            move(
                scene.deps, session, process, row, event, actor=actor, now=now,
                reason="理由写得足够长，供测试用", **EXTRAS,
            )  # fmt: skip
        assert type(refusal.value) is (WrongState if found is None else NotAllowed)
        assert row.state == state
    assert tried > 100 and len(scene.world.leaves()) == before


@pytest.mark.parametrize("stage", REVIEWS)
def test_the_guards_of_every_stage_see_applicant_and_deciders(scene: Scene, stage: str) -> None:
    now = scene.world.now()
    for found in [m for m in SHARE.moves if stage in m.sources and m.who and "take" not in m.event]:
        if found.event == "cancel":
            continue
        role = next(iter(found.who or ()))
        for actor_id, deciders in (("r" * 32, ()), ("d" * 32, ("d" * 32,))):
            row = SimpleNamespace(id="1" * 32, state=stage, leaf="", requester="r" * 32)
            actor = Actor("staff", actor_id, roles=frozenset({role}), mfa_at=now)
            with scene.deps.database.write() as session, pytest.raises(SelfApproval):
                move(
                    scene.deps, session, SHARE, row, found.event, actor=actor, now=now,
                    reason="理由写得足够长，供测试用", **{**EXTRAS, "deciders": deciders},
                )  # fmt: skip
            with scene.deps.database.write() as session:
                if found.fresh:
                    with pytest.raises(StaleFactor):
                        move(
                            scene.deps, session, SHARE, row, found.event, actor=replace(actor, mfa_at=None),
                            now=now, reason="理由写得足够长，供测试用", **EXTRAS,
                        )  # fmt: skip


def test_time_ends_reviews_and_live_shares_only() -> None:
    assert {(t.state, t.event) for t in SHARE.timeouts} == {(s, "lapse") for s in REVIEWS} | {
        (s, "expire") for s in LIVE
    }
    assert BUNDLE.timeouts == COPY.timeouts == ()
