"""Wires a portal from its settings, once; the embedded and the production installation differ only here (DESIGN.md §5)."""

import re
import secrets
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from huey import RedisHuey, SqliteHuey
from huey.api import Huey

from agreements.credentials import (
    Credentials,
    development_ca,
    read,
    read_roots,
    require_valid,
    to_pem,
)
from agreements.errors import BadCredentials
from agreements.signature import Sealer
from agreements.timestamp import Authority
from gateway.audit.service import Log
from gateway.audit.signer import Signer
from gateway.audit.witnesses import Witnesses
from gateway.config import KEY_BYTES, Settings, load, read_secret, write_secret
from gateway.custody.buckets import lacking, prepare_storage, s3_credentials
from gateway.custody.copy import require_settled
from gateway.custody.restore import unfinished
from gateway.custody.uploads import UploadRecords
from gateway.db import Database
from gateway.deps import Deps
from gateway.errors import ConfigError
from gateway.jobs.service import Queue
from gateway.notify.service import Mailer, Outbox, Smtp, Transport
from storage import s3
from storage.fields import FieldCipher, SearchKey
from storage.kek import KekFolder
from storage.keyring import Keyring, PostgresKeyring, SqliteKeyring
from storage.local import LocalStore
from storage.sealed import SealedStore
from storage.store import ObjectStore, UploadJournal

__all__ = ["build", "everything", "lacking", "make_keys", "prepare_storage", "start", "upgrade"]

ROOMS = ("identity", "archive", "signing", "sharing", "oversight")
RAW_KEYS = ("mac.key", "search.key", "session.key", "manifest.key", "evidence.key")
STORES = ("objects", "bundles", "evidence", "audit")
LOCKED = frozenset({"evidence", "audit"})
SEAL = "seal.pem"
EXPOSED = "readable by others; set its mode to 0600"


def wall_clock() -> datetime:
    """The time now, aware, in UTC."""
    return datetime.now(UTC)


def log_origin(settings: Settings) -> str:
    """The log's name, by which its checkpoints are known: the portal's host and /log.

    A log that continues a frozen one (gateway/custody/relog.py) has /2, /3 … behind it, as its key file says.
    """
    base = urlsplit(settings.public_origin).netloc + "/log"
    path = settings.keys / "log.key"
    named = (
        path.read_text("ascii", "replace").removeprefix("PRIVATE+KEY+").partition("+")[0]
        if path.exists()
        else ""
    )
    return named if re.fullmatch(re.escape(base) + r"/[1-9][0-9]*", named) else base


def make_keys(settings: Settings) -> list[str]:
    """Makes every key file that is missing, 0600; returns the names of those made. Nothing is ever overwritten."""
    made = []
    for name in RAW_KEYS:
        if not (settings.keys / name).exists():
            write_secret(settings.keys / name, secrets.token_hex(KEY_BYTES).encode())
            made.append(name)
    if not (settings.keys / "log.key").exists():
        Signer.generate(settings.keys / "log.key", log_origin(settings))
        made.append("log.key")
    folder = KekFolder(settings.keys / "kek")
    if not folder.epochs:
        folder.create(1)
        made.append("kek/1")
    if settings.seal_file is None and not (settings.keys / SEAL).exists():
        write_secret(settings.keys / SEAL, to_pem(development_ca(settings.company_name, wall_clock())))
        made.append(SEAL)
    return made


def build(
    settings: Settings | None = None,
    *,
    clock: Callable[[], datetime] = wall_clock,
    restoring: bool = False,
) -> Deps:
    """The wired portal. Raises ConfigError when settings or keys are missing, bad or readable by others.

    Also while a restore is unfinished, unless it is `restoring` that goes on.
    """
    settings = settings or load()
    _need_keys(settings)
    if unfinished(settings) and not restoring:
        raise ConfigError(["restore: unfinished; run `sealgate restore` again"])
    database = Database(settings.database, _raw(settings, "mac.key"))
    keyring = _keyring(settings)
    stores = raw_stores(settings, database, clock)
    signer = Signer.load(settings.keys / "log.key", log_origin(settings))
    mailer = Mailer(
        database,
        _transport(settings),
        sender=settings.mail_from,
        company=settings.company_name,
        origin=settings.public_origin,
    )
    deps = Deps(
        settings=settings,
        database=database,
        keyring=keyring,
        fields=FieldCipher(keyring),
        search=SearchKey(_raw(settings, "search.key")),
        objects=SealedStore(stores["objects"], keyring),
        bundles=SealedStore(stores["bundles"], keyring),
        evidence=SealedStore(stores["evidence"], keyring),
        log=_log(settings, database, signer, clock),
        queue=Queue(database, _huey(settings), clock),
        mailer=mailer,
        manifest_key=Ed25519PrivateKey.from_private_bytes(_raw(settings, "manifest.key")),
        evidence_key=Ed25519PrivateKey.from_private_bytes(_raw(settings, "evidence.key")),
        clock=clock,
        sealer=sealer(settings, now=clock()),
        stores=stores,
    )
    _furnish(deps)
    return deps


def _furnish(deps: Deps) -> None:
    # Each room lists what it offers; rooms to the right hear of rooms to their left through these lists only.
    for room in ROOMS:
        service = import_module(f"gateway.{room}.service")
        deps.facts.extend(getattr(service, "FACTS", ()))
        deps.queue.handlers.update(getattr(service, "HANDLERS", {}))
        deps.queue.failures.update(getattr(service, "FAILURES", {}))
        for name, subscriber in getattr(service, "SUBSCRIBERS", {}).items():
            deps.on(name, subscriber)
    deps.mailer.resolve = import_module("gateway.identity.principals").addresses
    deps.queue.bind(deps)


def _need_keys(settings: Settings) -> None:
    wanted = {name: settings.keys / name for name in (*RAW_KEYS, "log.key", "kek")}
    if settings.seal_file is None:
        wanted[SEAL] = settings.keys / SEAL
    problems = [f"{name}: missing; run `sealgate init`" for name, path in wanted.items() if not path.exists()]
    # Every key is looked at before anything starts, not when it is first used.
    files = sorted(path for path in settings.keys.rglob("*") if path.is_file())
    problems += [f"{path.name}: {EXPOSED}" for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if problems:
        raise ConfigError(problems)


def _raw(settings: Settings, name: str) -> bytes:
    try:
        key = bytes.fromhex(read_secret(settings.keys / name).decode("ascii"))
    except ValueError as error:
        raise ConfigError([f"{name}: not a key of {KEY_BYTES} bytes in hex"]) from error
    if len(key) != KEY_BYTES:
        raise ConfigError([f"{name}: not a key of {KEY_BYTES} bytes in hex"])
    return key


def sealer(settings: Settings, *, now: datetime) -> Sealer:
    """What seals agreements: the company's certificate, or the labelled development one that `sealgate init` made.

    Raises ConfigError when a file is unreadable or bad, the certificate is not valid today, or production would be sealed by
    a development certificate.
    """
    path = settings.seal_file or settings.keys / SEAL
    try:
        credentials = read(read_secret(path), _password(settings))
        require_valid(credentials, now)
    except BadCredentials as error:
        raise ConfigError([f"{path.name}: {error}"]) from error
    if settings.production and credentials.development:
        raise ConfigError([f"{path.name}: a development certificate seals nothing in production"])
    authority = None
    if settings.tsa_url is not None:
        authority = Authority(settings.tsa_url, settings.tsa_timeout_s, required=settings.tsa_required)
    return Sealer(credentials, _anchors(settings, credentials), authority)


def _password(settings: Settings) -> bytes | None:
    return read_secret(settings.seal_password_file) if settings.seal_password_file is not None else None


def _anchors(settings: Settings, credentials: Credentials) -> tuple[Any, ...]:
    if settings.seal_roots_file is None:
        return (credentials.root or credentials.certificate,)
    try:
        return read_roots(settings.seal_roots_file.read_bytes())
    except (OSError, BadCredentials) as error:
        raise ConfigError(
            [f"{settings.seal_roots_file.name}: cannot be read as certificates in PEM"]
        ) from error


def _keyring(settings: Settings) -> Keyring:
    folder = KekFolder(settings.keys / "kek")
    if settings.keyring_url is not None:
        return PostgresKeyring(settings.keyring_url, folder)
    return SqliteKeyring(settings.home / "keyring.db", folder)


def raw_stores(
    settings: Settings,
    database: Database,
    clock: Callable[[], datetime] = wall_clock,
    *,
    whole: bool = False,
) -> dict[str, ObjectStore]:
    """The stores without the sealed layer over them: what custody compares, copies and brings back.

    `whole` asks for all that lies in them, also what belongs to a log that was frozen.
    """
    records = {kind: UploadRecords(database, kind, clock) for kind in STORES}
    return {kind: _store(settings, kind, journal, whole=whole) for kind, journal in records.items()}


def _store(
    settings: Settings, kind: str, journal: UploadJournal | None = None, *, whole: bool = False
) -> ObjectStore:
    # A log that continues a frozen one has anchors of its own, beside those of the old one.
    again = log_origin(settings).rpartition("/")[2] if kind == "audit" and not whole else ""
    prefix = f"log-{again}/" if again.isdecimal() else ""
    if settings.storage == "local":
        return LocalStore(settings.objects / kind / prefix)
    access, secret = s3_credentials(settings)
    bucket, locked = getattr(settings, f"s3_bucket_{kind}"), kind in LOCKED
    client = s3.make_client(settings.s3_endpoint or "", access, secret, settings.s3_region)
    return s3.S3Store(client, bucket, prefix=prefix, journal=journal, locked=locked)


def start(settings: Settings | None = None) -> Deps:
    """The wired portal, once the object store is seen to be as it has to be: nothing is served from one that forgets or
    lets itself be changed, nor from one to which not everything was carried. Raises ConfigError naming what is missing,
    Unavailable when the store does not answer.
    """
    settings = settings or load()
    require_settled(settings)
    missing = lacking(settings)
    if missing:
        raise ConfigError(
            [f"object store: {what} is missing; run `sealgate storage init`" for what in missing]
        )
    return build(settings)


def _huey(settings: Settings) -> Huey:
    if settings.queue == "redis":
        return RedisHuey("sealgate", url=settings.redis_url)
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    return SqliteHuey("sealgate", filename=str(settings.home / "queue.db"))


def _transport(settings: Settings) -> Transport:
    if settings.smtp_host is None:
        return Outbox(settings.home / "outbox")
    password = read_secret(settings.smtp_password_file).decode() if settings.smtp_password_file else None
    return Smtp(
        settings.smtp_host, settings.smtp_port, settings.smtp_user, password, starttls=settings.smtp_starttls
    )


def _log(settings: Settings, database: Database, signer: Signer, clock: Callable[[], datetime]) -> Log:
    required = settings.witnesses_needed > 0
    cosign = Witnesses.configured(settings, clock)
    return Log(database, signer, origin=signer.name, cosign=cosign, cosign_required=required)


def migrations() -> Path:
    """The folder of the database's revisions."""
    return Path(__file__).parent / "migrations"


def upgrade(settings: Settings) -> None:
    """Brings the database to the newest revision."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations()))
    config.attributes["url"] = settings.database
    command.upgrade(config, "head")


def everything() -> Any:
    """Metadata of every room's rows, for migrations."""
    for name in ("audit", "jobs", "notify", "custody", *ROOMS):
        import_module(f"gateway.{name}.models")
    import_module("gateway.policy.parameters")
    return import_module("gateway.db").Base.metadata
