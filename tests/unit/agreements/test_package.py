"""The evidence package: whole under its manifest, and refused when any part of it is another."""

import datetime
import hashlib
import io
import zipfile
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from agreements import evidence as ev
from agreements import package as pk
from agreements.credentials import development_ca
from agreements.errors import BadPackage
from agreements.text import DEFAULT, canonical_text, fill


@pytest.fixture(scope="module")
def parts(shown, signed, evidence, key, values, seal_credentials) -> dict[str, bytes]:
    filled = fill(DEFAULT, values)
    facts = replace(
        evidence,
        pdf_sha256=hashlib.sha256(shown).hexdigest(),
        text_sha256=filled.text_sha256,
        drawing_sha256=None,
    )
    body = ev.canonical(facts)
    return {
        pk.SHOWN: shown, pk.SIGNED: signed, pk.EVIDENCE: body, pk.SIGNATURE: ev.sign(body, key), pk.CERTIFICATE: b"%PDF-",
        pk.TEXT: canonical_text(filled), pk.EVENTS: b"[]", pk.ROOTS: seal_credentials.pem(), pk.LOG_KEY: b"log",
    }  # fmt: skip


def refused(files: dict[str, bytes], key, **more) -> str:
    with pytest.raises(BadPackage) as refusal:
        pk.check(pk.pack(files, key), key.public_key(), **more)
    return str(refusal.value)


def test_a_whole_package_is_proved(parts, key, seal_credentials):
    packed = pk.pack(parts, key)
    found = pk.check(packed, key.public_key(), roots=[seal_credentials.root])
    assert found.evidence.agreement_no == "BM-2026-0001" and found.signed.sound
    assert found.signed_sha256 == hashlib.sha256(parts[pk.SIGNED]).hexdigest()
    assert packed == pk.pack(dict(reversed(parts.items())), key)


@pytest.mark.parametrize("name", pk.NEEDED)
def test_each_part_is_needed(parts, key, name):
    assert name in refused({n: d for n, d in parts.items() if n != name}, key)


def test_the_manifest_binds_every_file_to_the_key(parts, key):
    packed, other = pk.pack(parts, key), Ed25519PrivateKey.generate()
    with pytest.raises(BadPackage):
        pk.check(packed, other.public_key())
    files = pk.read(packed)
    for change in (
        {pk.CERTIFICATE: b"%PDF-other"},
        {"extra.txt": b""},
        {pk.MANIFEST: files[pk.MANIFEST] + b" "},
    ):
        with pytest.raises(BadPackage):
            pk.check(_raw({**files, **change}), key.public_key())
    with pytest.raises(BadPackage):
        pk.check(_raw({n: d for n, d in files.items() if n != pk.EVENTS}), key.public_key())


def test_a_rightly_sealed_package_of_things_that_do_not_belong_together_is_refused(
    parts, key, shown, flipped
):
    assert "not what was signed" in refused({**parts, pk.SHOWN: shown + b"\n"}, key)
    assert "not what was signed" in refused({**parts, pk.TEXT: parts[pk.TEXT] + b" "}, key)
    assert refused({**parts, pk.SIGNED: flipped(parts[pk.SIGNED], len(shown) - 2000)}, key)
    assert refused({**parts, pk.SIGNED: shown}, key)
    assert refused({**parts, pk.SIGNATURE: flipped(parts[pk.SIGNATURE], 30)}, key)
    stranger = development_ca("另一家公司", datetime.datetime.now(datetime.UTC))
    assert "trusted" in refused(parts, key, roots=[stranger.root])


def _raw(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize(
    "name", ["../agreement.pdf", "/etc/passwd", "a/b.txt", "receipts/../x", "A.pdf", "a\\b"]
)
def test_members_of_other_names_are_refused(name):
    with pytest.raises(BadPackage):
        pk.read(_raw({name: b""}))


def test_a_bomb_and_a_name_twice_are_refused():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("agreement.pdf", bytes(pk.MAX_MEMBER + 1))
    with pytest.raises(BadPackage):
        pk.read(out.getvalue())
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("agreement.pdf", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("agreement.pdf", b"2")
    with pytest.raises(BadPackage):
        pk.read(out.getvalue())
    with pytest.raises(BadPackage):
        pk.read(_raw({f"{n}.txt": b"" for n in range(pk.MAX_MEMBERS + 1)}))


@given(st.binary(max_size=400))
def test_any_bytes_are_a_package_or_refused(data):
    for given_bytes in (data, b"PK\x03\x04" + data, _raw({"agreement.pdf": data})):
        try:
            pk.read(given_bytes)
        except BadPackage:
            continue
        assert given_bytes == _raw({"agreement.pdf": data})
