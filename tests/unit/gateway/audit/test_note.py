"""Signed notes: what Go's note package signed is accepted here, and no altered note is."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import note
from gateway.audit.errors import AuditError, BadSignature, MalformedNote

PRIVATE = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
KEY = note.Key("log.example/1", PRIVATE.public_key().public_bytes_raw())
OTHER_KEY = note.Key("witness.example", OTHER.public_key().public_bytes_raw())
HEAD = note.TreeHead("log.example/1", 7, bytes(range(32)))


def signed(text: str, *names: tuple[str, Ed25519PrivateKey]) -> str:
    return note.Note(text, tuple(note.sign(text, name, key) for name, key in names)).encode()


CHECKPOINT = signed(HEAD.text(), ("log.example/1", PRIVATE))

# The sample of golang.org/x/mod/sumdb/note: a note that was not signed here.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_a_note_signed_by_go_is_accepted():
    key = note.parse_key(GO_KEY)
    assert note.verify(note.parse(GO_NOTE), [key]) == (key,)
    assert key.text == GO_KEY and note.parse(GO_NOTE).encode() == GO_NOTE


def test_a_checkpoint_comes_back():
    assert note.open_checkpoint(CHECKPOINT, [KEY]) == HEAD
    assert note.parse_key(KEY.text) == KEY


def test_several_signatures_and_unknown_ones():
    both = signed(HEAD.text(), ("witness.example", OTHER), ("log.example/1", PRIVATE))
    assert note.open_checkpoint(both, [KEY]) == HEAD
    assert set(note.verify(note.parse(both), [KEY, OTHER_KEY])) == {KEY, OTHER_KEY}


def test_a_witness_alone_does_not_vouch_for_the_log():
    lone = signed(HEAD.text(), ("witness.example", OTHER))
    with pytest.raises(BadSignature):
        note.open_checkpoint(lone, [KEY])
    with pytest.raises(BadSignature, match="another log"):
        note.open_checkpoint(lone, [KEY, OTHER_KEY])


def test_a_wrong_signature_of_a_known_key_spoils_the_note():
    good = note.sign(HEAD.text(), "log.example/1", PRIVATE)
    bad = note.Signature("witness.example", OTHER_KEY.key_id, bytes(64))
    with pytest.raises(BadSignature, match="wrong"):
        note.open_checkpoint(note.Note(HEAD.text(), (good, bad)).encode(), [KEY, OTHER_KEY])


def test_same_name_other_key_is_foreign():
    foreign = signed(HEAD.text(), ("log.example/1", OTHER))
    with pytest.raises(BadSignature):
        note.open_checkpoint(foreign, [KEY])


@given(st.integers(0, len(CHECKPOINT.encode()) - 1), st.integers(0, 7))
def test_no_flipped_bit_is_accepted(at: int, bit: int):
    raw = bytearray(CHECKPOINT.encode())
    raw[at] ^= 1 << bit
    with pytest.raises((AuditError, UnicodeDecodeError)):
        note.open_checkpoint(raw.decode("utf-8"), [KEY])


@given(st.text(max_size=200))
def test_no_text_raises_anything_else(text: str):
    for read in (note.parse, note.parse_head, note.parse_key):
        with pytest.raises(MalformedNote):
            read(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n7\n",
        "\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "o\n07\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "o\n-7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "o\n٧\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "o\n9999999999999999999\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "o\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=\n",
        "o\n7\nAAEC\n",
        "o\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\nextension\n",
        "o\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    ],
)
def test_other_tree_heads_are_refused(text: str):
    with pytest.raises(MalformedNote):
        note.parse_head(text)


def test_keys_of_other_forms_are_refused():
    name, _, rest = KEY.text.partition("+")
    wrong_type = base64.b64encode(b"\x04" + KEY.public).decode()
    for text in (
        "",
        name,
        f"{name}+00000000+{rest[9:]}",
        f"other+{rest}",
        f"{name}+{rest[:9]}{wrong_type}",
        KEY.text[:-4],
    ):
        with pytest.raises(MalformedNote):
            note.parse_key(text)
    for bad in ("", "a b", "a+b", "a\nb", "a\u00a0b"):
        with pytest.raises(MalformedNote):
            note.check_name(bad)


def test_at_least_sixteen_signatures_are_read():
    many = note.Note(HEAD.text(), (note.sign(HEAD.text(), "log.example/1", PRIVATE),) * 16).encode()
    assert note.open_checkpoint(many, [KEY]) == HEAD
    with pytest.raises(MalformedNote):
        note.parse(note.Note(HEAD.text(), (note.sign(HEAD.text(), "x", OTHER),) * 65).encode())
