"""The inventory of stored objects, and their copies: each write of an object is copied once, whatever number of backups hold it.

Objects travel as they are stored, sealed under keys that only keyring and KEKs together open; the inventory gives the SHA-256 of
these bytes. A copy's name is a digest of where the object lies and of its header, which holds random bytes made anew for every
write: two writes under one name never share a copy.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.custody import dump, place
from gateway.custody.errors import BrokenBackup
from gateway.db import new_id
from storage.errors import NotFound
from storage.seal import HEADER_SIZE
from storage.store import ObjectStore

# Of the four stores the audit store is the outside witness itself: it is not part of a backup.
STORES = ("objects", "bundles", "evidence")


@dataclass(frozen=True)
class Line:
    """One stored object: its store and key there, the name of its copy, size in bytes and SHA-256 of the sealed bytes."""

    store: str
    key: str
    blob: str
    size: int
    sha256: str

    @property
    def object_id(self) -> str:
        """The object that it is a version of."""
        return self.key.rpartition(".v")[0]

    @property
    def name(self) -> str:
        """How people are told of it."""
        return f"{self.store}/{self.key}"


@dataclass(frozen=True)
class Copied:
    """What a backup did with the objects: lines, how many copies were made now, how many bytes these have."""

    lines: tuple[Line, ...]
    made: int
    sent: int


class Known:
    """Digests of copies that an earlier backup computed, so that unchanged objects need not be read again.

    It lies in the state folder and may be lost: then objects are read once more, and still not copied again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: dict[str, str] = {}
        try:
            self._held = {str(k): str(v) for k, v in json.loads(path.read_bytes()).items()}
        except (OSError, ValueError, AttributeError):
            self._held = {}

    def get(self, blob: str) -> str | None:
        """The digest of a copy."""
        return self._held.get(blob)

    def keep(self, found: Iterable[Line]) -> None:
        """Remembers these and nothing else."""
        aside = self._path.with_name(f".{self._path.name}-{new_id()}")
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as out:
            json.dump({line.blob: line.sha256 for line in found}, out)
        aside.replace(self._path)


def copy_all(stores: Mapping[str, ObjectStore], target: ObjectStore, known: Known) -> Copied:
    """Copies every object that the place does not hold yet; one that is destroyed meanwhile is left out."""
    held = {stat.key: stat.size for stat in target.list("objects/")}
    lines, made, sent = list[Line](), 0, 0
    for name in STORES:
        for stat in list(stores[name].list()):
            try:
                line, new = _copy(name, stores[name], stat.key, stat.size, target, held, known)
            except NotFound:
                continue
            lines.append(line)
            made, sent = made + new, sent + new * line.size
    return Copied(tuple(lines), made, sent)


def _copy(
    name: str,
    ciphertext: ObjectStore,
    key: str,
    size: int,
    target: ObjectStore,
    held: Mapping[str, int],
    known: Known,
) -> tuple[Line, int]:
    header = b"".join(ciphertext.open(key, 0, HEADER_SIZE))
    blob = hashlib.sha256(f"{name}\0{key}\0{size}\0{header.hex()}".encode()).hexdigest()
    there = held.get(place.blob_key(blob)) == size
    digest = known.get(blob) if there else None
    if digest is None:
        source = Hashing(ciphertext.open(key), size, f"{name}/{key}")
        if there:
            for _ in source:
                pass
        else:
            place.put_new(target, place.blob_key(blob), iter(source))
        digest = source.sha256
    return Line(name, key, blob, size, digest), int(not there)


class Hashing:
    """Chunks passed through, counted and hashed; at the end they must be of the length and digest that were expected."""

    def __init__(self, chunks: Iterable[bytes], size: int, name: str, expected: str | None = None) -> None:
        self._chunks, self._size, self._name, self._expected = chunks, size, name, expected
        self.sha256 = ""

    def __iter__(self) -> Iterator[bytes]:
        digest, seen = hashlib.sha256(), 0
        for chunk in self._chunks:
            digest.update(chunk)
            seen += len(chunk)
            yield chunk
        self.sha256 = digest.hexdigest()
        if seen != self._size or self._expected not in (None, self.sha256):
            raise BrokenBackup(self._name)


def write(found: Iterable[Line]) -> Iterator[bytes]:
    """The inventory as lines of JSON, the number of lines last."""
    count = 0
    for line in found:
        count += 1
        yield _json([line.store, line.key, line.blob, line.size, line.sha256])
    yield _json({"objects": count})


def read(chunks: Iterable[bytes], name: str = place.INVENTORY) -> tuple[Line, ...]:
    """The lines of an inventory; raises BrokenBackup."""
    found: list[Line] = []
    try:
        for raw in dump.lines(chunks):
            value = json.loads(raw)
            if isinstance(value, dict):
                if value["objects"] != len(found):
                    raise BrokenBackup(name)
                return tuple(found)
            store, key, blob, size, digest = value
            if store not in STORES or not isinstance(size, int):
                raise BrokenBackup(name)
            found.append(Line(store, str(key), str(blob), size, str(digest)))
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenBackup(name) from error
    raise BrokenBackup(name)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
