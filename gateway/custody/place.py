"""Where backups lie: a folder or a bucket, and the names of what lies there (docs/formats.md, Backup)."""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from gateway.config import Settings
from gateway.custody.errors import WrongPlace
from gateway.custody.keys import MARKER, refuse_keys_folder
from storage import s3
from storage.errors import Conflict
from storage.local import LocalStore
from storage.store import ObjectStore

_ID = re.compile(r"(\d{8}t\d{6}z)-(\d{1,4})d-[0-9a-f]{8}", re.ASCII)
_TIME = "%Y%m%dt%H%M%Sz"
MANIFEST, DATABASE, INVENTORY, BLOBS, KEYRING = (
    "manifest.age",
    "database.age",
    "inventory.age",
    "blobs",
    "keyring.age",
)


@dataclass(frozen=True)
class Access:
    """Who may use the bucket of a backup: address, region, access and secret key."""

    endpoint: str
    region: str
    access: str
    secret: str


def open_place(where: str, settings: Settings, access: Access | None, *, make: bool) -> ObjectStore:
    """The store behind `DIR` or `s3://bucket/prefix`; `make` says whether it may be begun here.

    Raises WrongPlace for anything else, for a folder inside the state folder, and for a place that holds no backup.
    """
    store = _bucket(where, access) if where.startswith("s3://") else _folder(Path(where), settings, make=make)
    if next(iter(store.list(MARKER)), None) is None:
        if not make:
            raise WrongPlace
        store.put(MARKER, iter([b"SealGate backup, format 1\n"]))
    return store


def _folder(path: Path, settings: Settings, *, make: bool) -> ObjectStore:
    # What lies in the state folder is lost with it, and the keys lie there.
    if path.resolve().is_relative_to(settings.home) or settings.home.is_relative_to(path.resolve()):
        raise WrongPlace
    if not make and not path.is_dir():
        raise WrongPlace
    if make and path.is_dir() and not (path / MARKER).exists() and any(path.iterdir()):
        raise WrongPlace
    if make:
        refuse_keys_folder(path)
    return LocalStore(path)


def _bucket(where: str, access: Access | None) -> ObjectStore:
    parts = urlsplit(where)
    if access is None or not parts.netloc or parts.query or parts.fragment:
        raise WrongPlace
    prefix = parts.path.strip("/")
    client = s3.make_client(access.endpoint, access.access, access.secret, access.region)
    return s3.S3Store(client, parts.netloc, prefix=f"{prefix}/" if prefix else "")


def new_id(now: datetime, days: int) -> str:
    """A name that sorts by time and says after how many days the backup expires."""
    return f"{now.astimezone(UTC).strftime(_TIME)}-{days}d-{secrets.token_hex(4)}"


def times(backup_id: str) -> tuple[datetime, datetime]:
    """When a backup was made and when it expires, from its name; raises WrongPlace."""
    found = _ID.fullmatch(backup_id)
    if found is None:
        raise WrongPlace
    made = datetime.strptime(found[1], _TIME).replace(tzinfo=UTC)
    return made, made + timedelta(days=int(found[2]))


def file_key(backup_id: str, name: str) -> str:
    """The key of one file of a backup; the keyring lies apart from the rest, so that it can be carried elsewhere."""
    return f"keyrings/{backup_id}.age" if name == KEYRING else f"backups/{backup_id}/{name}"


def blob_key(digest: str) -> str:
    """The key of a stored object's copy."""
    return f"objects/{digest[:2]}/{digest}"


def present(store: ObjectStore) -> dict[str, set[str]]:
    """The files of each backup by its id, whole ones and what a crash left of others."""
    found: dict[str, set[str]] = {}
    for key in _keys(store, "backups/"):
        _, backup_id, name = key.split("/", 2)
        found.setdefault(backup_id, set()).add(name)
    for key in _keys(store, "keyrings/"):
        found.setdefault(key.removeprefix("keyrings/").removesuffix(".age"), set()).add(KEYRING)
    return {backup_id: names for backup_id, names in sorted(found.items()) if _ID.fullmatch(backup_id)}


def whole(store: ObjectStore) -> list[str]:
    """The ids of the backups that were ended, the oldest first."""
    return [backup_id for backup_id, names in present(store).items() if MANIFEST in names]


def remove(store: ObjectStore, backup_id: str, names: set[str]) -> None:
    """Removes a backup's files, its manifest first: what is left of it is no backup any more."""
    for name in sorted(names, key=lambda name: name != MANIFEST):
        store.delete(file_key(backup_id, name))


def put_new(store: ObjectStore, key: str, chunks: Iterator[bytes]) -> bool:
    """Puts a file unless it is there; says whether it was put."""
    try:
        store.put(key, chunks)
    except Conflict:
        return False
    return True


def _keys(store: ObjectStore, prefix: str) -> Iterator[str]:
    return (stat.key for stat in store.list(prefix))
