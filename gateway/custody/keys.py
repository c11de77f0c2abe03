"""The key-encryption keys' own life: rotated beside traffic, exported apart from everything else, brought back."""

import base64
import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.audit.service import record
from gateway.config import Settings, write_secret
from gateway.custody import envelope, ledger, shred
from gateway.custody.errors import BrokenBackup, Busy, NotEmpty, WrongPlace
from gateway.custody.ledger import EXPORTED, ROTATE_BEGUN, ROTATED, KeyCopy, Standing
from gateway.db import new_id
from gateway.deps import Deps
from gateway.principal import Actor
from storage.durable import sync_folder
from storage.errors import Corrupt
from storage.kek import KekFolder

BATCH = 500
FORMAT = "sealgate-keys"
# A folder that holds a data backup has this file, and takes no keys.
MARKER = "sealgate-backup"
# And a folder that holds an export of keys has this one, and takes no data backup.
KEYS_MARKER = "sealgate-keys-lie-here"
_KEK = re.compile(r"kek/kek-(\d{6})", re.ASCII)
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,80}(?:/[a-z0-9][a-z0-9_.-]{0,80})?", re.ASCII)
# Cookies of the time before must not work after: this one is made anew.
_NOT_KEPT = frozenset({"session.key"})


@dataclass(frozen=True)
class Rotated:
    """What a rotation did: the epoch in force, those destroyed, how many keys were wrapped anew, whether it was resumed."""

    epoch: int
    destroyed: tuple[int, ...]
    rewrapped: int
    resumed: bool


@dataclass(frozen=True)
class Status:
    """The keys as they stand. `wraps` counts keys by epoch; more than one epoch means an unfinished rotation.

    `copies` are the exports that have not expired, `exported` says whether one of them holds the newest epoch.
    """

    epochs: tuple[int, ...]
    wraps: dict[int, int]
    generation: int
    due: datetime
    copies: tuple[KeyCopy, ...]
    exported: bool
    pending: tuple[Standing, ...]
    final: int


def status(deps: Deps, *, now: datetime) -> Status:
    """Epochs, counts, exports and destructions."""
    epochs = shred.kek_epochs(deps)
    with deps.database.read() as session:
        copies = tuple(copy for copy in ledger.key_copies(session) if copy.expires_at > now)
    found = shred.standings(deps, now=now)
    pending = tuple(one for one in found if one.state == "PENDING")
    return Status(
        epochs=epochs,
        wraps=deps.keyring.counts(),
        generation=deps.keyring.copy().generation,
        due=shred.rotation_due(deps, now=now),
        copies=copies,
        exported=bool(epochs) and any(epochs[-1] in copy.epochs for copy in copies),
        pending=pending,
        final=len(found) - len(pending),
    )


def rotate(
    deps: Deps,
    *,
    actor: Actor,
    now: datetime,
    export: Callable[[int], object] | None = None,
    progress: Callable[[int], object] = lambda done: None,
    batch: int = BATCH,
) -> Rotated:
    """Wraps every key under a new KEK and destroys the old ones; runs beside traffic, and goes on where a crash left it.

    `export(epoch)` is called once the new KEK exists and before an old one is destroyed, to make its copy elsewhere.
    Raises Busy; Corrupt when a wrap does not open: then no KEK is destroyed.
    """
    folder = KekFolder(deps.settings.keys / "kek")
    with alone(deps.settings, "rotate"):
        before = len(folder.epochs)
        epoch = _begun(deps, folder, actor, now)
        if export is not None:
            export(epoch)
        # Whoever was making a key when the new epoch appeared has finished; from here on every wrap is under the new one.
        deps.keyring.settle()
        rewrapped = 0
        while done := deps.keyring.rewrap(epoch, batch):
            rewrapped += done
            progress(rewrapped)
        old = _destroy_old(deps, folder, epoch)
        deps.keyring.scrub()
        with deps.database.write() as session:
            record(
                session, ROTATED, actor=actor, obj=("key", f"kek-{epoch:06d}"), now=now,
                destroyed=list(old), rewrapped=rewrapped,
            )  # fmt: skip
    return Rotated(epoch, old, rewrapped, resumed=before > 1)


def _begun(deps: Deps, folder: KekFolder, actor: Actor, now: datetime) -> int:
    """The epoch to rotate to: that of an unfinished rotation, or one begun now."""
    if len(folder.epochs) > 1 or _lacks_end(deps, folder):
        return folder.current
    epoch = folder.current + 1
    with deps.database.write() as session:
        record(
            session, ROTATE_BEGUN, actor=actor, obj=("key", f"kek-{epoch:06d}"), now=now,
            old=list(folder.epochs),
        )  # fmt: skip
    folder.create(epoch)
    return epoch


def _lacks_end(deps: Deps, folder: KekFolder) -> bool:
    # A crash after the old KEK went and before that was recorded: what is left to do is to say so.
    with deps.database.read() as session:
        begun, ended = ledger.rotations(session)
    name = f"kek-{folder.current:06d}"
    return begun is not None and begun.object[1] == name and (ended is None or ended.object[1] != name)


def _destroy_old(deps: Deps, folder: KekFolder, epoch: int) -> tuple[int, ...]:
    left = [held for held in deps.keyring.counts() if held < epoch]
    if left:
        raise Corrupt("keys are left under an old epoch")
    old = tuple(held for held in folder.epochs if held < epoch)
    for held in old:
        folder.destroy(held)
    return old


def export_backup(
    deps: Deps, target: Path, to: Sequence[Any], *, actor: Actor, now: datetime, since: int = 1
) -> KeyCopy:
    """Writes every key file (KEKs from the epoch `since` on) into one age file, 0600; the log knows of it before it exists.

    It holds no keyring and no database, and raises WrongPlace for a folder that does, and for a file that exists.
    """
    refuse_backup_folder(target)
    files = {name: data for name, data in _key_files(deps.settings) if _epoch(name) >= since}
    epochs = tuple(sorted(_epoch(name) for name in files if _KEK.fullmatch(name)))
    with deps.database.write() as session:
        days = deps.parameters(session, now)["backup.keep_days"]
        copy = KeyCopy(new_id(), epochs, now, now + timedelta(days=days))
        record(
            session, EXPORTED, actor=actor, obj=("keycopy", copy.id), now=now,
            epochs=list(epochs), expires_at=copy.expires_at.isoformat(),
        )  # fmt: skip
    body = {
        "format": FORMAT, "v": 1, "id": copy.id, "made_at": now.isoformat(), "epochs": list(epochs),
        "expires_at": copy.expires_at.isoformat(),
        "files": {name: base64.b64encode(data).decode() for name, data in files.items()},
    }  # fmt: skip
    _mark_folder(target.parent)
    _write_whole(target, envelope.closed([json.dumps(body).encode()], to))
    return copy


def refuse_backup_folder(target: Path) -> None:
    """Raises WrongPlace when the file exists, or a data backup lies in its folder or above it."""
    if target.exists() or any((folder / MARKER).exists() for folder in target.resolve().parents):
        raise WrongPlace


def restore_keys(source: Path, by: Sequence[Any], keys: Path) -> tuple[str, ...]:
    """Brings the key files back into an empty folder, all or none; returns their names.

    Raises NotEmpty, WrongIdentity, BrokenBackup.
    """
    if keys.exists() and any(keys.iterdir()):
        raise NotEmpty("keys")
    files = _read_export(source, by)
    aside = keys.with_name(f".{keys.name}-{new_id()}")
    aside.mkdir(mode=0o700, parents=True)
    for name, data in files.items():
        write_secret(aside / name, data)
        sync_folder((aside / name).parent)
    if keys.exists():
        keys.rmdir()
    aside.rename(keys)
    sync_folder(keys.parent)
    return tuple(files)


def _read_export(source: Path, by: Sequence[Any]) -> dict[str, bytes]:
    try:
        with source.open("rb") as file:
            raw = b"".join(envelope.opened(iter(lambda: file.read(1 << 16), b""), by, source.name))
        body = json.loads(raw)
        files = {str(name): base64.b64decode(data, validate=True) for name, data in body["files"].items()}
        if (body["format"], body["v"]) != (FORMAT, 1) or not all(map(_NAME.fullmatch, files)):
            raise BrokenBackup(source.name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BrokenBackup(source.name) from error
    return files


def _key_files(settings: Settings) -> Iterator[tuple[str, bytes]]:
    for path in sorted(settings.keys.rglob("*")):
        name = path.relative_to(settings.keys).as_posix()
        if path.is_file() and _NAME.fullmatch(name) and name not in _NOT_KEPT:
            yield name, path.read_bytes()


def _epoch(name: str) -> int:
    """The epoch of a KEK's file; every other file belongs to all epochs."""
    found = _KEK.fullmatch(name)
    return int(found[1]) if found else 999_999


def _mark_folder(folder: Path) -> None:
    try:
        (folder / KEYS_MARKER).touch(mode=0o600)
        sync_folder(folder)
    except OSError as error:
        raise WrongPlace from error


def refuse_keys_folder(path: Path) -> None:
    """Raises WrongPlace when an export of keys lies in the folder, above it or below it."""
    real = path.resolve()
    if any((folder / KEYS_MARKER).exists() for folder in (real, *real.parents)):
        raise WrongPlace
    if real.is_dir() and next(real.rglob(KEYS_MARKER), None) is not None:
        raise WrongPlace


def _write_whole(target: Path, chunks: Iterator[bytes]) -> None:
    aside = target.with_name(f".{target.name}-{new_id()}")
    try:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as out:
            for chunk in chunks:
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
        os.link(aside, target)
        sync_folder(target.parent)
    except OSError as error:
        raise WrongPlace from error
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def alone(settings: Settings, work: str) -> Iterator[None]:
    """Holds the installation's lock for this kind of work while the block runs; raises Busy."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(settings.home / f".{work}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise Busy from error
    finally:
        os.close(handle)
