"""Evidence: one byte form, a signature for this purpose alone, and every changed byte refused."""

import dataclasses
import datetime
import json
import unicodedata
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from agreements.errors import EvidenceError
from agreements.evidence import (
    CONSENT_EN,
    CONSENT_ZH,
    CONTEXT,
    PLEDGE_ZH,
    SIGNATURE_BYTES,
    Access,
    Consent,
    Event,
    Evidence,
    canonical,
    key_id,
    parse,
    pledge,
    sign,
    verify,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "agreements"


def vector() -> dict:
    return json.loads((VECTORS / "evidence-1.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def data(evidence):
    return canonical(evidence)


@pytest.fixture(scope="module")
def signature(data, key):
    return sign(data, key)


def test_the_byte_form_and_the_signature_are_frozen(evidence, key):
    frozen = vector()
    assert canonical(evidence) == frozen["canonical"].encode()
    seeded = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(frozen["key_seed"]))
    assert key_id(seeded.public_key()).hex() == frozen["key_id"]
    assert sign(frozen["canonical"].encode(), seeded).hex() == frozen["signature"]
    assert (
        verify(frozen["canonical"].encode(), bytes.fromhex(frozen["signature"]), seeded.public_key())
        == evidence
    )


@pytest.mark.parametrize("case", vector()["refused"], ids=lambda case: case["why"])
def test_frozen_faults_are_refused(case):
    with pytest.raises(EvidenceError):
        parse(case["evidence"].encode("utf-8", "surrogatepass"))


def test_the_byte_form_is_sorted_dense_utf8(data):
    text = data.decode()
    assert text == json.dumps(json.loads(text), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert "示例签署人" in text
    assert '"signed_at":"2026-11-23T03:20:05.123456Z"' in text


def test_what_was_signed_is_read_back(evidence, data, signature, key):
    assert parse(data) == evidence
    assert verify(data, signature, key.public_key()) == evidence
    assert len(signature) == SIGNATURE_BYTES


def test_every_flipped_bit_of_evidence_or_signature_is_refused(data, signature, key):
    public = key.public_key()
    for index in range(len(data)):
        for bit in (0, 5, 7):
            changed = bytearray(data)
            changed[index] ^= 1 << bit
            with pytest.raises(EvidenceError):
                verify(bytes(changed), signature, public)
    for index in range(len(signature)):
        for bit in range(8):
            changed = bytearray(signature)
            changed[index] ^= 1 << bit
            with pytest.raises(EvidenceError):
                verify(data, bytes(changed), public)


def test_cut_or_longer_bytes_are_refused(data, signature, key):
    public = key.public_key()
    for bad in (b"", data[:-1], data + b"\n", b"\xef\xbb\xbf" + data, data * 2):
        with pytest.raises(EvidenceError):
            verify(bad, signature, public)
    for bad in (b"", signature[:-1], signature + b"\x00", signature[9:]):
        with pytest.raises(EvidenceError):
            verify(data, bad, public)


def test_another_key_is_refused_even_under_a_forged_key_id(data, key):
    other = Ed25519PrivateKey.generate()
    theirs = sign(data, other)
    with pytest.raises(EvidenceError, match="another key"):
        verify(data, theirs, key.public_key())
    with pytest.raises(EvidenceError):
        verify(data, theirs[:1] + key_id(key.public_key()) + theirs[9:], key.public_key())


def test_a_signature_for_another_purpose_does_not_count(data, key):
    head = bytes([1]) + key_id(key.public_key())
    for message in (data, b"sealgate.manifest.v1\n" + data):
        with pytest.raises(EvidenceError):
            verify(data, head + key.sign(message), key.public_key())
    assert verify(data, head + key.sign(CONTEXT + data), key.public_key())


def test_only_canonical_evidence_is_signed(data, key):
    for bad in (b"{}", json.dumps(json.loads(data)).encode(), data.replace(b'"version":1', b'"version":2')):
        assert bad != data
        with pytest.raises(EvidenceError):
            sign(bad, key)


def replaced(evidence: Evidence, member: str, value: object) -> Evidence:
    """Change a member named as "signer.name"."""
    first, _, rest = member.partition(".")
    changed = dataclasses.replace(getattr(evidence, first), **{rest: value}) if rest else value
    return dataclasses.replace(evidence, **{first: changed})


LOCAL = datetime.timezone(datetime.timedelta(hours=8))


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("version", 2),
        ("version", True),
        ("agreement_no", ""),
        ("agreement_no", " "),
        ("agreement_no", 7),
        ("template_version", "NDA\n1"),
        ("pdf_sha256", "AA" * 32),
        ("pdf_sha256", "aa" * 31),
        ("text_sha256", "zz" * 32),
        ("drawing_sha256", ""),
        ("drawing_sha256", 5),
        ("signer.name", ""),
        ("signer.name", "Cafe\u0301"),
        ("signer.name", "甲\x00"),
        ("signer.name", "\ud800"),
        ("signer.name", None),
        ("signer.uscc", "0" * 17),
        ("signer.uscc", "I" * 18),
        ("consent.language", "fr"),
        ("consent.text", ""),
        ("access.ip", "192.0.2.07"),
        ("access.ip", "example.com"),
        ("access.ip", "2001:DB8::1"),
        ("access.user_agent", "a\r\nb"),
        ("access.session_sha256", "a session id"),
        ("authentication.method", ""),
        ("authentication.at", datetime.datetime(2026, 11, 23, tzinfo=LOCAL)),
        ("signed_at", datetime.datetime(2026, 11, 23)),  # noqa: DTZ001 a naive time is the fault tried here
        ("events", (Event("viewed", datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC), (0,)),)),
        ("events", (Event("viewed", datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC), (True,)),)),
        ("events", (Event("", datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)),)),
        ("events", (Event("viewed", datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)),) * 2000),
    ],
)
def test_members_of_the_wrong_form_are_refused_without_their_value(evidence, member, value):
    with pytest.raises(EvidenceError) as refusal:
        canonical(replaced(evidence, member, value))
    assert len(str(refusal.value)) < 80
    assert "session id" not in str(refusal.value)


@pytest.mark.parametrize(
    "bad",
    [b"", b"null", b"[]", b"5", b'""', b"{", b"\xff", b"[" * 5000, b'{"version":1}', b'{"a":1,"a":1}'],
)
def test_bytes_that_are_no_evidence_are_refused(bad):
    with pytest.raises(EvidenceError):
        parse(bad)


TEXTS = (
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40)
    .map(lambda text: unicodedata.normalize("NFC", text))
    .filter(str.strip)
)
TIMES = st.datetimes(timezones=st.just(datetime.UTC))


@given(
    TEXTS,
    TEXTS,
    TEXTS,
    TIMES,
    st.lists(st.builds(Event, TEXTS, TIMES, st.lists(st.integers(1, 99)).map(tuple))),
)
def test_any_evidence_is_read_back_from_its_one_form(evidence, name, agent, number, at, events):
    changed = dataclasses.replace(
        evidence,
        agreement_no=number,
        signer=dataclasses.replace(evidence.signer, name=name),
        access=Access.of(ip="2001:db8::1", user_agent=agent, session_id="s"),
        signed_at=at,
        events=tuple(events),
    )
    assert parse(canonical(changed)) == changed


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(draw=st.data())
def test_a_member_of_any_other_kind_is_refused_or_canonical(draw, evidence):
    tree = json.loads(canonical(evidence))
    name = draw.draw(st.sampled_from(sorted(tree)))
    tree[name] = draw.draw(JSON)
    changed = json.dumps(tree, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode(
        "utf-8", "replace"
    )
    try:
        read = parse(changed)
    except EvidenceError:
        return
    assert canonical(read) == changed


@given(st.text(max_size=700))
def test_any_user_agent_can_stand_in_evidence(evidence, agent):
    access = Access.of(ip="192.0.2.7", user_agent=agent, session_id="s")
    assert parse(canonical(dataclasses.replace(evidence, access=access))).access == access
    assert len(access.user_agent) <= 512


def test_the_session_is_kept_as_a_digest_only(evidence):
    access = Access.of(ip="2001:DB8:0::1", user_agent="", session_id="canary-session")
    assert access.ip == "2001:db8::1"
    assert b"canary-session" not in canonical(dataclasses.replace(evidence, access=access))
    with pytest.raises(EvidenceError):
        Access.of(ip="localhost", user_agent="", session_id="s")


def test_consent_is_kept_in_the_words_shown(evidence):
    for language, text in (("zh", CONSENT_ZH), ("en", CONSENT_EN)):
        changed = dataclasses.replace(evidence, consent=Consent("consent-1", language, text))
        assert text.encode() in canonical(changed)


def test_the_pledge_names_agreement_and_purpose_once_and_literally():
    zh, en = pledge("BM-2026-0001", "{nda_no}施工")
    assert zh == PLEDGE_ZH.replace("{purpose}", "P").replace("{nda_no}", "BM-2026-0001").replace(
        "P", "{nda_no}施工"
    )
    assert "BM-2026-0001" in en and "{nda_no}施工" in en
