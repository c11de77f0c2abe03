"""The certificate and key that seal agreements: read from PKCS#12 or PEM bytes, or made for development and labelled so."""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agreements.errors import BadCredentials

SealKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

DEVELOPMENT = "SealGate development CA"
# Stands on every page that a development certificate is going to sign, so it is part of the bytes that are agreed to.
DEVELOPMENT_NOTICE = " ".join(
    (
        "仅供开发：本页由开发用证书签章，不具证据效力。",
        "Development only: sealed by a development certificate, no evidence.",
    )
)
_DEVELOPMENT_YEARS = 10
_MIN_RSA_BITS = 2048


@dataclass(frozen=True)
class Credentials:
    """A seal: its certificate, the certificates above it, its key. `development`: made by `development_ca`."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key: SealKey = field(repr=False)

    @property
    def development(self) -> bool:
        """Whether this is a labelled development certificate, whoever configured it."""
        names = [a.value for part in (self.certificate.issuer, self.certificate.subject) for a in part]
        return any(DEVELOPMENT in str(name) for name in names)

    @property
    def subject(self) -> str:
        """The common name of the certificate, or its whole subject where it has none."""
        names = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(names[0].value) if names else self.certificate.subject.rfc4514_string()

    @property
    def root(self) -> x509.Certificate | None:
        """The self-signed end of the chain, where it came along."""
        ends = (self.certificate, *self.chain)
        return next((c for c in reversed(ends) if c.issuer == c.subject), None)

    def pem(self) -> bytes:
        """Certificate and chain without the key, the certificate first."""
        return b"".join(c.public_bytes(Encoding.PEM) for c in (self.certificate, *self.chain))


def from_pem(data: bytes, key: bytes | None = None, password: bytes | None = None) -> Credentials:
    """Read a certificate with its chain and a key in PEM, from one file or two.

    Raises:
        BadCredentials: unreadable, without key or certificate, or a key that does not belong to it.
    """
    try:
        certificates = x509.load_pem_x509_certificates(data)
        private = load_pem_private_key(key if key is not None else data, password)
    except (ValueError, TypeError) as error:
        raise BadCredentials("not a certificate and a key in PEM, or a wrong password") from error
    return _checked(private, certificates)


def from_pkcs12(data: bytes, password: bytes | None) -> Credentials:
    """Read a PKCS#12 file.

    Raises:
        BadCredentials: unreadable, a wrong password, or without key or certificate.
    """
    try:
        held = pkcs12.load_pkcs12(data, password)
    except (ValueError, TypeError) as error:
        raise BadCredentials("not a PKCS#12 file, or a wrong password") from error
    if held.cert is None:
        raise BadCredentials("holds no certificate")
    return _checked(held.key, [held.cert.certificate, *(c.certificate for c in held.additional_certs)])


def read(data: bytes, password: bytes | None = None) -> Credentials:
    """Read either form, told apart by its first bytes.

    Raises:
        BadCredentials: as `from_pem` and `from_pkcs12`.
    """
    return from_pem(data, None, password) if b"-----BEGIN" in data[:4096] else from_pkcs12(data, password)


def read_roots(data: bytes) -> tuple[x509.Certificate, ...]:
    """Read trust anchors in PEM.

    Raises:
        BadCredentials: no certificate in it.
    """
    try:
        return tuple(x509.load_pem_x509_certificates(data))
    except ValueError as error:
        raise BadCredentials("no certificate in PEM") from error


def _checked(key: object, certificates: Sequence[x509.Certificate]) -> Credentials:
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise BadCredentials("the key is neither RSA nor on an elliptic curve")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _MIN_RSA_BITS:
        raise BadCredentials(f"an RSA key of fewer than {_MIN_RSA_BITS} bits")
    own = [c for c in certificates if c.public_key() == key.public_key()]
    if not own:
        raise BadCredentials("the key does not belong to any certificate in it")
    return Credentials(own[0], tuple(c for c in certificates if c != own[0]), key)


def require_valid(credentials: Credentials, now: datetime.datetime) -> None:
    """Refuse a certificate that is not valid at `now`, or may not sign.

    Raises:
        BadCredentials: before its first or after its last moment, or its key usage leaves signing out.
    """
    certificate = credentials.certificate
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise BadCredentials("the certificate is not valid today")
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not (usage.digital_signature or usage.content_commitment):
        raise BadCredentials("the certificate's key may not sign documents")


def development_ca(company: str, now: datetime.datetime) -> Credentials:
    """Make a development authority and a seal under it; the authority's own key is thrown away at once."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = _name(f"{DEVELOPMENT} 仅供开发", company)
    start, end = now - datetime.timedelta(days=1), now + datetime.timedelta(days=365 * _DEVELOPMENT_YEARS)
    root = _built(issuer, issuer, authority.public_key(), start, end, authority=True)
    leaf = _built(issuer, _name("开发用签章 development seal", company), key.public_key(), start, end)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    leaf = leaf.add_extension(identifier, critical=False)
    signed_root, signed_leaf = (builder.sign(authority, hashes.SHA256()) for builder in (root, leaf))
    return Credentials(signed_leaf, (signed_root,), key)


def to_pem(credentials: Credentials) -> bytes:
    """Key, certificate and chain in one PEM text, the key unencrypted: for a 0600 file."""
    key = credentials.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key + credentials.pem()


def to_pkcs12(credentials: Credentials, password: bytes) -> bytes:
    """The same as a PKCS#12 file under a password."""
    return pkcs12.serialize_key_and_certificates(
        b"seal",
        credentials.key,
        credentials.certificate,
        credentials.chain,
        BestAvailableEncryption(password),
    )


def _name(common: str, company: str) -> x509.Name:
    shown: Iterable[tuple[x509.ObjectIdentifier, str]] = (
        (NameOID.COUNTRY_NAME, "CN"),
        (NameOID.ORGANIZATION_NAME, company[:64]),
        (NameOID.COMMON_NAME, common),
    )
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in shown])


def _built(
    issuer: x509.Name,
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey,
    start: datetime.datetime,
    end: datetime.datetime,
    *,
    authority: bool = False,
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=not authority, content_commitment=not authority, key_cert_sign=authority, crl_sign=authority,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(
            x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True
        )
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    if authority:
        return builder
    return builder.add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
    )
