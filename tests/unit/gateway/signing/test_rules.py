"""The tables themselves, and days."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.principal import SYSTEM, Actor, Role
from gateway.signing.rules import (
    AGREEMENT,
    CLASS_TEXT,
    GOVERNING,
    TEMPLATE,
    day_end,
    day_start,
    days_left,
    first_day,
    in_force,
    last_day,
    unable,
)

DAYS = st.dates(date(2000, 1, 1), date(2100, 1, 1))
MOMENTS = st.integers(0, 36_500 * 24 * 60).map(
    lambda minutes: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)


@pytest.mark.parametrize("process", [AGREEMENT, TEMPLATE], ids=lambda p: p.name)
def test_a_table_holds_together(process) -> None:
    names = set(process.states)
    for move in process.moves:
        assert set(move.sources) <= names | {""}
        assert move.target in names
        assert not any(process.states[s].final for s in move.sources if s), move.event
    pairs = [(source, move.event) for move in process.moves for source in move.sources]
    assert len(pairs) == len(set(pairs))
    for name, state in process.states.items():
        leaves = any(name in move.sources for move in process.moves)
        assert leaves is not state.final, name
        assert any(move.target == name for move in process.moves), name
    for timeout in process.timeouts:
        assert process.find(timeout.state, timeout.event) is not None


def test_what_binds_asks_for_a_fresh_second_factor() -> None:
    acts = {(p.name, m.event) for p in (AGREEMENT, TEMPLATE) for m in p.moves if m.act}
    fresh = {(p.name, m.event) for p in (AGREEMENT, TEMPLATE) for m in p.moves if m.fresh}
    assert {("agreement", "sign"), ("agreement", "countersign"), ("template", "approve")} <= acts & fresh


def test_every_end_by_hand_asks_for_a_reason() -> None:
    for event in ("void", "decline", "terminate", "partner_terminate"):
        assert all(m.reason for m in AGREEMENT.moves if m.event == event)


@given(
    state=st.sampled_from(list(AGREEMENT.states)),
    event=st.sampled_from([m.event for m in AGREEMENT.moves]),
    roles=st.sets(st.sampled_from(list(Role))),
)
def test_unable_says_what_the_table_says(state, event, roles) -> None:
    found = AGREEMENT.find(state, event)
    refusal = unable(AGREEMENT, state, event, Actor("staff", "x", roles=frozenset(roles)))
    if found is None:
        assert refusal is not None and refusal.code == "WRONG_STATE"
    else:
        assert (refusal is None) is (found.who is not None and bool(found.who & roles))
    assert unable(AGREEMENT, state, event, SYSTEM) is not None


@given(DAYS)
def test_a_term_of_one_day_holds_that_day_in_the_companys_zone(day) -> None:
    start, end = day_start(day), day_end(day)
    assert end - start == timedelta(days=1)
    assert (first_day(start), last_day(end)) == (day, day)
    assert start.tzinfo is UTC


@given(DAYS, st.integers(0, 2000), MOMENTS)
def test_in_force_is_the_days_and_the_state(day, length, now) -> None:
    class Row:
        state, valid_from, valid_to = "IN_FORCE", day_start(day), day_end(day + timedelta(days=length))

    row = Row()
    assert in_force(row, now) is (row.valid_from <= now < row.valid_to)  # type: ignore[arg-type]
    for state in AGREEMENT.states:
        row.state = state
        assert not in_force(row, now) or state in GOVERNING  # type: ignore[arg-type]


@given(MOMENTS, st.timedeltas(timedelta(days=-3000), timedelta(days=3000)))
def test_days_left_never_overstates(now, span) -> None:
    left = days_left(now + span, now)
    assert left >= 0
    assert timedelta(days=left) <= max(span, timedelta(0))


def test_every_class_has_its_words_in_both_languages() -> None:
    assert list(CLASS_TEXT) == [f"F{n:02d}" for n in range(1, 13)]
    assert all(text.zh and text.en for text in CLASS_TEXT.values())


# Kept by hand from policy.md §3.7: from which states an event leads, and which roles may cause it; none means the gateway alone.
OPEN_STATES, BOTH_AGREED, STANDS = (
    {"SENT", "VIEWED"},
    {"COUNTERSIGNED", "CHECK2"},
    {"IN_FORCE", "EXPIRING", "RESIGN"},
)
BY_HAND: dict[str, dict[str, set[str]]] = {
    "draft": {"": {"ADM"}},
    "intake": {"": {"ADM"}},
    "send": {"DRAFT": {"ADM"}},
    "void": {
        **{key: {"ADM"} for key in ("DRAFT", "SENT", "VIEWED")},
        **{key: {"ADM", "GM"} for key in ("PARTNER_SIGNED", "PROCESSING")},
    },
    "time_out": {key: set() for key in OPEN_STATES},
    "view": {"SENT": {"PTN"}},
    "sign": {"VIEWED": {"PTN"}},
    "decline": {key: {"PTN"} for key in OPEN_STATES},
    "countersign": {"PARTNER_SIGNED": {"GM"}},
    "complete": {"PROCESSING": set()},
    "check1": {"PAPER_INTAKE": {"ADM"}},
    "check2": {"CHECK1": {"ARC"}},
    "refuse": {key: {"ADM", "ARC"} for key in ("PAPER_INTAKE", "CHECK1")},
    "enter_force": {key: set() for key in BOTH_AGREED},
    "near_end": {"IN_FORCE": set()},
    "demand": {key: set() for key in ("IN_FORCE", "EXPIRING")},
    "lapse": {key: set() for key in STANDS},
    "renew": {key: set() for key in STANDS},
    "terminate": {key: {"ADM", "GM"} for key in BOTH_AGREED | STANDS},
    "partner_terminate": {key: {"PTN"} for key in BOTH_AGREED | STANDS},
}


def test_every_state_event_and_role_is_as_the_policy_says() -> None:
    wrong = []
    assert {m.event for m in AGREEMENT.moves} == set(BY_HAND)
    for state in ("", *AGREEMENT.states):
        for event, known in BY_HAND.items():
            for role in Role:
                kind = "contact" if role is Role.PTN else "staff"
                refusal = unable(AGREEMENT, state, event, Actor(kind, "x", roles=frozenset({role})))
                expected = (
                    "WRONG_STATE" if state not in known else None if role in known[state] else "NOT_ALLOWED"
                )
                if (refusal.code if refusal else None) != expected:
                    wrong.append((state, event, role, refusal and refusal.code))
    assert wrong == []
