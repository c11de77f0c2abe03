"""The rules for alerts, each with what makes it speak and what does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.oversight.alerts import RULE_TEXT, TECHNICAL, Deed, Finding, Observed, Step, judged
from gateway.policy.parameters import Parameters, defaults

# A Wednesday, 10:30 in the company's zone.
NOW = datetime(2026, 11, 25, 2, 30, tzinfo=UTC)
LIMITS = defaults()
A, B = "contact:a", "contact:b"


def deeds(count: int, label: str = A, minutes: float = 5, start: datetime = NOW) -> tuple[Deed, ...]:
    """So many deeds, some minutes apart."""
    return tuple(Deed(f"{label}{n}", label, start + timedelta(minutes=minutes * n)) for n in range(count))


def rules(seen: Observed, limits: Parameters = LIMITS) -> list[str]:
    """The rules that speak, in order."""
    return [f.rule for f in judged(seen, limits)]


QUIET = Observed(NOW, heartbeat_s=10.0, unwitnessed_s=10.0)
CASES: list[tuple[str, Observed, list[str]]] = [
    ("nothing", QUIET, []),
    ("nothing measured", Observed(NOW), []),
    ("five downloads", replace(QUIET, downloads=deeds(5)), []),
    ("six downloads", replace(QUIET, downloads=deeds(6)), ["rate"]),
    ("six downloads of two", replace(QUIET, downloads=deeds(3) + deeds(3, B)), []),
    ("six in two hours", replace(QUIET, downloads=deeds(6, minutes=13)), []),
    ("six in just under an hour", replace(QUIET, downloads=deeds(6, minutes=11.9)), ["rate"]),
    ("six in exactly an hour", replace(QUIET, downloads=deeds(6, minutes=12)), []),
    (
        "at seven",
        replace(QUIET, downloads=deeds(1, start=NOW.replace(hour=23) - timedelta(days=1))),
        ["hours"],
    ),
    ("at eight", replace(QUIET, downloads=deeds(1, start=NOW.replace(hour=0, minute=0))), []),
    (
        "at eight in the evening",
        replace(QUIET, downloads=deeds(1, start=NOW.replace(hour=12, minute=0))),
        ["hours"],
    ),
    ("on a Saturday", replace(QUIET, downloads=deeds(1, start=NOW + timedelta(days=3))), ["hours"]),
    ("a new address", replace(QUIET, downloads=(Deed("e", A, NOW, fresh=True),)), ["address"]),
    ("nine refusals", replace(QUIET, refusals=deeds(9, minutes=1)), []),
    ("ten refusals", replace(QUIET, refusals=deeds(10, minutes=1)), ["refusals"]),
    ("99 strangers", replace(QUIET, stranger_refusals={NOW: 99}), []),
    ("100 strangers", replace(QUIET, stranger_refusals={NOW: 100}), ["strangers"]),
    ("a step of 120 s", replace(QUIET, steps=(Step("e", 7, 120),)), []),
    ("a step of 121 s", replace(QUIET, steps=(Step("e", 7, 121),)), ["clock"]),
    ("behind by 120 s", replace(QUIET, behind_s=120.0), []),
    ("behind by 121 s", replace(QUIET, behind_s=121.0), ["clock.behind"]),
    ("a gap", replace(QUIET, missing=(7,)), ["gap"]),
    ("waiting 60 s", replace(QUIET, unnumbered_s=60.0), []),
    ("waiting 61 s", replace(QUIET, unnumbered_s=61.0), ["unnumbered"]),
    ("no heartbeat for 300 s", replace(QUIET, heartbeat_s=300.0), []),
    ("no heartbeat for 301 s", replace(QUIET, heartbeat_s=301.0), ["heartbeat"]),
    ("no witness for 300 s", replace(QUIET, unwitnessed_s=300.0), []),
    ("no witness for 301 s", replace(QUIET, unwitnessed_s=301.0), ["witness"]),
    ("a failed anchor", replace(QUIET, anchor_failed="e"), ["anchor"]),
    ("a changed row", replace(QUIET, tampered=("e",)), ["tampered"]),
]


@pytest.mark.parametrize(("seen", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_each_rule_speaks_beyond_its_threshold_and_not_before(seen: Observed, expected: list[str]) -> None:
    assert rules(seen) == expected


def test_thresholds_are_parameters() -> None:
    stricter = Parameters(1, {**LIMITS.values, "alert.downloads_per_hour": 2, "alert.work_to": 10})
    assert rules(replace(QUIET, downloads=deeds(2)), stricter) == ["rate", "hours"]
    laxer = Parameters(1, {**LIMITS.values, "alert.heartbeat_min": 60, "alert.unnumbered_s": 600})
    assert rules(replace(QUIET, heartbeat_s=3600.0, unnumbered_s=600.0), laxer) == []


def test_one_burst_is_one_occurrence_an_hour() -> None:
    found = judged(replace(QUIET, downloads=deeds(30, minutes=1, start=NOW - timedelta(minutes=10))), LIMITS)
    assert [(f.rule, f.key) for f in found] == [("rate", f"{A} 2026-11-25T02")]
    assert found[0].about == ("contact", "a")


def test_a_person_of_staff_is_named_as_an_account() -> None:
    found = judged(replace(QUIET, refusals=deeds(10, "staff:x", minutes=1)), LIMITS)
    assert found[0] == Finding(
        "refusals", "staff:x 2026-11-25T02", ("account", "x"), found[0].entry, {"limit": 10}
    )


@given(st.lists(st.tuples(st.sampled_from([A, B]), st.integers(0, 240)), max_size=25), st.integers(1, 8))
def test_a_burst_is_found_exactly_when_there_is_one(given_: list[tuple[str, int]], limit: int) -> None:
    limits = Parameters(1, {**LIMITS.values, "alert.refusals_per_hour": limit})
    seen = replace(
        QUIET,
        refusals=tuple(Deed(str(i), who, NOW + timedelta(minutes=m)) for i, (who, m) in enumerate(given_)),
    )
    crowded = any(
        sum(1 for other, n in given_ if other == who and m <= n < m + 60) >= limit for who, m in given_
    )
    assert bool(judged(seen, limits)) == crowded


def test_every_rule_has_words_and_the_technical_ones_name_nobody() -> None:
    everything = Observed(
        NOW, (*deeds(9), Deed("f", B, NOW, fresh=True)), deeds(10, minutes=1), {NOW: 900}, (Step("e", 1, 999),),
        (3,), ("t",), 999.0, 999.0, 9999.0, 9999.0, "x",
    )  # fmt: skip
    found = judged(
        replace(everything, downloads=everything.downloads + deeds(1, start=NOW + timedelta(days=3))), LIMITS
    )
    assert {f.rule for f in found} == set(RULE_TEXT)
    assert all(f.about is None for f in found if f.rule in TECHNICAL)
    assert {f.rule for f in found if not f.key} == {
        "clock.behind", "unnumbered", "heartbeat", "witness", "anchor"
    }  # fmt: skip
