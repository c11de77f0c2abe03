"""Sealed fields and search digests."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.errors import Corrupt, KeyGone
from storage.fields import FieldCipher, SearchKey, normalised

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "keyring" / "fields.json").read_text())
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


class OneKey:
    """A keyring that gives one known key to everyone."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def key(self, object_id: str) -> bytes:
        return self._key


@pytest.fixture
def cipher(keyring) -> FieldCipher:
    return FieldCipher(keyring)


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: ascii(case["text"]))
def test_vectors(case):
    cipher = FieldCipher(OneKey(bytes.fromhex(case["key"])))
    assert cipher.open(case["owner"], case["column"], bytes.fromhex(case["sealed"])) == case["text"]


@pytest.mark.parametrize("case", VECTORS["digests"], ids=lambda case: ascii(case["value"]))
def test_digest_vectors(case):
    assert normalised(case["value"]) == case["normalised"]
    assert SearchKey(bytes.fromhex(case["key"])).digest(case["column"], case["value"]) == case["digest"]


@SHARED
@given(
    owner=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    text=st.text(max_size=200),
)
def test_round_trip(cipher, owner, text):
    text = text.encode("utf-8", "replace").decode()
    assert cipher.open(owner, "name", cipher.seal(owner, "name", text)) == text


def test_a_field_is_bound_to_owner_and_column_and_every_byte(cipher):
    blob = cipher.seal("client-1", "name", "王小明")
    cipher.seal("client-2", "name", "王小明")
    assert "王".encode() not in blob
    for owner, column in (("client-2", "name"), ("client-1", "phone")):
        with pytest.raises(Corrupt):
            cipher.open(owner, column, blob)
    for at in range(len(blob)):
        with pytest.raises(Corrupt):
            cipher.open("client-1", "name", blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :])
        with pytest.raises(Corrupt):
            cipher.open("client-1", "name", blob[:at])


def test_owner_and_column_do_not_run_together(keyring):
    key = bytes(32)
    one = FieldCipher(OneKey(key)).seal("ab", "c", "x")
    with pytest.raises(Corrupt):
        FieldCipher(OneKey(key)).open("a", "bc", one)


def test_the_same_text_never_seals_alike(cipher):
    assert cipher.seal("c", "name", "x") != cipher.seal("c", "name", "x")


def test_erasing_the_owner_erases_every_field(cipher, keyring):
    blob, other = cipher.seal("gone", "name", "x"), cipher.seal("kept", "name", "y")
    keyring.destroy("field:gone")
    with pytest.raises(KeyGone):
        cipher.open("gone", "name", blob)
    assert cipher.open("kept", "name", other) == "y"
    # A new key would let fields be kept again of somebody who was told that nothing is.
    with pytest.raises(KeyGone):
        cipher.seal("gone", "name", "new")
    assert list(keyring.names()) == ["field:kept"]


def test_equal_values_have_equal_digests_and_others_none():
    search = SearchKey(bytes(32))
    assert search.digest("phone", "１３８ 0000") == search.digest("phone", " 138  0000\n")
    assert search.digest("name", "Wang") == search.digest("name", "WANG")
    digests = {search.digest(*pair) for pair in (("a", "b"), ("b", "a"), ("a", "c"), ("ab", ""), ("", "ab"))}
    digests.add(SearchKey(b"\1" * 32).digest("a", "b"))
    assert len(digests) == 6


@given(st.text())
def test_normalising_twice_changes_nothing(value):
    assert normalised(normalised(value)) == normalised(value)


def test_normalising_any_single_character_twice_changes_nothing():
    characters = (chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    assert [char for char in characters if normalised(normalised(char)) != normalised(char)] == []


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_search_key_has_its_length(size):
    with pytest.raises(ValueError):
        SearchKey(bytes(size))
