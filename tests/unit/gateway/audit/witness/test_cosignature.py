"""Cosignatures: form, what is signed, and what does not stand."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import note
from gateway.audit.errors import AuditError, BadSignature, MalformedNote
from gateway.audit.witness import cosignature

NAME = "witness.example/w1"
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
KEY = cosignature.CosignatureKey(NAME, PRIVATE.public_key().public_bytes_raw())
TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
AT = datetime.fromtimestamp(1679315147, UTC)


def test_signs_the_message_of_the_specification() -> None:
    made = cosignature.sign(TEXT, NAME, PRIVATE, AT)
    assert made.value[:8] == (1679315147).to_bytes(8, "big")
    message = b"cosignature/v1\ntime 1679315147\n" + TEXT.encode()
    Ed25519PublicKey.from_public_bytes(KEY.public).verify(made.value[8:], message)
    assert KEY.verify(TEXT, made) == AT


def test_the_key_id_has_type_four() -> None:
    assert base64.b64decode(KEY.text.rpartition("+")[2])[0] == 4
    assert note.Key(NAME, KEY.public).key_id != KEY.key_id
    assert cosignature.parse_key(KEY.text) == KEY


@pytest.mark.parametrize(
    "text",
    [
        note.Key(NAME, KEY.public).text,
        KEY.text.replace("w1", "w2"),
        KEY.text[:-4],
        "",
        "a+b+c",
        KEY.text.replace("witness", "wit ness"),
    ],
)
def test_other_keys_are_refused(text: str) -> None:
    with pytest.raises(MalformedNote):
        cosignature.parse_key(text)


def changed(value: bytes, at: int) -> bytes:
    return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]


@pytest.mark.parametrize("at", [0, 7, 8, 71])
def test_a_changed_byte_does_not_stand(at: int) -> None:
    made = cosignature.sign(TEXT, NAME, PRIVATE, AT)
    with pytest.raises(BadSignature):
        KEY.verify(TEXT, note.Signature(NAME, KEY.key_id, changed(made.value, at)))


def test_another_text_name_key_or_length_does_not_stand() -> None:
    made = cosignature.sign(TEXT, NAME, PRIVATE, AT)
    lies = [
        (TEXT.replace("20852163", "20852164"), made),
        (TEXT, note.Signature("witness.example/w2", made.key_id, made.value)),
        (TEXT, note.Signature(NAME, b"abcd", made.value)),
        (TEXT, note.Signature(NAME, made.key_id, made.value + b"\0")),
        (TEXT, note.Signature(NAME, made.key_id, made.value[8:])),
    ]
    for text, lie in lies:
        with pytest.raises(BadSignature):
            KEY.verify(text, lie)


def test_a_plain_note_signature_is_no_cosignature() -> None:
    made = note.sign(TEXT, NAME, PRIVATE)
    with pytest.raises(BadSignature):
        KEY.verify(TEXT, note.Signature(NAME, KEY.key_id, made.value))


def test_a_time_past_every_calendar_is_refused() -> None:
    late = 2**63 - 1
    value = late.to_bytes(8, "big") + PRIVATE.sign(f"cosignature/v1\ntime {late}\n{TEXT}".encode())
    with pytest.raises(BadSignature):
        KEY.verify(TEXT, note.Signature(NAME, KEY.key_id, value))


def test_a_note_tells_who_cosigned_it_and_when() -> None:
    stranger = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
    lines = (
        note.sign(TEXT, "example.com/behind-the-sofa", stranger),
        cosignature.sign(TEXT, NAME, PRIVATE, AT),
        cosignature.sign(TEXT, "witness.example/other", stranger, AT + timedelta(days=1)),
    )
    held = note.parse(note.Note(TEXT, lines).encode())
    assert cosignature.cosigned(held, [KEY]) == {KEY: AT}
    spoilt = (lines[0], note.Signature(NAME, KEY.key_id, changed(lines[1].value, 20)))
    with pytest.raises(BadSignature):
        cosignature.cosigned(note.Note(TEXT, spoilt), [KEY])


@given(st.text(max_size=120))
def test_any_text_is_a_key_or_is_refused_as_one(text: str) -> None:
    try:
        found = cosignature.parse_key(text)
    except AuditError:
        return
    assert found.text == text.strip()
