"""The seal of an installation: a labelled one for development, a real one from files, and in production none but a real one."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from agreements.credentials import Credentials, development_ca, to_pem, to_pkcs12
from gateway import bootstrap
from gateway.config import load, write_secret
from gateway.errors import ConfigError
from tests.factories import settings_at

NOW = datetime.datetime.now(datetime.UTC)
TSA = "https://tsa.example.com/"


def real(*, days: int = 365) -> Credentials:
    """A seal of its own root, as a company might bring."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "公司电子印章")])
    start, end = NOW - datetime.timedelta(days=400), NOW + datetime.timedelta(days=days)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), start, end)
    return Credentials(builder.sign(key, hashes.SHA256()), (), key)


def files(folder: Path, made: Credentials, *, password: bytes | None = None) -> dict[str, Path]:
    """The settings that name a seal: PEM, or PKCS#12 where there is a password."""
    write_secret(folder / "seal", to_pem(made) if password is None else to_pkcs12(made, password))
    (folder / "roots.pem").write_bytes((made.root or made.certificate).public_bytes(Encoding.PEM))
    given = {"seal_file": folder / "seal", "seal_roots_file": folder / "roots.pem"}
    if password is not None:
        write_secret(folder / "password", password)
        given["seal_password_file"] = folder / "password"
    return given


def test_init_makes_a_labelled_development_seal_and_keeps_it(tmp_path: Path) -> None:
    settings = settings_at(tmp_path / "home")
    assert bootstrap.SEAL in bootstrap.make_keys(settings)
    sealer = bootstrap.sealer(settings, now=NOW)
    assert sealer.credentials.development and sealer.authority is None and sealer.level == "B-B"
    assert (settings.keys / bootstrap.SEAL).stat().st_mode & 0o777 == 0o600
    assert bootstrap.make_keys(settings) == []
    assert bootstrap.sealer(settings, now=NOW).credentials.certificate == sealer.credentials.certificate


@pytest.mark.parametrize("password", [None, b"geheim"])
def test_a_real_seal_is_read_from_files_and_no_other_is_made(tmp_path: Path, password: bytes | None) -> None:
    made = real()
    settings = settings_at(
        tmp_path / "home", tsa_url=TSA, production=True, **files(tmp_path, made, password=password)
    )
    assert bootstrap.SEAL not in bootstrap.make_keys(settings)
    sealer = bootstrap.sealer(settings, now=NOW)
    assert sealer.credentials.certificate == made.certificate and sealer.level == "B-LTA"
    assert sealer.authority is not None and sealer.authority.required
    with bootstrap.build(settings).database.read():
        pass


def test_production_names_everything_it_lacks() -> None:
    with pytest.raises(ConfigError) as refusal:
        load({"SEALGATE_PRODUCTION": "true", "SEALGATE_TSA_REQUIRED": "false"})
    told = "\n".join(refusal.value.problems)
    for name in ("SEAL_FILE", "SEAL_ROOTS_FILE", "TSA_URL", "TSA_REQUIRED"):
        assert f"SEALGATE_{name}: " in told


def test_production_is_not_sealed_by_a_development_certificate(tmp_path: Path) -> None:
    given = files(tmp_path, development_ca("示例", NOW))
    settings = settings_at(tmp_path / "home", tsa_url=TSA, production=True, **given)
    bootstrap.make_keys(settings)
    with pytest.raises(ConfigError) as refusal:
        bootstrap.build(settings)
    assert "development" in refusal.value.problems[0] and str(tmp_path) not in str(refusal.value)


@pytest.mark.parametrize("fault", ["expired", "readable", "garbage", "wrong password", "no roots", "missing"])
def test_nothing_starts_with_a_bad_seal(tmp_path: Path, fault: str) -> None:
    given = files(
        tmp_path, real(days=-1 if fault == "expired" else 365), password=b"x" if "word" in fault else None
    )
    if fault == "garbage":
        given["seal_file"].write_bytes(b"nothing")
    if fault == "wrong password":
        given["seal_password_file"].write_bytes(b"y")
    if fault == "no roots":
        given["seal_roots_file"].write_bytes(b"nothing")
    if fault == "readable":
        given["seal_file"].chmod(0o644)
    if fault == "missing":
        given["seal_file"].unlink()
    with pytest.raises(ConfigError) as refusal:
        started(tmp_path / "home", given)
    assert str(tmp_path) not in str(refusal.value)


def started(home: Path, given: dict[str, Path]) -> None:
    settings = settings_at(home, **given)
    bootstrap.make_keys(settings)
    bootstrap.build(settings)


def test_a_time_stamp_is_not_asked_for_a_seal_that_nobody_can_trust(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        settings_at(tmp_path / "home", tsa_url=TSA)
    with pytest.raises(ConfigError):
        settings_at(tmp_path / "home", tsa_url="ftp://tsa.example.com/", **files(tmp_path, real()))
