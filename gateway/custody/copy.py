"""Objects carried from one set of stores to another: resumable, every byte read back, and switched to only when complete.

Ciphertext is carried as it is, so neither keys nor the database change. What has been carried and read back stands in a
journal in the state folder; the last pass, with the portal stopped, settles it, and a start on the new stores is refused before.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gateway.config import Settings
from gateway.custody.errors import Incomplete
from gateway.errors import ConfigError
from storage.durable import sync_folder
from storage.errors import Conflict, NotFound
from storage.seal import HEADER_SIZE
from storage.store import ObjectStore, Stat

MOVE = "move.json"
_JOURNAL = "move.journal"


@dataclass(frozen=True)
class Move:
    """A move that was begun: the names of both places, and whether everything was carried with the portal stopped."""

    source: str
    target: str
    settled: bool


@dataclass(frozen=True)
class Carried:
    """One pass: objects that are now proved to be at the target, how many of them were carried by it, bytes of these."""

    objects: int
    carried: int
    bytes: int


def address(settings: Settings) -> str:
    """The name of the stores that these settings use."""
    if settings.storage == "local":
        return f"local:{settings.objects}"
    buckets = (getattr(settings, f"s3_bucket_{kind}") for kind in ("objects", "bundles", "evidence", "audit"))
    return f"s3:{settings.s3_endpoint} {' '.join(buckets)}"


def read_move(home: Path) -> Move | None:
    """The move that was begun and not yet ended by a start on its target; Incomplete when its file makes no sense."""
    try:
        return Move(**json.loads((home / MOVE).read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise Incomplete([f"{MOVE} cannot be read"]) from error


def begin(home: Path, source: str, target: str) -> Move:
    """Takes up the move to the target, or begins it anew where another was begun."""
    move = read_move(home)
    if move is None or (move.source, move.target) != (source, target):
        move = Move(source, target, settled=False)
        (home / _JOURNAL).unlink(missing_ok=True)
    move = replace(move, settled=False)
    _write(home, move)
    return move


def settle(home: Path, move: Move) -> None:
    """Notes that everything is at the target; a start on the target ends the move."""
    _write(home, replace(move, settled=True))


def require_settled(settings: Settings) -> None:
    """Called before the portal starts: ends a settled move, and raises ConfigError on a target that lacks objects.

    A start on the old stores unsettles the move, for what is written there from now on is not at the target.
    """
    move, here = read_move(settings.home), address(settings)
    if move is None:
        return
    if here == move.source:
        if move.settled:
            _write(settings.home, replace(move, settled=False))
    elif here != move.target or not move.settled:
        last = "stop the portal and run `sealgate storage copy --last` with the old settings"
        raise ConfigError([f"object store: not everything was carried over; {last}"])
    else:
        for name in (MOVE, _JOURNAL):
            (settings.home / name).unlink(missing_ok=True)


def carry(
    home: Path,
    sources: Mapping[str, ObjectStore],
    targets: Mapping[str, ObjectStore],
    *,
    total: Callable[[int], None] = lambda size: None,
    seen: Callable[[int], None] = lambda size: None,
) -> Carried:
    """One pass: carries what the targets lack, reads it back, forgets there what is gone here.

    `total` hears how many bytes there are, `seen` of those that are done with. Raises Incomplete naming objects at the
    target that are not ours to replace; StorageError when a store fails: the next pass goes on after what is in the journal.
    """
    listed = {(place, stat.key): stat.size for place, store in sources.items() for stat in store.list()}
    total(sum(listed.values()))
    objects = carried = moved = 0
    with Journal(home / _JOURNAL) as journal:
        for (place, key), size in listed.items():
            new = _carry_one(journal, place, Stat(key, size, None), sources[place], targets[place])
            if new is not None:
                objects, carried, moved = objects + 1, carried + new, moved + new * size
            seen(size)
        foreign = list(_forget(journal, sources, targets))
    if foreign:
        raise Incomplete(foreign)
    return Carried(objects, carried, moved)


def _carry_one(
    journal: "Journal", place: str, found: Stat, source: ObjectStore, target: ObjectStore
) -> bool | None:
    """Say whether the object was carried now; None when it is gone meanwhile."""
    try:
        head = _head(source, found.key)
        digest = journal.digest(place, found.key, found.size, head)
        if digest is not None and _there(target, found, head):
            return False
        digest = _digest(source.open(found.key))
    except NotFound:
        return None
    if _there(target, found, head) and _digest(target.open(found.key)) == digest:
        new = False
    else:
        _put(source, target, found.key)
        new = True
        if _digest(target.open(found.key)) != digest:
            raise Incomplete([f"{place}/{found.key}: not read back as it was sent"])
    journal.keep(place, found.key, found.size, head, digest)
    return new


def _put(source: ObjectStore, target: ObjectStore, key: str) -> None:
    try:
        target.put(key, source.open(key))
    except Conflict:
        # An earlier write of the same name was carried; here it has been written anew since.
        target.delete(key)
        target.put(key, source.open(key))


def _there(target: ObjectStore, found: Stat, head: bytes) -> bool:
    try:
        return target.stat(found.key).size == found.size and _head(target, found.key) == head
    except NotFound:
        return False


def _forget(
    journal: "Journal", sources: Mapping[str, ObjectStore], targets: Mapping[str, ObjectStore]
) -> Iterator[str]:
    """Delete at the target what we carried and is gone here; yield what is there and was never here."""
    for place, target in targets.items():
        for stat in list(target.list()):
            try:
                sources[place].stat(stat.key)
            except NotFound:
                if journal.carried(place, stat.key):
                    target.delete(stat.key)
                else:
                    yield f"{place}/{stat.key}: at the new place, but not here"


class Journal:
    """What was carried and read back: one line for each, appended and synced; lines cut short by a crash count for nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: dict[tuple[str, str], tuple[int, str, str]] = {}

    def __enter__(self) -> "Journal":
        self._path.touch(mode=0o600)
        for line in self._path.read_text().splitlines():
            try:
                place, key, size, head, digest = json.loads(line)
            except ValueError:
                continue
            self._held[place, key] = size, head, digest
        self._out = self._path.open("a")
        # A line that a crash cut short must not run into the next.
        self._out.write("\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._out.close()

    def digest(self, place: str, key: str, size: int, head: bytes) -> str | None:
        """The digest of this very write of the object; None when it was not carried."""
        held = self._held.get((place, key))
        return held[2] if held is not None and held[:2] == (size, head.hex()) else None

    def carried(self, place: str, key: str) -> bool:
        """Whether any write of this name was carried."""
        return (place, key) in self._held

    def keep(self, place: str, key: str, size: int, head: bytes, digest: str) -> None:
        """Notes an object that was read back, durably."""
        self._out.write(json.dumps([place, key, size, head.hex(), digest]) + "\n")
        self._out.flush()
        os.fsync(self._out.fileno())
        self._held[place, key] = size, head.hex(), digest


def _head(ciphertext: ObjectStore, key: str) -> bytes:
    """The object's first bytes: random for every write, so that they tell one write of a name from the next."""
    return b"".join(ciphertext.open(key, 0, HEADER_SIZE))


def _digest(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _write(home: Path, move: Move) -> None:
    aside = home / f".{MOVE}"
    with open(aside, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
        json.dump(asdict(move), out)
        out.flush()
        os.fsync(out.fileno())
    aside.replace(home / MOVE)
    sync_folder(home)
