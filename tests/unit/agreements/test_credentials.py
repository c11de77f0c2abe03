"""Certificates and keys that seal: what is read, what is refused, what is made for development."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agreements.credentials import (
    DEVELOPMENT,
    development_ca,
    from_pem,
    from_pkcs12,
    read,
    read_roots,
    require_valid,
    to_pem,
    to_pkcs12,
)
from agreements.errors import BadCredentials

NOW = datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def made():
    return development_ca("示例云阶装饰公司（虚构）", NOW)


def pem_key(key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def own(key, *, usage: x509.KeyUsage | None = None) -> bytes:
    """A certificate of its own key in PEM."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "own")])
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), NOW, NOW.replace(year=2030)
    )
    if usage is not None:
        builder = builder.add_extension(usage, critical=True)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM)


def test_a_development_seal_says_so_and_is_under_an_authority_whose_key_is_gone(made):
    assert made.development and DEVELOPMENT in made.certificate.issuer.rfc4514_string()
    assert made.root is not None and made.root.subject == made.certificate.issuer
    made.certificate.verify_directly_issued_by(made.root)
    assert made.root.public_key() != made.key.public_key()


def test_both_forms_are_read_back(made):
    for again in (read(to_pem(made)), read(to_pkcs12(made, b"geheim"), b"geheim")):
        assert (again.certificate, again.chain) == (made.certificate, made.chain)
        assert again.key.private_numbers() == made.key.private_numbers()
    assert from_pem(made.pem(), pem_key(made.key)).certificate == made.certificate


def test_the_key_is_in_no_representation(made):
    assert "key" not in repr(made).replace("public_key", "") and b"PRIVATE" not in made.pem()


@pytest.mark.parametrize("password", [b"wrong", None])
def test_a_wrong_password_is_refused(made, password):
    with pytest.raises(BadCredentials):
        from_pkcs12(to_pkcs12(made, b"right"), password)


def test_what_cannot_seal_is_refused(made):
    other, weak, edwards = (
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(65537, 1024),
        None,
    )
    edwards = ed25519.Ed25519PrivateKey.generate()
    for data in (
        b"-----BEGIN nothing",
        b"\x30\x00",
        made.pem(),
        pem_key(made.key),
        made.pem() + pem_key(other),
        own(weak) + pem_key(weak),
        own(edwards) + pem_key(edwards),
    ):
        with pytest.raises(BadCredentials):
            read(data)
    with pytest.raises(BadCredentials):
        read_roots(b"nothing")


@pytest.mark.parametrize("days", [-2, 365 * 11])
def test_a_certificate_that_is_not_valid_today_is_refused(made, days):
    require_valid(made, NOW)
    with pytest.raises(BadCredentials):
        require_valid(made, NOW + datetime.timedelta(days=days))


def test_a_key_that_may_not_sign_documents_is_refused():
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(False, False, False, False, True, False, False, False, False)
    with pytest.raises(BadCredentials):
        require_valid(read(own(key, usage=usage) + pem_key(key)), NOW.replace(year=2027))
    require_valid(read(own(key) + pem_key(key)), NOW.replace(year=2027))
