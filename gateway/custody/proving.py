"""Proving a backup before anything is restored from it, and in a drill: every file, every key, every object, the log."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from gateway.audit import note
from gateway.audit.models import Leaf
from gateway.audit.rebuild import audit_rebuild
from gateway.custody import dump, envelope, inventory, place, relog
from gateway.custody.errors import BrokenBackup, Incomplete, OlderKeyring, WrongIdentity, WrongPlace
from gateway.custody.inventory import Hashing, Line
from gateway.custody.manifest import Manifest, decode
from gateway.custody.relog import Compared, Outside
from gateway.db import Base, Database
from gateway.deps import Deps
from gateway.principal import Text
from storage.errors import Corrupt, NotFound
from storage.kek import KekFolder
from storage.keyring import KeyringCopy, SqliteKeyring, Wrap
from storage.sealed import SealedStore
from storage.store import ObjectStore, Stat

LACKING = Text("备份不完整，未做恢复。", "The backup lacks what it needs. Nothing was restored.")


def _stored(ciphertext: ObjectStore, key: str) -> Iterator[bytes]:
    return ciphertext.open(key)


@dataclass(frozen=True)
class Source:
    """One backup: where it lies, its manifest, and the identities that open it."""

    store: ObjectStore
    manifest: Manifest
    by: Sequence[Any]

    def read(self, name: str) -> Iterator[bytes]:
        """A file's plaintext, each byte compared with the manifest; BrokenBackup may come at the end."""
        expected = self.manifest.files.get(name)
        if expected is None:
            raise BrokenBackup(name)
        try:
            raw = _stored(self.store, place.file_key(self.manifest.id, name))
        except NotFound as error:
            raise BrokenBackup(name) from error
        hashed = iter(Hashing(raw, expected.size, name, expected.sha256))
        yield from envelope.opened(hashed, self.by, name)
        # The cipher stops at its own end; only the end of the file has its digest compared.
        for _ in hashed:
            pass


def open_source(deps: Deps, store: ObjectStore, by: Sequence[Any], backup_id: str | None) -> Source:
    """A backup by its id, the newest without one. Raises WrongPlace, WrongIdentity, BrokenBackup."""
    found = place.whole(store)
    if not found or (backup_id is not None and backup_id not in found):
        raise WrongPlace
    chosen = backup_id or found[-1]
    raw = _stored(store, place.file_key(chosen, place.MANIFEST))
    manifest = decode(b"".join(envelope.opened(raw, by, place.MANIFEST)), deps.manifest_key, place.MANIFEST)
    if manifest.id != chosen:
        raise BrokenBackup(place.MANIFEST)
    return Source(store, manifest, by)


def read_keyring(source: Source) -> KeyringCopy:
    """The keyring that was saved with a backup; raises BrokenBackup."""
    try:
        head, *rows, end = [json.loads(line) for line in dump.lines(source.read(place.KEYRING))]
        if (head["format"], head["v"]) != ("sealgate-keyring", 1):
            raise BrokenBackup(place.KEYRING)
        wraps = tuple(Wrap(row[0], row[1], bytes.fromhex(row[2])) for row in rows if len(row) == 3)
        ended = {row[0]: row[1] for row in rows if len(row) == 2}
        if (len(wraps), len(ended)) != (end["wraps"], end["destroyed"]):
            raise BrokenBackup(place.KEYRING)
        return KeyringCopy(head["ring"], head["generation"], wraps, ended)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise BrokenBackup(place.KEYRING) from error


def newest_keyring(deps: Deps, source: Source) -> KeyringCopy:
    """The keyring to restore with: the one that is in place here, else the newest that lies beside the backup.

    The newest is told by its generation: clocks go back, and two backups can be of one second.
    """
    here = deps.keyring.copy()
    if here.wraps or here.destroyed:
        return here
    return read_keyring(max(_beside(deps, source), key=lambda one: one.manifest.generation))


def _beside(deps: Deps, source: Source) -> Iterator[Source]:
    """This backup, then every other one of the same keyring; one that is older and does not open is passed over."""
    yield source
    for backup_id in place.whole(source.store):
        try:
            other = open_source(deps, source.store, source.by, backup_id)
        except (BrokenBackup, WrongIdentity):
            if place.times(backup_id)[0] < source.manifest.made_at:
                continue
            raise
        if other.manifest.ring == source.manifest.ring:
            yield other


def require_fit(ring: KeyringCopy, manifest: Manifest, epochs: Sequence[int]) -> None:
    """Raises OlderKeyring when the keyring would bring back what was destroyed, is another's, or has lost its KEKs."""
    findings = []
    if ring.ring != manifest.ring:
        findings.append("keyring: of another installation")
    if ring.generation < manifest.generation:
        findings.append(f"keyring: generation {ring.generation}, the data are of {manifest.generation}")
    for epoch in sorted({wrap.epoch for wrap in ring.wraps} - set(epochs)):
        count = sum(wrap.epoch == epoch for wrap in ring.wraps)
        findings.append(f"kek-{epoch:06d}: destroyed or missing, {count} keys were wrapped under it")
    if findings:
        raise OlderKeyring(findings)


def needed(source: Source, ring: KeyringCopy) -> tuple[Line, ...]:
    """The objects to bring back: all that were not destroyed since. Raises Incomplete naming each one that lacks copy or key."""
    lines = inventory.read(source.read(place.INVENTORY))
    kept = tuple(line for line in lines if not ring.is_destroyed(line.object_id))
    keys = {wrap.object_id for wrap in ring.wraps}
    held = {stat.key: stat.size for stat in source.store.list("objects/")}
    findings = []
    for line in kept:
        if held.get(place.blob_key(line.blob)) != line.size:
            findings.append(f"{line.name}: missing or of another size")
        if line.object_id not in keys:
            findings.append(f"{line.name}: no key in the keyring")
    if findings:
        raise Incomplete(findings, LACKING)
    return kept


def sealed_bytes(source: Source, line: Line) -> Iterator[bytes]:
    """An object's copy, each byte hashed; BrokenBackup naming the object comes at the end when it is not what was saved."""
    yield from Hashing(_stored(source.store, place.blob_key(line.blob)), line.size, line.name, line.sha256)


def require_whole(source: Source, lines: Sequence[Line]) -> int:
    """Reads every copy; returns how many bytes. Raises BrokenBackup naming the first that was altered."""
    return sum(len(chunk) for line in lines for chunk in sealed_bytes(source, line))


class Copies:
    """The copies of one store under the names that the objects had, for reading."""

    def __init__(self, source: Source, store: str, lines: Sequence[Line]) -> None:
        self._source = source.store
        self._lines: Mapping[str, Line] = {line.key: line for line in lines if line.store == store}

    def stat(self, key: str) -> Stat:
        """Size of a copy."""
        return Stat(key, self._lines[key].size, None)

    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """A range of a copy."""
        return self._source.open(place.blob_key(self._lines[key].blob), start, length)


def require_readable(source: Source, lines: Sequence[Line], keyring: SqliteKeyring) -> int:
    """Decrypts every object; returns how many bytes of plaintext. Raises BrokenBackup naming the first that does not open."""
    total = 0
    readers = {
        name: SealedStore(Copies(source, name, lines), keyring)  # type: ignore[arg-type]
        for name in inventory.STORES
    }
    for line in lines:
        object_id, _, version = line.key.rpartition(".v")
        try:
            total += sum(len(piece) for piece in readers[line.store].open(object_id, int(version)))
        except (Corrupt, NotFound, ValueError) as error:
            raise BrokenBackup(line.name) from error
    return total


@contextmanager
def scratch(deps: Deps) -> Iterator[Path]:
    """A folder of our own in the state folder, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=deps.settings.home) as folder:
        yield Path(folder)


@contextmanager
def opened_keyring(deps: Deps, ring: KeyringCopy, folder: Path) -> Iterator[SqliteKeyring]:
    """The keyring in the scratch folder, every wrap opened once; raises BrokenBackup."""
    made = SqliteKeyring(folder / "keyring.db", KekFolder(deps.settings.keys / "kek"))
    try:
        made.load(ring)
        for wrap in ring.wraps:
            made.key(wrap.object_id)
        yield made
    except Corrupt as error:
        raise BrokenBackup(place.KEYRING) from error
    finally:
        made.close()


@dataclass(frozen=True)
class ProvedLog:
    """The database of a backup, loaded and rebuilt: rows, entries of the log, and how it stands to the outside."""

    rows: int
    entries: int
    root: str
    compared: Compared


def prove_database(deps: Deps, source: Source, folder: Path, newest: Outside | None) -> ProvedLog:
    """Loads the dump into a database in the scratch folder and rebuilds the log from its entries alone.

    Raises BrokenBackup, and LogDamaged when log and checkpoints do not fit, inside or outside.
    """
    database = Database(f"sqlite:///{folder / 'database.db'}", bytes(32))
    try:
        Base.metadata.create_all(database.engine)
        rows = dump.load(database, source.read(place.DATABASE), place.DATABASE)
        with database.read() as session:
            root = audit_rebuild(session, [note.parse_key(source.manifest.origin)])
            head = source.manifest.checkpoint
            if head is not None and root.hex() != head.root:
                raise BrokenBackup(place.DATABASE)
            count = session.scalar(select(func.count()).select_from(Leaf)) or 0
            return ProvedLog(rows, count, root.hex(), relog.compare(session, newest))
    finally:
        database.close()
