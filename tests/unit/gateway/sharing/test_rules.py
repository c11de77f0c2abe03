"""Pure rules of sharing: what approvals bind to, what is a major matter, working days, formats."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.parameters import defaults
from gateway.sharing.rules import (
    MAJOR_TEXT,
    Contents,
    Weight,
    bundle_format,
    major,
    stages,
    working_days_later,
)

PLAIN = Contents((("i1", 1), ("i2", 3)), ("c1", "c2"), "k", "P03", ("DOWNLOAD",), 7, 3, "ENTRUST")
LIGHT = Weight(levels=(1, 2), clients=1, whole_case=False, minors=False)
CHANGES: list[dict[str, Any]] = [
    {"items": (("i1", 2), ("i2", 3))},
    {"items": (("i1", 1),)},
    {"contacts": ("c1",)},
    {"contacts": ("c1", "c3")},
    {"client": "l"},
    {"purpose": "P01"},
    {"rights": ("DOWNLOAD", "VIEW")},
    {"valid_days": 8},
    {"download_limit": 4},
    {"relation": "NOPI"},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_every_part_of_the_contents_changes_their_digest(change: dict[str, Any]) -> None:
    assert replace(PLAIN, **change).digest() != PLAIN.digest()


@given(st.permutations(PLAIN.items), st.permutations(PLAIN.contacts), st.permutations(["DOWNLOAD", "VIEW"]))
def test_the_order_of_lists_does_not_change_the_digest(items: Any, contacts: Any, rights: Any) -> None:
    shuffled = replace(PLAIN, items=tuple(items), contacts=tuple(contacts), rights=tuple(rights))
    assert shuffled.digest() == replace(PLAIN, rights=("DOWNLOAD", "VIEW")).digest()


MAJOR: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "M1": ({}, {"levels": (1, 3)}),
    "M2": ({}, {"whole_case": True}),
    "M3": ({"items": tuple((f"i{n}", 1) for n in range(21))}, {}),
    "M4": ({"rights": ("ORIGINAL",)}, {}),
    "M5": ({}, {"unmarked": True}),
    "M6": ({"purpose": "P99"}, {}),
    "M8": ({}, {"minors": True}),
    "M9": ({"valid_days": 8}, {}),
}


@pytest.mark.parametrize("code", MAJOR)
def test_each_trigger_alone_brings_in_the_general_manager(code: str) -> None:
    contents, weight = MAJOR[code]
    found = major(replace(PLAIN, **contents), replace(LIGHT, **weight), defaults())
    assert code in found and set(found) <= ({"M4", "M5"} if code == "M4" else {code})
    assert stages(found) == {"DEPT", "ARC", "GM"}


def test_nothing_out_of_the_ordinary_needs_two_stages() -> None:
    assert major(PLAIN, LIGHT, defaults()) == ()
    assert stages(()) == {"DEPT", "ARC"}
    assert set(MAJOR) == set(MAJOR_TEXT)


@pytest.mark.parametrize(
    ("contents", "weight", "holds"),
    [
        ({"items": tuple((f"i{n}", 1) for n in range(20))}, {}, False),
        ({}, {"clients": 5}, False),
        ({}, {"clients": 6}, True),
        ({"valid_days": 7, "download_limit": 3}, {}, False),
        ({"download_limit": 4}, {}, True),
    ],
)
def test_the_limits_of_the_triggers(contents: Any, weight: Any, holds: bool) -> None:
    assert bool(major(replace(PLAIN, **contents), replace(LIGHT, **weight), defaults())) is holds


SHANGHAI = timezone(timedelta(hours=8))
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(MOMENTS, st.integers(0, 30))
def test_working_days_end_on_a_working_day_at_the_same_time(start: datetime, days: int) -> None:
    end = working_days_later(start, days)
    assert end.time() == start.time()
    assert days == 0 or end.astimezone(SHANGHAI).weekday() < 5
    between = [start + timedelta(days=n) for n in range(1, (end - start).days + 1)]
    assert sum(moment.astimezone(SHANGHAI).weekday() < 5 for moment in between) == days


@given(MOMENTS, st.integers(0, 15), st.integers(0, 15))
def test_working_days_add_up(start: datetime, first: int, then: int) -> None:
    assert working_days_later(working_days_later(start, first), then) == working_days_later(
        start, first + then
    )


@given(MOMENTS, st.integers(0, 20))
def test_more_working_days_are_later(start: datetime, days: int) -> None:
    assert working_days_later(start, days) < working_days_later(start, days + 1)


def test_a_friday_evening_in_utc_is_already_saturday_there() -> None:
    friday = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)
    assert working_days_later(friday, 1) == datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kinds", "wanted", "has_key", "expected"),
    [
        (["pdf"], None, False, "pdf"),
        (["pdf"], "pdf", False, "pdf"),
        (["pdf"], "zip", False, "zip"),
        (["jpeg"], "pdf", False, "zip"),
        (["pdf", "pdf"], "pdf", False, "zip"),
        (["pdf", "jpeg"], None, True, "zip"),
        (["pdf"], "age", True, "age"),
        (["pdf"], "age", False, "zip"),
        (["jpeg"], "age", True, "age"),
        (["pdf"], "exe", True, "zip"),
    ],
)
def test_the_format_of_a_bundle(kinds: list[str], wanted: str | None, has_key: bool, expected: str) -> None:
    assert bundle_format(kinds, wanted, has_key=has_key) == expected
