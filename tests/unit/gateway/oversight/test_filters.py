"""Filters of the log: whole days of the reader, and nothing that is misread widens them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.queries import LogFilter
from gateway.errors import Invalid
from gateway.oversight.filters import NAMES, Wanted, of_object, read_filter

SHANGHAI = "Asia/Shanghai"


def test_nothing_asked_is_the_whole_log() -> None:
    assert read_filter({}, SHANGHAI) == Wanted()
    assert read_filter(dict.fromkeys(NAMES, "  "), SHANGHAI) == Wanted()


def test_both_days_are_included_in_the_readers_zone() -> None:
    found = read_filter({"from": "2026-11-23", "to": "2026-11-23"}, SHANGHAI)
    assert found.since == datetime(2026, 11, 22, 16, tzinfo=UTC)
    assert found.until == datetime(2026, 11, 23, 16, tzinfo=UTC)


@given(
    st.dates(date(1900, 1, 2), date(8999, 12, 30)),
    st.sampled_from([SHANGHAI, "UTC", "America/New_York", "Pacific/Apia"]),
)
def test_a_day_is_a_day_everywhere(day: date, zone: str) -> None:
    found = read_filter({"from": day.isoformat(), "to": day.isoformat()}, zone)
    assert found.since is not None
    assert found.until is not None
    assert found.since.astimezone(ZoneInfo(zone)).date() <= day
    assert found.until.replace(tzinfo=None) - found.since.replace(tzinfo=None) == timedelta(days=1)


@given(st.sampled_from(NAMES), st.text(min_size=1, max_size=300))
def test_anything_typed_is_kept_or_refused_and_never_dropped(name: str, typed: str) -> None:
    try:
        found = read_filter({name: typed}, SHANGHAI)
    except Invalid:
        return
    assert (found == Wanted()) == (not typed.strip())


@pytest.mark.parametrize("typed", ["0001-01-01", "9999-12-31", "2026-02-30", "23.11.2026", "now"])
def test_a_day_that_cannot_be_is_refused(typed: str) -> None:
    for name in ("from", "to"):
        with pytest.raises(Invalid) as refusal:
            read_filter({name: typed}, SHANGHAI)
        assert refusal.value.field == name


def test_an_object_needs_its_kind() -> None:
    with pytest.raises(Invalid) as refusal:
        read_filter({"object": "GX-1"}, SHANGHAI)
    assert refusal.value.field == "kind"
    assert read_filter({"kind": "share"}, SHANGHAI).kind == "share"


@pytest.mark.parametrize("name", ["person", "partner", "client", "file", "copy", "value", "event"])
@pytest.mark.parametrize("typed", ["张*", "100%", "%"])
def test_parts_of_texts_are_refused_and_not_scanned_for(name: str, typed: str) -> None:
    with pytest.raises(Invalid) as refusal:
        read_filter({name: typed}, SHANGHAI)
    assert refusal.value.field == name


def test_a_share_brings_what_concerns_it() -> None:
    assert of_object("share", "x") == LogFilter(share="x")
    assert of_object("case", "x") == LogFilter(object=("case", "x"))
