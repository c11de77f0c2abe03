"""Settings: everything wrong is named at once; secrets are read only from files that nobody else can read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import load, read_secret, write_secret
from gateway.errors import ConfigError

GOOD: dict[str, str] = {
    "SEALGATE_HOME": "/var/lib/sealgate",
    "SEALGATE_PUBLIC_ORIGIN": "https://files.example.com",
    "SEALGATE_COMPANY_NAME": "示例公司",
    "SEALGATE_COMPANY_USCC": "0" * 18,
    "SEALGATE_FONDS": "SG01",
}


def problems(**changes: str | None) -> tuple[str, ...]:
    """What is wrong with the good settings after these changes (None takes a variable away)."""
    given = {**GOOD, **{f"SEALGATE_{k}": v for k, v in changes.items() if v is not None}}
    for name in [n for n, v in changes.items() if v is None]:
        del given[f"SEALGATE_{name}"]
    with pytest.raises(ConfigError) as refusal:
        load(given)
    return refusal.value.problems


def test_the_embedded_installation_needs_five_values() -> None:
    made = load(GOOD)
    assert made.database == "sqlite:////var/lib/sealgate/sealgate.db"
    assert made.keys == Path("/var/lib/sealgate/keys")
    assert made.hosts == ("files.example.com",)
    assert (made.storage, made.queue, made.limiter_url) == ("local", "sqlite", "memory://")
    assert made.secure_cookies
    assert made.trusted_proxies == 0
    assert not made.demo


def test_every_missing_value_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as refusal:
        load({})
    named = {p.partition(":")[0] for p in refusal.value.problems}
    assert named == set(GOOD)


def test_missing_and_bad_values_are_named_together() -> None:
    found = problems(HOME=None, PUBLIC_ORIGIN="files.example.com", FONDS="sg", TRUSTED_PROXIES="9")
    assert {p.partition(":")[0] for p in found} == {
        "SEALGATE_HOME",
        "SEALGATE_PUBLIC_ORIGIN",
        "SEALGATE_FONDS",
        "SEALGATE_TRUSTED_PROXIES",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUBLIC_ORIGIN", "http://files.example.com"),
        ("PUBLIC_ORIGIN", "https://files.example.com/portal"),
        ("PUBLIC_ORIGIN", "https://files.example.com?x=1"),
        ("PUBLIC_ORIGIN", "ftp://files.example.com"),
        ("PUBLIC_ORIGIN", "https://"),
        ("PUBLIC_ORIGIN", ""),
        ("COMPANY_USCC", "0" * 17),
        ("COMPANY_USCC", "0" * 17 + "a"),
        ("FONDS", "1SG"),
        ("FONDS", "SG-01"),
        ("STORAGE", "ftp"),
        ("QUEUE", "rabbit"),
        ("TRUSTED_PROXIES", "-1"),
        ("SMTP_PORT", "smtp"),
        ("DEMO", "perhaps"),
    ],
)
def test_a_bad_value_is_refused_by_name(name: str, value: str) -> None:
    (found,) = problems(**{name: value})
    assert found.startswith(f"SEALGATE_{name}: ")
    assert "Value error" not in found


@pytest.mark.parametrize(
    "origin", ["http://localhost:8000", "http://127.0.0.1", "https://files.example.com/"]
)
def test_plain_http_is_for_loopback_only(origin: str) -> None:
    made = load({**GOOD, "SEALGATE_PUBLIC_ORIGIN": origin})
    assert made.public_origin == origin.rstrip("/")
    assert made.secure_cookies == origin.startswith("https")


def test_parts_that_need_each_other_are_asked_for_together() -> None:
    found = " ".join(problems(STORAGE="s3", QUEUE="redis"))
    for name in ("S3_ENDPOINT", "S3_ACCESS_KEY_FILE", "S3_SECRET_KEY_FILE", "REDIS_URL"):
        assert f"SEALGATE_{name}" in found


def test_a_key_file_that_others_may_read_keeps_the_portal_from_starting(tmp_path: Path) -> None:
    path = tmp_path / "smtp"
    write_secret(path, b"hunter2")
    assert load({**GOOD, "SEALGATE_SMTP_PASSWORD_FILE": str(path)}).smtp_password_file == path
    path.chmod(0o644)
    (found,) = problems(SMTP_PASSWORD_FILE=str(path))
    assert found == "SEALGATE_SMTP_PASSWORD_FILE: smtp: readable by others; set its mode to 0600"
    assert "hunter2" not in found


def test_a_store_is_named_by_its_web_address(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_secret(path, b"hunter2")
    keys = {"S3_ACCESS_KEY_FILE": str(path), "S3_SECRET_KEY_FILE": str(path)}
    (found,) = problems(STORAGE="s3", S3_ENDPOINT="store:9000", **keys)
    assert found.startswith("SEALGATE_S3_ENDPOINT: ")


def test_hosts_are_a_list_with_commas() -> None:
    made = load({**GOOD, "SEALGATE_TRUSTED_HOSTS": " a.example.com, b.example.com,"})
    assert made.hosts == ("a.example.com", "b.example.com")


def test_settings_never_change() -> None:
    made: Any = load(GOOD)
    with pytest.raises(ValueError, match="frozen"):
        made.demo = True


def test_given_settings_read_nothing_of_the_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALGATE_DEMO", "true")
    assert load(GOOD).demo is False
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    assert load().demo is True
    assert load(demo=False).demo is False


def test_bad_surroundings_are_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALGATE_FONDS", "x")
    with pytest.raises(ConfigError) as refusal:
        load()
    assert any(p.startswith("SEALGATE_FONDS") for p in refusal.value.problems)


@given(st.binary(max_size=200))
def test_a_secret_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("secret") / "keys" / "a.key"
    write_secret(path, content)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert read_secret(path) == content.removesuffix(b"\n")


def test_a_secret_is_never_overwritten(tmp_path: Path) -> None:
    write_secret(tmp_path / "a.key", b"one")
    with pytest.raises(FileExistsError):
        write_secret(tmp_path / "a.key", b"two")
    assert read_secret(tmp_path / "a.key") == b"one"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666, 0o777])
def test_a_secret_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.key"
    write_secret(path, b"hunter2")
    path.chmod(mode)
    with pytest.raises(ConfigError) as refusal:
        read_secret(path)
    assert refusal.value.problems == ("a.key: readable by others; set its mode to 0600",)


def test_a_secret_that_is_not_there_is_named_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        read_secret(tmp_path / "a.key")
    assert refusal.value.problems == ("a.key: cannot be read",)
    assert str(tmp_path) not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []
