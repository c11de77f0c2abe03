"""A backup while the portal serves: database, keyring and objects, in this order, and the manifest last.

The database is read at one moment. The keyring is read after it, so that it is never older than the data; the objects after that,
so that every object the database names is there, unless it was destroyed meanwhile, which a newer keyring then knows. Until the
manifest lies there, it is no backup.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.audit.service import record
from gateway.custody import dump, envelope, inventory, ledger, place
from gateway.custody.keys import alone
from gateway.custody.manifest import File, Manifest
from gateway.deps import Deps
from gateway.principal import Actor
from storage.keyring import KeyringCopy
from storage.store import ObjectStore


@dataclass(frozen=True)
class Made:
    """A backup: its manifest, copies made now and their bytes, and the ids of expired backups that were removed."""

    manifest: Manifest
    copied: int
    sent: int
    removed: tuple[str, ...]


def back_up(
    deps: Deps,
    stores: Mapping[str, ObjectStore],
    target: ObjectStore,
    to: list[Any],
    *,
    actor: Actor,
    now: datetime,
) -> Made:
    """Saves everything but keys, and removes what has expired there. Raises Busy, and Incomplete for foreign tables."""
    with alone(deps.settings, "backup"):
        removed = _remove_over(deps, target, actor, now)
        with deps.database.read() as session:
            days = deps.parameters(session, now)["backup.keep_days"]
        backup_id = place.new_id(now, days)
        writer = _Writer(target, backup_id, to)
        with dump.snapshot(deps.database) as found:
            writer.put(place.DATABASE, found.lines)
        ring = deps.keyring.copy()
        writer.put(place.KEYRING, write_keyring(ring))
        known = inventory.Known(deps.settings.home / "backup.known.json")
        copied = inventory.copy_all(stores, target, known)
        writer.put(place.INVENTORY, inventory.write(copied.lines))
        # Which copies this backup needs, readable without an identity: by it what nobody needs any more is found.
        writer.put_plain(place.BLOBS, "".join(f"{line.blob}\n" for line in copied.lines).encode())
        made, expires = place.times(backup_id)
        whole = Manifest(
            id=backup_id, made_at=made, expires_at=expires, origin=deps.log.vkey, revision=found.revision,
            ring=ring.ring, generation=ring.generation, epochs=tuple(sorted({w.epoch for w in ring.wraps})),
            checkpoint=found.checkpoint, objects=len(copied.lines), files=dict(writer.files),
        )  # fmt: skip
        writer.put(place.MANIFEST, iter([whole.encode(deps.manifest_key)]))
        known.keep(copied.lines)
        _told(deps, whole, actor, now)
    return Made(whole, copied.made, copied.sent, removed)


def _told(deps: Deps, whole: Manifest, actor: Actor, now: datetime) -> None:
    with deps.database.write() as session:
        record(
            session, ledger.BACKED_UP, actor=actor, obj=("backup", whole.id), now=now,
            epochs=list(whole.epochs), generation=whole.generation, objects=whole.objects,
            checkpoint=whole.checkpoint.size if whole.checkpoint is not None else 0,
            expires_at=whole.expires_at.isoformat(),
        )  # fmt: skip


class _Writer:
    """Writes the files of one backup and remembers what they are."""

    def __init__(self, target: ObjectStore, backup_id: str, to: list[Any]) -> None:
        self._target, self._id, self._to = target, backup_id, to
        self.files: dict[str, File] = {}

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        """Writes a file, encrypted."""
        self._put(name, envelope.closed(chunks, self._to))

    def put_plain(self, name: str, data: bytes) -> None:
        """Writes a file that everyone may read."""
        self._put(name, iter([data]))

    def _put(self, name: str, chunks: Iterator[bytes]) -> None:
        digest, size = hashlib.sha256(), 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                yield chunk

        self._target.put(place.file_key(self._id, name), counted())
        self.files[name] = File(size, digest.hexdigest())


def _remove_over(deps: Deps, target: ObjectStore, actor: Actor, now: datetime) -> tuple[str, ...]:
    """Removes backups that have expired, what a crash left of others, and the copies that none needs any more."""
    removed: list[str] = []
    for backup_id, names in place.present(target).items():
        expired = place.times(backup_id)[1] <= now
        if place.MANIFEST in names and not expired:
            continue
        place.remove(target, backup_id, names)
        if place.MANIFEST in names:
            removed.append(backup_id)
            with deps.database.write() as session:
                record(session, ledger.EXPIRED, actor=actor, obj=("backup", backup_id), now=now)
    _remove_unneeded(target)
    return tuple(removed)


def _remove_unneeded(target: ObjectStore) -> None:
    needed: set[str] = set()
    for backup_id in place.whole(target):
        raw = b"".join(target.open(place.file_key(backup_id, place.BLOBS)))
        needed.update(raw.decode("ascii").split())
    for stat in list(target.list("objects/")):
        if stat.key.rpartition("/")[2] not in needed:
            target.delete(stat.key)


def write_keyring(ring: KeyringCopy) -> Iterator[bytes]:
    """A keyring's copy as lines of JSON."""
    yield _line({"format": "sealgate-keyring", "v": 1, "ring": ring.ring, "generation": ring.generation})
    for wrap in ring.wraps:
        yield _line([wrap.object_id, wrap.epoch, wrap.wrapped.hex()])
    for mark, generation in sorted(ring.destroyed.items()):
        yield _line([mark, generation])
    yield _line({"wraps": len(ring.wraps), "destroyed": len(ring.destroyed)})


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
