"""One spelling for each entry, and nothing of a person in it."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import leaf
from gateway.audit.errors import MalformedEntry

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-leaf.MAX_INTEGER, leaf.MAX_INTEGER) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
entries = st.builds(
    leaf.Entry,
    id=st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
    at=st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    event=texts,
    object=st.tuples(texts, texts),
    actor=texts,
    source=st.none() | texts,
    target=st.none() | texts,
    data=st.dictionaries(texts, values, max_size=4),
    personal=st.dictionaries(texts, st.from_regex(r"[0-9a-f]{64}", fullmatch=True), max_size=3),
)
SAMPLE = leaf.Entry("0" * 32, datetime(2026, 1, 2, tzinfo=UTC), "a.b", ("share", "1"), "staff", data={"n": 1})


@given(entries)
def test_an_entry_comes_back_as_it_went(entry: leaf.Entry):
    body = entry.encode()
    assert leaf.parse(body) == entry
    assert leaf.canonical(leaf.parse_canonical(body)) == body


@given(entries, st.data())
def test_another_spelling_is_refused(entry: leaf.Entry, data: st.DataObject):
    body = entry.encode()
    value = json.loads(body)
    spellings = [
        body + b" ",
        b"\xef\xbb\xbf" + body,
        json.dumps(value, sort_keys=True, ensure_ascii=False).encode(),
        json.dumps(dict(reversed(value.items())), separators=(",", ":"), ensure_ascii=False).encode(),
        body.replace(b'"v":1', b'"v":1.0'),
        body.replace(b'"v":1', b'"v":1,"v":1'),
        body[: data.draw(st.integers(0, len(body) - 1))],
    ]
    for other in spellings:
        with pytest.raises(MalformedEntry):
            leaf.parse(other)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(body: bytes):
    with pytest.raises(MalformedEntry):
        leaf.parse(body)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("v", 2),
        ("v", True),
        ("id", "0" * 31),
        ("id", "G" * 32),
        ("id", 5),
        ("at", "2026-01-02T00:00:00Z"),
        ("at", "2026-13-02T00:00:00.000000Z"),
        ("at", None),
        ("event", 1),
        ("object", ["share"]),
        ("object", ["share", 1]),
        ("object", "share"),
        ("actor", None),
        ("from", 3),
        ("to", []),
        ("data", []),
        ("personal", {"reason": "clear"}),
        ("personal", None),
        ("more", 1),
    ],
)
def test_a_field_of_another_form_is_refused(field: str, value: object):
    changed = {**json.loads(SAMPLE.encode()), field: value}
    with pytest.raises(MalformedEntry):
        leaf.parse(leaf.canonical(changed))


def test_a_missing_field_is_refused():
    whole = json.loads(SAMPLE.encode())
    for name in whole:
        with pytest.raises(MalformedEntry):
            leaf.parse(leaf.canonical({k: v for k, v in whole.items() if k != name}))


@pytest.mark.parametrize(
    "value", [1.5, 2**53, -(2**53), b"bytes", {1: 2}, datetime(2026, 1, 1, tzinfo=UTC), {"a"}]
)
def test_what_json_here_may_not_hold_is_refused(value: object):
    with pytest.raises(MalformedEntry):
        leaf.canonical({"x": value})


def test_deep_nesting_is_refused_and_not_a_crash():
    with pytest.raises(MalformedEntry):
        leaf.parse(b"[" * 60_000 + b"]" * 5_000)
    nested: list[object] = []
    for _ in range(5_000):
        nested = [nested]
    with pytest.raises(MalformedEntry):
        leaf.canonical(nested)


def test_an_entry_stays_under_64_kib():
    room = leaf.MAX_ENTRY_BYTES - len(leaf.Entry(**{**vars(SAMPLE), "data": {"t": ""}}).encode())
    assert len(leaf.Entry(**{**vars(SAMPLE), "data": {"t": "x" * room}}).encode()) == leaf.MAX_ENTRY_BYTES
    with pytest.raises(MalformedEntry, match="64 KiB"):
        leaf.Entry(**{**vars(SAMPLE), "data": {"t": "x" * (room + 1)}}).encode()


def test_hostile_text_cannot_stop_an_entry():
    entry = leaf.Entry(**{**vars(SAMPLE), "data": {"t\0": "a\ud800b\0c\u202e\x1b[31m"}})
    assert leaf.parse(entry.encode()).data == {"t\ufffd": "a?b\ufffdc\u202e\x1b[31m"}


def test_a_commitment_depends_on_salt_field_and_value():
    made = {
        leaf.commitment(salt, name, value)
        for salt in (b"a" * 32, b"b" * 32)
        for name in ("reason", "actor.name")
        for value in ("x", "y")
    }
    assert len(made) == 8 and all(len(m) == 64 for m in made)
