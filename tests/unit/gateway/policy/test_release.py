"""The release decision: every condition met and unmet, every stage whole, and closed where facts are missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.conditions import BY_CODE, CRITERIA, LIVE, NOT_ENABLED, SUBMIT
from gateway.policy.facts import (
    AgreementFact,
    ApprovalFact,
    ContactFact,
    Facts,
    ItemFact,
    OrganisationFact,
    SessionFact,
    ShareFact,
)
from gateway.policy.parameters import Parameters, defaults
from gateway.policy.release import ALL, CHECKS, SETS, Decision, release

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
STRICT = Parameters(1, {**defaults().values, "scan.required": True})

GOOD = Facts(
    now=NOW,
    session=SessionFact("s", live=True, mfa_at=NOW - timedelta(minutes=1)),
    contact=ContactFact("c1", active=True, verified=True),
    organisation=OrganisationFact("o1", active=True, abroad=False),
    agreements=(
        AgreementFact(
            "a1", "BM-1", in_force=True, valid_from=NOW - HOUR, valid_to=NOW + HOUR, clients=None,
            classes=frozenset({"F07", "F08"}), purposes=frozenset({"P03"}), intact=True,
        ),
    ),
    pledge=True,
    share=ShareFact(
        "x1", "GX-1", "ACTIVE", "biz", "P03", NOW - HOUR, NOW + HOUR, "h1", frozenset({"DEPT", "ARC"}),
        frozenset({"DOWNLOAD"}), frozenset({"c1"}), {"i1": 1}, {"i1": (0, 3)},
    ),
    approvals=(ApprovalFact("DEPT", "hod", None, "h1"), ApprovalFact("ARC", "arc1", None, "h1")),
    items=(
        ItemFact(
            "i1", 1, "k1", frozenset({"F07"}), 2, filed=True, alive=True, markable=True, scan="clean", intact=True, basis=True,
        ),
    ),
    right="DOWNLOAD",
    place_ok=True,
    issuer_active=True,
    recent_downloads=0,
    marked=True,
    keys_ready=True,
    sealed=True,
    log_ok=True,
    clock_behind_s=0.0,
)  # fmt: skip


def session(**more: Any) -> Callable[[Facts], Facts]:
    """Facts with another session."""
    return lambda f: replace(f, session=replace(f.session, **more))  # type: ignore[type-var]


def contact(**more: Any) -> Callable[[Facts], Facts]:
    """Facts with another contact."""
    return lambda f: replace(f, contact=replace(f.contact, **more))  # type: ignore[type-var]


def organisation(**more: Any) -> Callable[[Facts], Facts]:
    """Facts with another organisation."""
    return lambda f: replace(f, organisation=replace(f.organisation, **more))  # type: ignore[type-var]


def share(**more: Any) -> Callable[[Facts], Facts]:
    """Facts with another share."""
    return lambda f: replace(f, share=replace(f.share, **more))  # type: ignore[type-var]


def item(**more: Any) -> Callable[[Facts], Facts]:
    """Facts with another item."""
    return lambda f: replace(f, items=(replace(f.items[0], **more),))  # type: ignore[index]


def agreement(**more: Any) -> Callable[[Facts], Facts]:
    """Facts with another agreement."""
    return lambda f: replace(f, agreements=(replace(f.agreements[0], **more),))  # type: ignore[index]


def only(**more: Any) -> Callable[[Facts], Facts]:
    """Facts with other plain values."""
    return lambda f: replace(f, **more)


HOD, ARC = GOOD.approvals or ()

# One row for each way in which a condition is not met: nothing but that condition may change.
UNMET: list[tuple[str, Callable[[Facts], Facts]]] = [
    ("ID", contact(verified=False)),
    ("MFA", session(mfa_at=None)),
    ("MFA", session(mfa_at=NOW - timedelta(minutes=10, seconds=1))),
    ("MFA", session(mfa_at=NOW + timedelta(seconds=1))),
    ("SESS", session(live=False)),
    ("CONTACT", contact(active=False)),
    ("CONTACT", contact(id="c2")),
    ("CONTACT", share(contacts=frozenset())),
    ("ORG", organisation(active=False)),
    ("NDAHASH", agreement(intact=False)),
    ("COVER", agreement(classes=frozenset({"F08"}))),
    ("COVER", agreement(purposes=frozenset({"P01"}))),
    ("COVER", agreement(clients=frozenset({"k2"}))),
    ("COVER", agreement(clients=frozenset())),
    ("COVER", agreement(classes=frozenset())),
    ("PLEDGE", only(pledge=False)),
    ("APPROVAL", only(approvals=(HOD,))),
    ("APPROVAL", only(approvals=())),
    ("APPROVAL", share(stages=frozenset())),
    ("APPROVAL", only(approvals=(HOD, replace(ARC, version_hash="h0")))),
    ("SOD", only(approvals=(replace(HOD, approver="biz"), ARC))),
    ("SOD", only(approvals=(replace(HOD, acting_for="biz"), ARC))),
    ("SOD", only(approvals=(HOD, replace(ARC, approver="hod")))),
    ("SOD", only(approvals=(HOD, replace(ARC, acting_for="hod")))),
    *(("STATE", share(state=s)) for s in ("DRAFT", "APPROVED", "SUSPENDED", "REVOKED", "EXPIRED", "")),
    ("VALID", share(starts=NOW + timedelta(microseconds=1))),
    ("VALID", share(ends=NOW)),
    ("VALID", share(starts=None)),
    ("VALID", share(ends=None)),
    ("ITEM", share(items={})),
    ("ITEM", share(items={"i1": 2})),
    ("RIGHT", only(right="ORIGINAL")),
    ("RIGHT", only(right=None)),
    ("RIGHT", share(rights=frozenset())),
    ("LIMIT", share(counters={"i1": (3, 3)})),
    ("LIMIT", share(counters={"i1": (4, 3)})),
    ("LIMIT", share(counters={})),
    ("PLACE", only(place_ok=False)),
    ("ALIVE", item(alive=False)),
    ("FILED", item(filed=False)),
    ("MARK", item(markable=False)),
    ("MARKED", only(marked=False)),
    ("SCAN", item(scan="infected")),
    ("SCAN", item(scan="unscanned")),
    ("SCAN", item(scan="")),
    ("HASH", item(intact=False)),
    ("BASIS", item(basis=False)),
    ("BASIS", item(basis=False, purposes=frozenset({"P01"}))),
    ("BORDER", organisation(abroad=True)),
    ("BORDER", organisation(abroad=None)),
    ("ISSUER", only(issuer_active=False)),
    ("RATE", only(recent_downloads=10)),
    ("RATE", only(recent_downloads=11)),
    ("KEY", only(keys_ready=False)),
    ("KEY", only(sealed=False)),
    ("LOG", only(log_ok=False)),
    ("CLOCK", only(clock_behind_s=120.5)),
]


def states(decision: Decision) -> dict[str, str]:
    """Code to result."""
    return {c.code: c.state for c in decision.conditions}


def test_with_good_facts_every_enabled_condition_is_met() -> None:
    decision = release("copy", "collect", GOOD, STRICT)
    assert decision.allowed
    assert {c.code for c in decision.conditions if c.state == "met"} == ALL - NOT_ENABLED


@pytest.mark.parametrize(("code", "spoil"), UNMET, ids=[f"{n}-{c}" for n, (c, _) in enumerate(UNMET)])
def test_each_condition_alone_stops_the_release(code: str, spoil: Callable[[Facts], Facts]) -> None:
    decision = release("copy", "collect", spoil(GOOD), STRICT)
    assert [c.code for c in decision.missing] == [code]
    assert not decision.allowed


def test_every_enabled_condition_has_its_counterexample() -> None:
    assert {code for code, _ in UNMET} | {"NDA"} == ALL - NOT_ENABLED


@pytest.mark.parametrize(
    "spoil",
    [
        agreement(in_force=False),
        agreement(valid_to=NOW),
        agreement(valid_from=NOW + HOUR),
        only(agreements=()),
    ],
)
def test_without_an_agreement_in_force_nothing_is_covered_nor_intact(spoil: Callable[[Facts], Facts]) -> None:
    decision = release("copy", "collect", spoil(GOOD), STRICT)
    assert {c.code for c in decision.missing} == {"NDA", "COVER", "NDAHASH"}


def test_one_agreement_covers_everything_together_or_not_at_all() -> None:
    first = (GOOD.agreements or ())[0]
    halves = (
        replace(first, purposes=frozenset({"P01"})),
        replace(first, id="a2", classes=frozenset({"F08"})),
    )
    assert states(release("copy", "collect", replace(GOOD, agreements=halves), STRICT))["COVER"] == "unmet"
    whole = (*halves, replace(first, id="a3"))
    assert states(release("copy", "collect", replace(GOOD, agreements=whole), STRICT))["COVER"] == "met"


def test_any_unmet_item_of_many_stops_the_release() -> None:
    one = (GOOD.items or ())[0]
    facts = replace(GOOD, items=(one, replace(one, id="i2", basis=False)))
    facts = share(items={"i1": 1, "i2": 1}, counters={"i1": (0, 3), "i2": (0, 3)})(facts)
    found = release("copy", "collect", facts, STRICT).missing
    assert [c.code for c in found] == ["BASIS"]
    assert found[0].note is not None
    assert found[0].note.en == "1 item(s) do not meet this"


@pytest.mark.parametrize(("way", "stage"), SETS, ids=str)
def test_the_whole_vector_of_a_stage_is_answered_in_the_order_of_the_policy(way: Any, stage: Any) -> None:
    order = [c.code for c in CRITERIA if c.code in SETS[way, stage]]
    for facts in (GOOD, Facts(now=NOW)):
        assert [c.code for c in release(way, stage, facts, STRICT).conditions] == order


@pytest.mark.parametrize(("way", "stage"), SETS, ids=str)
def test_without_facts_nothing_is_met(way: Any, stage: Any) -> None:
    for parameters in (STRICT, defaults()):
        decision = release(way, stage, Facts(now=NOW), parameters)
        assert not decision.allowed
        assert {c.state for c in decision.conditions} <= {"unmet", "not_enabled"}


OPTIONAL = [f.name for f in fields(Facts) if f.name not in ("now", "evidence", "duty", "address", "sealed")]


@pytest.mark.parametrize("name", OPTIONAL)
def test_every_missing_part_closes_the_gate(name: str) -> None:
    assert not release("copy", "collect", replace(GOOD, **{name: None}), STRICT).allowed


@given(st.sets(st.sampled_from(OPTIONAL), min_size=1))
def test_losing_facts_never_meets_a_condition(lost: set[str]) -> None:
    fewer = replace(GOOD, **dict.fromkeys(lost))
    decision = states(release("copy", "collect", fewer, STRICT))
    assert "unmet" in decision.values()
    assert {c for c, s in decision.items() if s == "met"} <= ALL - NOT_ENABLED


@given(st.lists(st.sampled_from(UNMET), min_size=1, max_size=8))
def test_several_faults_are_all_named(faults: list[tuple[str, Callable[[Facts], Facts]]]) -> None:
    chosen = dict(faults)
    facts = GOOD
    for spoil in chosen.values():
        facts = spoil(facts)
    assert not release("copy", "collect", facts, STRICT).allowed
    # A later fault may replace what an earlier one spoilt, but never all of them.
    missing = {c.code for c in release("copy", "collect", facts, STRICT).missing}
    assert list(chosen)[-1] in missing


@pytest.mark.parametrize("code", sorted(NOT_ENABLED))
def test_what_is_not_judged_yet_is_never_shown_as_met(code: str) -> None:
    found = next(c for c in release("copy", "collect", GOOD, STRICT).conditions if c.code == code)
    assert found.state == "not_enabled"
    assert found.note is not None
    assert found.note.zh == "未启用"
    assert code not in CHECKS


def test_a_scan_may_be_waived_where_it_is_not_required() -> None:
    unscanned = item(scan="unscanned")(GOOD)
    assert states(release("copy", "collect", unscanned, defaults()))["SCAN"] == "waived"
    assert release("copy", "collect", unscanned, defaults()).allowed
    assert states(release("copy", "collect", unscanned, STRICT))["SCAN"] == "unmet"
    assert states(release("copy", "collect", GOOD, defaults()))["SCAN"] == "met"


def test_an_infected_item_is_never_waived() -> None:
    one = (GOOD.items or ())[0]
    for scans in (("infected",), ("unscanned", "infected"), ("unscanned", "?")):
        facts = replace(GOOD, items=tuple(replace(one, scan=scan) for scan in scans))
        assert states(release("copy", "collect", facts, defaults()))["SCAN"] == "unmet"


def test_abroad_is_allowed_only_by_its_switch() -> None:
    open_ = Parameters(1, {**STRICT.values, "cross_border": True})
    assert states(release("copy", "collect", organisation(abroad=True)(GOOD), open_))["BORDER"] == "met"


def test_a_look_on_duty_needs_its_duty() -> None:
    facts = replace(GOOD, share=None, duty=True)
    assert release("duty_view", "collect", facts, STRICT).allowed
    for duty in (False, None):
        missing = release("duty_view", "collect", replace(facts, duty=duty), STRICT).missing
        assert [c.code for c in missing] == ["RIGHT"]


def test_a_basis_may_serve_the_purpose_of_the_share_alone() -> None:
    facts = item(basis=False, purposes=frozenset({"P03"}))(GOOD)
    assert states(release("copy", "collect", facts, STRICT))["BASIS"] == "met"


def test_an_exit_that_the_policy_does_not_know_is_an_error() -> None:
    with pytest.raises(KeyError):
        release("passphrase", "submit", GOOD, STRICT)


def test_the_codes_are_those_of_the_policy() -> None:
    assert len(CRITERIA) == len(BY_CODE) == 37
    assert {"SESS", "CONTACT", "ORG", "NDA", "STATE", "VALID", "HOLD", "ALIVE", "INCIDENT"} == LIVE
    assert {"NDA", "COVER", "MASK", "MARK", "SCAN", "BASIS", "FILED"} <= SUBMIT
    assert set(CHECKS) == ALL - NOT_ENABLED
    assert SETS["copy", "collect"] == ALL
    for way, stage in SETS:
        assert SETS[way, stage] <= ALL
        if stage == "live":
            assert SETS[way, stage] <= LIVE


def test_the_vector_is_stored_with_its_evidence() -> None:
    facts = replace(GOOD, evidence={"NDA": ("a1",)})
    stored = release("copy", "live", facts, STRICT).as_json()
    assert {"code": "REL-NDA", "result": "met", "evidence": ["a1"]} in stored
    assert all(
        c.label.zh and c.label.en and c.remedy.zh and c.remedy.en
        for c in release("copy", "collect", GOOD, STRICT).conditions
    )


def test_a_note_names_what_is_missing() -> None:
    found = {c.code: c for c in release("copy", "collect", only(approvals=(HOD,))(GOOD), STRICT).missing}
    assert found["APPROVAL"].note is not None
    assert found["APPROVAL"].note.en == "Missing: ARC"
    gaps = {
        c.code: c for c in release("copy", "collect", agreement(classes=frozenset())(GOOD), STRICT).missing
    }
    assert gaps["COVER"].note is not None
    assert gaps["COVER"].note.en == "Not covered: F07"


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ({}, "met"),
        ({"family": ""}, "unmet"),
        ({"clients": frozenset({"k2"})}, "unmet"),
        ({"purposes": frozenset({"P01"})}, "unmet"),
        ({"classes": frozenset({"F10"})}, "unmet"),
    ],
    ids=["its own", "another's", "another client", "another purpose", "another class"],
)
def test_a_supplement_adds_its_classes_to_its_own_agreement(more: dict[str, Any], state: str) -> None:
    main = GOOD.agreements[0]
    added = replace(main, id="a2", number="BM-2", classes=frozenset({"F09"}), family="a1")
    wide = item(classes=frozenset({"F07", "F09"}))(replace(GOOD, agreements=(main, replace(added, **more))))
    assert states(release("copy", "collect", wide, STRICT))["COVER"] == state
