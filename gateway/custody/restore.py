"""Restoring a backup into an empty place: all is proved before anything is written, and nothing that is there is overwritten.

While it runs a marker in the state folder keeps the portal from starting. After a crash the same command goes on; without a
marker nothing was begun. The database comes last, so that until then there is no portal to be taken for a whole one.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.audit import note
from gateway.audit.service import record
from gateway.audit.signer import Signer
from gateway.config import Settings, write_secret
from gateway.custody import dump, inventory, place, proving, relog
from gateway.custody.errors import Incomplete, NotEmpty
from gateway.custody.inventory import Line
from gateway.custody.keys import alone
from gateway.custody.proving import ProvedLog, Source
from gateway.custody.relog import Compared, Outside
from gateway.custody.shred import kek_epochs
from gateway.deps import Deps, Event
from gateway.principal import Actor
from storage.durable import sync_folder
from storage.errors import Conflict
from storage.keyring import KeyringCopy

MARKER = "restore.unfinished"
EVENT = "restore.done"


@dataclass(frozen=True)
class Proved:
    """What a backup was proved to hold: the keyring to use, the objects to bring back and their bytes, the log."""

    source: Source
    ring: KeyringCopy
    lines: tuple[Line, ...]
    size: int
    log: ProvedLog
    newest: Outside | None


@dataclass(frozen=True)
class Restored:
    """What was restored: rows, objects, objects left out because they were destroyed since, how the log stands now."""

    backup: str
    rows: int
    objects: int
    destroyed: int
    compared: Compared
    origin: str


def prove(deps: Deps, source: Source, folder: Path, *, deep: bool = False) -> Proved:
    """Proves a whole backup, writing into the scratch folder only; `deep` decrypts every object too.

    Raises OlderKeyring, Incomplete and BrokenBackup with what is wrong by name; LogDamaged when the log contradicts the outside.
    """
    ring = proving.newest_keyring(deps, source)
    proving.require_fit(ring, source.manifest, kek_epochs(deps))
    lines = proving.needed(source, ring)
    with proving.opened_keyring(deps, ring, folder) as keyring:
        size = proving.require_whole(source, lines)
        if deep:
            proving.require_readable(source, lines, keyring)
    newest = relog.outside(deps.stores["audit"], note.parse_key(deps.log.vkey))
    return Proved(source, ring, lines, size, proving.prove_database(deps, source, folder, newest), newest)


def restore(
    deps: Deps,
    source: Source,
    *,
    prepare: Callable[[], None],
    rebuilt: Callable[[], Deps],
    actor: Actor,
    now: datetime,
) -> Restored:
    """Brings everything back; then sessions are void, shares suspended, and the log is compared with the outside.

    `prepare` makes the empty schema; `rebuilt` wires the portal anew once the log's key may have changed. Raises NotEmpty,
    and what `prove` raises; then nothing was written.
    """
    with alone(deps.settings, "backup"), proving.scratch(deps) as folder:
        _require_empty(deps, source.manifest.id)
        proved = prove(deps, source, folder)
        _require_free(deps, proved.lines)
        _mark(deps.settings, source.manifest.id)
        _bring_objects(deps, proved)
        if not deps.keyring.copy().wraps:
            deps.keyring.load(proved.ring)
        prepare()
        if dump.is_empty(deps.database):
            dump.load(deps.database, source.read(place.DATABASE), place.DATABASE)
        compared = _reconcile(deps, proved.newest, now)
        portal = rebuilt()
        _tell(portal, proved, compared, actor, now)
        portal.log.sequence(now=now)
        origin = portal.log.vkey
        portal.keyring.close()
        portal.database.close()
        (deps.settings.home / MARKER).unlink()
        sync_folder(deps.settings.home)
    left_out = source.manifest.objects - len(proved.lines)
    return Restored(source.manifest.id, proved.log.rows, len(proved.lines), left_out, compared, origin)


def unfinished(settings: Settings) -> bool:
    """Whether a restore was begun here and not ended."""
    return (settings.home / MARKER).exists()


def _require_empty(deps: Deps, backup_id: str) -> None:
    marker = deps.settings.home / MARKER
    if marker.exists():
        if marker.read_text() != backup_id:
            raise NotEmpty("an unfinished restore of another backup")
    elif not dump.is_empty(deps.database):
        raise NotEmpty("database")


def _require_free(deps: Deps, lines: Sequence[Line]) -> None:
    """Raises NotEmpty for every stored object that is not one of those to come; locked ones of old stay as they are."""
    wanted = {(line.store, line.key): line for line in lines}
    findings = []
    for name in inventory.STORES:
        for stat in deps.stores[name].list():
            line = wanted.get((name, stat.key))
            if line is None and name != "evidence":
                findings.append(f"{name}/{stat.key}: in the way")
            elif line is not None and (stat.size != line.size or _digest(deps, line) != line.sha256):
                findings.append(f"{name}/{stat.key}: another object has this name")
    if findings:
        raise NotEmpty(*findings)


def _digest(deps: Deps, line: Line) -> str:
    digest = hashlib.sha256()
    for chunk in deps.stores[line.store].open(line.key):
        digest.update(chunk)
    return digest.hexdigest()


def _mark(settings: Settings, backup_id: str) -> None:
    path = settings.home / MARKER
    if not path.exists():
        write_secret(path, backup_id.encode())
        sync_folder(settings.home)


def _bring_objects(deps: Deps, proved: Proved) -> None:
    for line in proved.lines:
        try:
            deps.stores[line.store].put(line.key, proving.sealed_bytes(proved.source, line))
        except Conflict as error:
            if _digest(deps, line) != line.sha256:
                raise Incomplete([f"{line.name}: another object has this name"]) from error


def _reconcile(deps: Deps, newest: Outside | None, now: datetime) -> Compared:
    with deps.database.read() as session:
        compared = relog.compare(session, newest)
    if compared.outcome != "FETCHED" or newest is None:
        return compared
    if relog.fetch(deps.database, deps.stores["audit"], newest, now=now):
        return compared
    _freeze(deps, newest, now)
    return Compared("CONTINUED", compared.restored, compared.outside)


def _freeze(deps: Deps, newest: Outside, now: datetime) -> None:
    """Ends the old log: its private key is gone, a new name and key take over."""
    keys, before = deps.settings.keys, note.parse_key(deps.log.vkey)
    origin = next_origin(before.name)
    relog.begin_anew(deps.database, newest, before=before, origin=origin, now=now)
    (keys / "log.key.next").unlink(missing_ok=True)
    Signer.generate(keys / "log.key.next", origin)
    kept = keys / f"log.frozen.{before.key_id.hex()}"
    if not kept.exists():
        write_secret(kept, json.dumps({"key": before.text, "checkpoint": newest.note}).encode())
    # The old private key ends with this: nobody signs for the frozen log any more.
    (keys / "log.key.next").replace(keys / "log.key")
    sync_folder(keys)


def next_origin(origin: str) -> str:
    """The name of the log that continues this one: `/2` behind the first name, then `/3`, and so on."""
    base, _, last = origin.rpartition("/")
    return f"{base}/{int(last) + 1}" if last.isdecimal() else f"{origin}/2"


def _tell(deps: Deps, proved: Proved, compared: Compared, actor: Actor, now: datetime) -> None:
    """One transaction: the entry of the restore, and whoever has to act on it."""
    backup_id = proved.source.manifest.id
    with deps.database.write() as session:
        leaf = record(
            session, EVENT, actor=actor, obj=("backup", backup_id), now=now,
            made_at=proved.source.manifest.made_at.isoformat(), objects=len(proved.lines),
            log=compared.outcome, lost=compared.lost,
        )  # fmt: skip
        deps.publish(session, Event(EVENT, ("backup", backup_id), now, actor, leaf, {"backup": backup_id}))
