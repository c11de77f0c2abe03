"""Every state against every event: what the table does not allow is refused and changes nothing but the log."""

import pytest

from gateway.errors import NotAllowed, NotFound, Unavailable, WrongState
from gateway.signing import service
from gateway.signing.rules import AGREEMENT

REASON = "双方商定不再继续，另行处理"
STATES = [s for s in AGREEMENT.states if s != "PROCESSING"]


def attempt(room, event, agreement, who=None):
    world, deps = room.world, room.deps
    by = {
        "send": lambda a: service.send(deps, agreement, actor=a, now=room.now),
        "void": lambda a: service.void(deps, agreement, REASON, actor=a, now=room.now),
        "sign": lambda a: room.sign(agreement, who or "s1"),
        "decline": lambda a: service.decline(deps, agreement, REASON, actor=a, now=room.now),
        "countersign": lambda a: room.countersign(agreement, who or "gm"),
        "terminate": lambda a: service.terminate(deps, agreement, REASON, actor=a, now=room.now),
        "partner_terminate": lambda a: service.partner_terminate(
            deps, agreement, REASON, actor=a, now=room.now
        ),
        "check1": lambda a: room.check(agreement, 1, who),
        "check2": lambda a: room.check(agreement, 2, who),
        "refuse": lambda a: service.refuse(deps, agreement, REASON, actor=a, now=room.now),
    }
    usual = {"send": "adm", "void": "adm", "decline": "s1", "terminate": "gm", "partner_terminate": "s1"}
    by[event](world.actor(who or usual.get(event, "adm")))


TARGETS = {
    "check1": {"PAPER_INTAKE": "CHECK1"},
    "check2": {"CHECK1": "IN_FORCE"},
    "refuse": {"PAPER_INTAKE": "REFUSED", "CHECK1": "REFUSED"},
    "send": {"DRAFT": "SENT"},
    "void": {"DRAFT": "VOID", "SENT": "VOID", "VIEWED": "VOID", "PARTNER_SIGNED": "VOID"},
    "sign": {"SENT": "PARTNER_SIGNED", "VIEWED": "PARTNER_SIGNED"},
    "decline": {"SENT": "DECLINED", "VIEWED": "DECLINED"},
    "countersign": {"PARTNER_SIGNED": "IN_FORCE"},
    "terminate": dict.fromkeys(("COUNTERSIGNED", "CHECK2", "IN_FORCE", "EXPIRING", "RESIGN"), "TERMINATED"),
    "partner_terminate": dict.fromkeys(
        ("COUNTERSIGNED", "CHECK2", "IN_FORCE", "EXPIRING", "RESIGN"), "TERMINATED"
    ),
}


@pytest.mark.parametrize(
    ("event", "state", "target"), [(e, s, t) for e, known in TARGETS.items() for s, t in known.items()]
)
def test_each_event_does_what_the_table_says(room, at_state, event, state, target) -> None:
    agreement = at_state(state)
    attempt(room, event, agreement)
    assert room.row(agreement).state == target
    assert f"agreement.{event}" in room.leaves(agreement)


@pytest.mark.parametrize("state", STATES)
def test_what_the_table_does_not_hold_is_refused_and_recorded(room, at_state, state) -> None:
    agreement = at_state(state)
    # A draft, and what was voided before it was sent, is nobody's outside; and it has no document to countersign yet.
    hidden = room.row(agreement).pdf_sha256 is None
    before = room.everything()
    for event in [e for e, targets in TARGETS.items() if state not in targets]:
        count = len(room.refusals())
        outside = event in ("sign", "decline", "partner_terminate")
        with pytest.raises(
            NotFound
            if hidden and outside
            else Unavailable
            if hidden and event == "countersign"
            else WrongState
        ):
            attempt(room, event, agreement)
        assert room.everything() == before, event
        if not hidden or event not in ("sign", "countersign"):
            assert len(room.refusals()) == count + 1, event


OTHERS = {
    "send": ("gm", "arc1", "biz.sj"),
    "void": ("arc1", "biz.sj", "dgm"),
    "countersign": ("adm", "dgm", "arc1"),
    "terminate": ("dgm", "arc1", "biz.sj"),
    "check1": ("arc1", "gm", "biz.sj"),
    "check2": ("gm", "hod.sj", "biz.sj"),
    "refuse": ("gm", "dgm", "biz.sj"),
}
FROM = {
    "check1": "PAPER_INTAKE",
    "check2": "CHECK1",
    "refuse": "CHECK1",
    "send": "DRAFT",
    "void": "SENT",
    "countersign": "PARTNER_SIGNED",
    "terminate": "IN_FORCE",
}


@pytest.mark.parametrize(("event", "who"), [(e, w) for e, people in OTHERS.items() for w in people])
def test_other_roles_may_not(room, at_state, event, who) -> None:
    agreement = at_state(FROM[event])
    before = room.everything()
    with pytest.raises(NotAllowed):
        attempt(room, event, agreement, who)
    assert room.everything() == before
    assert room.refusals()[-1] == (f"agreement.{event}", "NOT_ALLOWED")


@pytest.mark.parametrize("event", ["send", "void", "terminate"])
def test_staff_events_ask_for_an_agreement_that_exists(room, event) -> None:
    with pytest.raises(NotFound):
        attempt(room, event, "0" * 32)
