"""Settings: SEALGATE_… variables, secrets from files, every problem reported at once by name."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from gateway.errors import ConfigError

PREFIX = "SEALGATE_"
KEY_BYTES = 32


class Settings(BaseSettings):
    """All that an installation decides; see docs/architecture.md for the embedded and production values.

    `home` is the state folder; everything not named otherwise lives below it. `public_origin` is the origin of every
    absolute link and must be https unless its host is loopback.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    home: Path
    public_origin: str
    company_name: str = Field(min_length=1)
    company_uscc: str = Field(pattern=r"^[0-9A-Z]{18}$")
    fonds: str = Field(pattern=r"^[A-Z][A-Z0-9]{1,5}$")

    database_url: str | None = None
    keyring_url: str | None = None
    trusted_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    trusted_proxies: int = Field(default=0, ge=0, le=3)

    storage: Literal["local", "s3"] = "local"
    store_folder: Path | None = None
    s3_endpoint: str | None = Field(default=None, validate_default=True)
    s3_region: str = "us-east-1"
    s3_access_key_file: Path | None = Field(default=None, validate_default=True)
    s3_secret_key_file: Path | None = Field(default=None, validate_default=True)
    s3_bucket_objects: str = "sealgate-objects"
    s3_bucket_bundles: str = "sealgate-bundles"
    s3_bucket_evidence: str = "sealgate-evidence"
    s3_bucket_audit: str = "sealgate-audit"

    queue: Literal["sqlite", "redis"] = "sqlite"
    redis_url: str | None = Field(default=None, validate_default=True)
    limiter_url: str = "memory://"

    smtp_host: str | None = None
    smtp_port: int = 25
    smtp_user: str | None = None
    smtp_password_file: Path | None = None
    smtp_starttls: bool = True
    mail_from: str = "sealgate@localhost"

    production: bool = False
    seal_file: Path | None = Field(default=None, validate_default=True)
    seal_password_file: Path | None = None
    seal_roots_file: Path | None = Field(default=None, validate_default=True)
    tsa_url: str | None = Field(default=None, validate_default=True)
    tsa_timeout_s: float = Field(default=10.0, gt=0, le=60)
    tsa_required: bool = Field(default=True, validate_default=True)

    log_public: bool = False
    witnesses: Annotated[tuple[str, ...], NoDecode] = ()
    witnesses_needed: int = Field(default=0, ge=0)
    # The log's lease is over after ten seconds, and asking must be over before.
    witness_deadline_s: float = Field(default=3.0, gt=0, le=8)
    log_tsa_roots_file: Path | None = None
    log_tsa_url: str | None = None

    backup_recipients: Path | None = None

    demo: bool = False
    small_company: bool = False
    converter: Path | None = None

    @field_validator("trusted_hosts", "witnesses", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        return tuple(h.strip() for h in value.split(",") if h.strip()) if isinstance(value, str) else value

    @field_validator("home")
    @classmethod
    def _absolute_home(cls, value: Path) -> Path:
        if value == Path():
            raise ValueError("must name a folder")
        return value.expanduser().resolve()

    @field_validator("public_origin")
    @classmethod
    def _bare_origin(cls, value: str) -> str:
        parts = urlsplit(value)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.path not in ("", "/")
            or parts.query
        ):
            raise ValueError("must be an origin such as https://files.example.com")
        if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError("must be https unless the host is loopback")
        return f"{parts.scheme}://{parts.netloc}"

    @field_validator("s3_endpoint", "s3_access_key_file", "s3_secret_key_file", "redis_url")
    @classmethod
    def _belongs_to_its_part(cls, value: object, info: ValidationInfo) -> object:
        # Checked field by field, not over the whole, so that it is reported beside whatever else is bad.
        chosen, wanted = ("queue", "redis") if info.field_name == "redis_url" else ("storage", "s3")
        if value is None and info.data.get(chosen) == wanted:
            raise ValueError(f"needed with {PREFIX}{chosen.upper()}={wanted}")
        return value

    @field_validator("seal_file", "seal_roots_file", "tsa_url")
    @classmethod
    def _needed_in_production(cls, value: object, info: ValidationInfo) -> object:
        if value is None and info.data.get("production"):
            raise ValueError(f"needed with {PREFIX}PRODUCTION=true")
        return value

    @field_validator("tsa_url")
    @classmethod
    def _stamps_real_seals(cls, value: str | None, info: ValidationInfo) -> str | None:
        # A time stamp proves nothing about a seal that nobody can trust, and a chain without anchors cannot be proved.
        if value is None:
            return None
        if info.data.get("seal_file") is None or info.data.get("seal_roots_file") is None:
            raise ValueError(f"needs {PREFIX}SEAL_FILE and {PREFIX}SEAL_ROOTS_FILE")
        return value

    @field_validator("tsa_required")
    @classmethod
    def _required_in_production(cls, value: bool, info: ValidationInfo) -> bool:
        if not value and info.data.get("production"):
            raise ValueError(f"must be true with {PREFIX}PRODUCTION=true")
        return value

    @field_validator(
        "s3_access_key_file", "s3_secret_key_file", "smtp_password_file", "seal_file", "seal_password_file"
    )
    @classmethod
    def _closed_to_others(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                read_secret(value)
            except ConfigError as error:
                raise ValueError(error.problems[0]) from error
        return value

    @field_validator("witnesses_needed")
    @classmethod
    def _enough_witnesses(cls, value: int, info: ValidationInfo) -> int:
        if value > len(info.data.get("witnesses", ())):
            raise ValueError(f"more than {PREFIX}WITNESSES names")
        return value

    @field_validator("log_tsa_url")
    @classmethod
    def _trusted_through_roots(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("log_tsa_roots_file") is None:
            raise ValueError(f"needs {PREFIX}LOG_TSA_ROOTS_FILE")
        return value

    @field_validator("s3_endpoint", "tsa_url", "log_tsa_url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value is not None and (
            urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname
        ):
            raise ValueError("must be an address such as https://store.example.com:9000")
        return value

    @property
    def database(self) -> str:
        """SQLAlchemy URL of the business database."""
        return self.database_url or f"sqlite:///{self.home / 'sealgate.db'}"

    @property
    def objects(self) -> Path:
        """Folder of the encrypted objects of the local store."""
        return (self.store_folder or self.home / "store").expanduser().resolve()

    @property
    def keys(self) -> Path:
        """Folder of the 0600 key files."""
        return self.home / "keys"

    @property
    def hosts(self) -> tuple[str, ...]:
        """Host names the portal answers to."""
        return self.trusted_hosts or (urlsplit(self.public_origin).hostname or "localhost",)

    @property
    def secure_cookies(self) -> bool:
        """Whether cookies carry Secure: always, except on a loopback http origin."""
        return self.public_origin.startswith("https://")


def load(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Settings from the environment (and overrides); raises ConfigError naming every missing or bad variable at once."""
    try:
        if environ is None:
            return Settings(**overrides)
        given = {k[len(PREFIX) :].lower(): v for k, v in environ.items() if k.startswith(PREFIX)}
        return _Explicit(**{**given, **overrides})
    except ValidationError as error:
        raise ConfigError([_problem(e["loc"], e["msg"]) for e in error.errors()]) from error


class _Explicit(Settings):
    """Settings that read nothing but what they are handed."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def _problem(loc: tuple[int | str, ...], message: str) -> str:
    name = PREFIX + "_".join(str(part) for part in loc).upper() if loc else "settings"
    return f"{name}: {message.removeprefix('Value error, ')}"


def read_secret(path: Path) -> bytes:
    """The bytes of a secret file, stripped of one trailing newline; refuses one that group or others may read."""
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError([f"{path.name}: cannot be read"]) from error
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError([f"{path.name}: readable by others; set its mode to 0600"])
    return content.removesuffix(b"\n")


def write_secret(path: Path, content: bytes) -> None:
    """Makes a new 0600 file durably; refuses to overwrite."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
