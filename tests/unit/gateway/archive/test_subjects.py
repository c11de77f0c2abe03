"""Personal fields: what is taken, and how they are masked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.archive import subjects
from gateway.errors import Invalid

DATES = st.dates().filter(lambda d: d.year >= 1900).map(lambda d: f"{d:%Y%m%d}")
FIRST17 = st.tuples(st.integers(110000, 659999).map(str), DATES, st.integers(0, 999).map("{:03}".format)).map(
    "".join
)


# A published example of GB 11643: 11010519491231002X.
def test_the_standards_example_has_its_check_character():
    assert subjects.check_character("11010519491231002") == "X"
    assert subjects.resident_number_valid("11010519491231002X")


@given(FIRST17)
def test_a_number_with_its_check_character_is_valid(first):
    assert subjects.resident_number_valid(first + subjects.check_character(first))


@given(FIRST17, st.integers(0, 16), st.integers(1, 9))
def test_one_wrong_digit_is_always_found(first, place, shift):
    whole = first + subjects.check_character(first)
    wrong = str((int(whole[place]) + shift) % 10)
    assert not subjects.resident_number_valid(whole[:place] + wrong + whole[place + 1 :])


@given(FIRST17, st.integers(0, 15))
def test_two_neighbours_swapped_are_always_found(first, place):
    whole = first + subjects.check_character(first)
    swapped = whole[:place] + whole[place + 1] + whole[place] + whole[place + 2 :]
    assert swapped == whole or not subjects.resident_number_valid(swapped)


@pytest.mark.parametrize(
    "number",
    ["", "000000190001010001", "11010519490231002X", "1" * 17, "１１０１０５１９４９１２３１００２X"],
)
def test_other_numbers_are_not_valid(number):
    assert not subjects.resident_number_valid(number)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("138 0000 0000", "13800000000"),
        ("１３８００００００００", "13800000000"),
        ("010-12345678", "010-12345678"),
    ],
)
def test_phones_are_folded(typed, kept):
    assert subjects.phone(typed) == kept


@pytest.mark.parametrize(
    "typed", ["12800000000", "1380000000", "138000000000", "12345678", "100-0000-0001", "+8613800000000"]
)
def test_other_phones_are_refused(typed):
    with pytest.raises(Invalid):
        subjects.phone(typed)


def test_sample_numbers_are_taken_in_a_demonstration_only():
    assert subjects.phone("100-0000-0001", sample=True) == "100-0000-0001"


@pytest.mark.parametrize(
    ("mask", "text", "shown"),
    [
        (subjects.mask_name, "王小明", "王**"),
        (subjects.mask_name, "", ""),
        (subjects.mask_phone, "13800000000", "138****0000"),
        (subjects.mask_id, "11010519491231002X", "110*************2X"),
        (subjects.mask_address, "某市某路示例小区3幢2单元501室", "某市某路示例小区**"),
        (subjects.mask_address, "某市某路88号501室", "某市某路88**"),
    ],
)
def test_masks_are_those_of_the_policy(mask, text, shown):
    assert mask(text) == shown


@given(st.text("0123456789", min_size=8, max_size=30))
def test_no_mask_gives_the_middle_of_a_number_away(number):
    assert len(subjects.mask_id(number).replace("*", "")) <= 5
    assert len(subjects.mask_phone(number).replace("*", "")) <= 7


@pytest.mark.parametrize("typed", ["a\u202eb", "a\u0000b", "a\nb", "", "  ", "x" * 61, "a\u200bb"])
def test_hostile_names_are_refused(typed):
    with pytest.raises(Invalid):
        subjects.plain(typed, longest=60, field="name")
