"""Bounds, kinds, versions and pins of the parameters; their rows carry a seal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from gateway.db import Base, Database
from gateway.errors import TamperedRow
from gateway.policy.errors import BadParameter
from gateway.policy.parameters import DEFINITIONS, Parameters, ParameterVersion, checked, current, defaults

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
NUMBERS = [d for d in DEFINITIONS.values() if isinstance(d.default, int) and not isinstance(d.default, bool)]
SWITCHES = [d for d in DEFINITIONS.values() if isinstance(d.default, bool)]
LISTS = [d for d in DEFINITIONS.values() if isinstance(d.default, tuple)]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty database."""
    made = Database(f"sqlite:///{tmp_path / 'a.db'}", b"m" * 32)
    Base.metadata.create_all(made.engine, tables=[ParameterVersion.__table__])  # type: ignore[list-item]
    yield made
    made.close()


def version(
    database: Database, number: int | None, valid_from: datetime, state: str = "CONFIRMED", **changes: object
) -> None:
    """A stored version; keys are written with __ for a point."""
    with database.write() as session:
        row = ParameterVersion(
            number=number, changes={k.replace("__", "."): v for k, v in changes.items()}, state=state
        )
        row.reason, row.proposed_by, row.proposed_at, row.valid_from, row.leaf = (
            "x" * 10,
            "a",
            NOW,
            valid_from,
            "0" * 32,
        )
        session.add(row)


def now_in(database: Database, at: datetime, pinned: int | None = None) -> Parameters:
    """The values at a moment."""
    with database.read() as session:
        return current(session, at, version=pinned)


def test_the_table_is_that_of_the_policy() -> None:
    alerts = [key for key in DEFINITIONS if key.startswith("alert.")]
    assert len(DEFINITIONS) == 75 + len(alerts)
    assert len(NUMBERS) == 69 + len(alerts)
    assert DEFINITIONS["share.valid_days"].default == 7
    assert DEFINITIONS["nda.remind_days"].default == (30, 7, 1)
    assert DEFINITIONS["scan.required"].default is False
    assert DEFINITIONS["watermark.opacity_pct"].maximum == 40


@pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=lambda d: d.key)
def test_every_default_is_within_its_own_bounds(definition: object) -> None:
    assert definition.check(definition.default) == definition.default  # type: ignore[attr-defined]


@given(st.sampled_from(NUMBERS), st.integers(-10, 5000))
def test_a_number_is_taken_exactly_within_its_bounds(definition: object, value: int) -> None:
    low, high = definition.minimum, definition.maximum  # type: ignore[attr-defined]
    if low <= value <= high:
        assert definition.check(value) == value  # type: ignore[attr-defined]
    else:
        with pytest.raises(BadParameter):
            definition.check(value)  # type: ignore[attr-defined]


@given(
    st.sampled_from(NUMBERS),
    st.one_of(st.booleans(), st.text(), st.none(), st.floats(), st.lists(st.integers())),
)
def test_a_number_is_nothing_else(definition: object, value: object) -> None:
    with pytest.raises(BadParameter):
        definition.check(value)  # type: ignore[attr-defined]


@given(st.sampled_from(SWITCHES), st.one_of(st.integers(), st.text(), st.none()))
def test_a_switch_is_a_truth_value_only(definition: object, value: object) -> None:
    with pytest.raises(BadParameter):
        definition.check(value)  # type: ignore[attr-defined]
    assert definition.check(True) is True  # type: ignore[attr-defined]


@given(st.sampled_from(LISTS), st.lists(st.integers(-5, 100), max_size=5))
def test_a_list_of_days_falls_and_stays_within_its_bounds(definition: object, value: list[int]) -> None:
    good = (
        bool(value)
        and value == sorted(value, reverse=True)
        and all(definition.minimum <= d <= definition.maximum for d in value)  # type: ignore[attr-defined]
    )
    if good:
        assert definition.check(value) == tuple(value)  # type: ignore[attr-defined]
    else:
        with pytest.raises(BadParameter):
            definition.check(value)  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [[True], ["7"], [7, None], 7, "7,1"])
def test_a_list_of_days_holds_numbers(value: object) -> None:
    with pytest.raises(BadParameter):
        DEFINITIONS["nda.remind_days"].check(value)


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(BadParameter) as refusal:
        checked({"share.items": 5, "share.nothing": 1})
    assert refusal.value.field == "share.nothing"


def test_without_versions_the_defaults_hold(database: Database) -> None:
    assert now_in(database, NOW) == defaults()
    assert now_in(database, NOW).version == 0


def test_a_version_holds_from_its_moment_on(database: Database) -> None:
    version(database, 1, NOW, share__items=5)
    assert now_in(database, NOW - timedelta(microseconds=1))["share.items"] == 20
    found = now_in(database, NOW)
    assert (found.version, found["share.items"], found["share.contacts"]) == (1, 5, 5)


@pytest.mark.parametrize("state", ["PROPOSED", "DECLINED", "WITHDRAWN"])
def test_what_was_not_confirmed_never_holds(database: Database, state: str) -> None:
    version(database, None, NOW, state, share__items=5)
    assert now_in(database, NOW + timedelta(days=1)) == defaults()


def test_a_pinned_version_keeps_its_values(database: Database) -> None:
    version(database, 1, NOW, share__items=5)
    version(database, 2, NOW + timedelta(hours=1), share__items=9, share__contacts=2)
    later = NOW + timedelta(hours=2)
    assert now_in(database, later)["share.items"] == 9
    pinned = now_in(database, later, 1)
    assert (pinned["share.items"], pinned["share.contacts"], pinned.version) == (5, 5, 1)
    assert now_in(database, later, 0) == defaults()


@given(st.integers(1, 30), st.integers(1, 30))
def test_the_stricter_of_pinned_and_present_holds(pinned: int, present: int) -> None:
    old, new = (
        Parameters(n, {"mfa.fresh_min": v, "lockout.minutes": v, "share.items": v})
        for n, v in ((1, pinned), (2, present))
    )
    assert old.strict("mfa.fresh_min", new) == min(pinned, present)
    assert old.strict("lockout.minutes", new) == max(pinned, present)
    assert old.strict("share.items", new) == pinned


@pytest.mark.parametrize(
    "change",
    [
        "changes = '{\"share.items\": 200}'",
        "valid_from = '2020-01-01 00:00:00'",
        "state = 'CONFIRMED'",
        "number = 9",
    ],
)
def test_a_row_changed_from_outside_is_not_read(database: Database, change: str) -> None:
    version(database, 1, NOW, share__items=5)
    version(database, 2, NOW, "PROPOSED", share__items=6)
    which = 2 if change.startswith("state") else 1
    with database.write() as session:
        session.execute(text(f"UPDATE parameter_version SET {change} WHERE number = {which}"))
    with pytest.raises(TamperedRow):
        now_in(database, NOW)
