"""File numbers, levels, scopes and the table of a case's life."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.archive.rules import (
    CASE,
    FileNumber,
    Relation,
    copy_number,
    file_name_form,
    fold,
    known_classes,
    level_of,
    parse_number,
    raised_level,
    scope,
)
from gateway.archive.vocabulary import ALL_CLASSES
from gateway.errors import Invalid
from gateway.principal import Actor, Role

# The pattern as the policy prints it (§2.5).
POLICY = re.compile(
    r"^[A-Z][A-Z0-9]{1,5}-[A-Z]{2}·20\d{2}·[A-Z]{2}-\d{4,5}(-\d{3,4}(_F\d{4,6})?)?$", re.ASCII
)
LETTERS = st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
PAIRS = st.tuples(LETTERS, LETTERS).map("".join)
NUMBERS = st.builds(
    FileNumber,
    fonds=st.tuples(LETTERS, st.text("ABCXYZ0123456789", min_size=1, max_size=5)).map("".join),
    category=PAIRS,
    year=st.integers(2000, 2099),
    department=PAIRS,
    volume=st.integers(0, 99_999),
    item=st.integers(0, 9_999),
    copy=st.none() | st.integers(0, 999_999),
)


@given(NUMBERS)
def test_a_number_is_read_back_as_it_was_written(number):
    text = str(number)
    assert POLICY.fullmatch(text)
    assert parse_number(text) == number
    assert file_name_form(text).replace(".", "·") == text


@given(NUMBERS, st.sampled_from("·.•．・‧"), st.booleans())
def test_folding_finds_a_number_however_its_dots_and_width_were_typed(number, dot, wide):
    typed = str(number).replace("·", dot).lower()
    if wide:
        typed = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in typed)
    assert fold(f" {typed} ") == str(number)


@given(st.text(max_size=40))
def test_only_what_the_policy_writes_is_a_number(text):
    if POLICY.fullmatch(text) and not text.endswith("\n"):
        assert str(parse_number(text)) == text
    else:
        with pytest.raises(Invalid):
            parse_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "SG01-KH·2026·SJ-0007\n",
        "SG01-KH.2026.SJ-0007",
        "SG01-KH·1999·SJ-0007",
        "SG01-KH·2026·SJ-007",
        "SG01-KH·2026·SJ-0007-03",
        "SG01-KH·2026·SJ-0007_F0001",
        "SG01-KH·２０２６·SJ-0007",
        "S-KH·2026·SJ-0007",
    ],
)
def test_numbers_that_are_nearly_right_are_refused(text):
    with pytest.raises(Invalid):
        parse_number(text)


def test_the_copy_number_is_that_of_the_policy():
    assert copy_number("SG01-KH·2026·SJ-0007", 3, 12) == "SG01-KH·2026·SJ-0007-003_F0012"


@given(st.sets(st.sampled_from(sorted(ALL_CLASSES)), min_size=1), st.sampled_from([None, 0, 1, 2, 3, 4]))
def test_a_level_is_that_of_the_highest_class_or_above(classes, wanted):
    least = level_of(classes)
    if wanted is None:
        assert raised_level(classes, wanted) == least
    elif least <= wanted <= 3:
        assert raised_level(classes, wanted) == wanted
    else:
        with pytest.raises(Invalid):
            raised_level(classes, wanted)


@pytest.mark.parametrize("classes", [[], ["F13"], ["F01", "f02"]])
def test_unknown_or_no_classes_are_refused(classes):
    with pytest.raises(Invalid):
        known_classes(classes)


def _who(*roles: Role, kind: str = "staff") -> Actor:
    return Actor(kind, "a", roles=frozenset(roles))  # type: ignore[arg-type]


OWN, THEIRS = Relation(own_department=True), Relation()
OWN_CLIENT, NEW_CLIENT = Relation(own_client=True), Relation(own_client=True, handed_over=False)
GRANTED = Relation(granted=frozenset({"F07"}))

# policy.md §1, 目录检索 / 题名 / 内容查阅 / 解密敏感字段, by role and relation.
MATRIX = [
    (Role.GM, THEIRS, True, False, 0, 0),
    (Role.GM, GRANTED, True, False, 0, 0),
    (Role.DGM, THEIRS, True, False, 0, 0),
    (Role.DGM, GRANTED, True, True, 1, 0),
    (Role.ADM, THEIRS, True, False, 0, 0),
    (Role.ADM, GRANTED, True, False, 0, 0),
    (Role.HOD, OWN, True, True, 12, 12),
    (Role.HOD, THEIRS, False, False, 0, 0),
    (Role.HOD, OWN_CLIENT, False, False, 0, 0),
    (Role.HOD, GRANTED, False, False, 0, 0),
    (Role.BIZ, THEIRS, False, False, 0, 0),
    (Role.BIZ, OWN, False, False, 0, 0),
    (Role.BIZ, OWN_CLIENT, True, False, 0, 0),
    (Role.BIZ, NEW_CLIENT, True, True, 12, 0),
    (Role.BIZ, GRANTED, True, True, 1, 1),
    (Role.ARC, THEIRS, True, True, 12, 12),
    (Role.AUD, THEIRS, True, False, 0, 0),
    (Role.AUD, GRANTED, True, False, 0, 0),
    (Role.SYS, OWN, False, False, 0, 0),
    (Role.SYS, GRANTED, False, False, 0, 0),
    (Role.PTN, OWN, False, False, 0, 0),
    (Role.PTN, GRANTED, False, False, 0, 0),
]


@pytest.mark.parametrize(("role", "relation", "listed", "titles", "content", "reveal"), MATRIX)
def test_each_role_sees_what_the_policy_gives_it(role, relation, listed, titles, content, reveal):
    found = scope(_who(role), relation)
    assert (found.listed, found.titles, len(found.content), len(found.reveal)) == (
        listed,
        titles,
        content,
        reveal,
    )


def test_an_item_is_read_only_when_every_class_is_granted():
    found = scope(_who(Role.BIZ), GRANTED)
    assert found.reads(["F07"])
    assert not found.reads(["F07", "F03"])
    assert not found.reads([])


@pytest.mark.parametrize("kind", ["contact", "system", "stranger"])
def test_nobody_but_staff_has_any_scope(kind):
    assert not scope(_who(Role.ARC, kind=kind), Relation(True, True, False, ALL_CLASSES))


def test_the_system_administrator_sees_nothing_whatever_other_role_is_held():
    assert not scope(_who(Role.SYS, Role.ARC), OWN)


def test_the_table_names_only_its_own_states_and_ends():
    known = {"", *CASE.states}
    assert all({*m.sources, m.target} <= known for m in CASE.moves)
    assert not any("VOID" in m.sources for m in CASE.moves)
    assert {m.event for m in CASE.moves if m.reason} == {"return", "amend", "void"}
