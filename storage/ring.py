"""What a keyring is, whichever engine holds it: a random key for each object, wrapped by an epoch's KEK.

It is kept apart from objects and database. Losing a wrap makes its object unreadable for ever; that is how an object is
destroyed. What was destroyed is remembered by the digest of its name, so that no new key is ever made for it, and an
older copy of the keyring can be told from this one.
"""

import hashlib
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag

from storage.errors import Conflict, Corrupt, KeyGone, StorageError
from storage.kek import Wrapper

KEY_SIZE = 32
SCHEMA = (
    """CREATE TABLE IF NOT EXISTS wraps (
        object_id TEXT NOT NULL PRIMARY KEY, epoch INTEGER NOT NULL, wrapped {blob} NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS ix_wraps_epoch ON wraps (epoch)",
    """CREATE TABLE IF NOT EXISTS destroyed (
        mark TEXT NOT NULL PRIMARY KEY, generation BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS ring (
        one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, generation BIGINT NOT NULL)""",
)
_BUMP = "UPDATE ring SET generation = generation + 1"

# Runs one statement with `?` for each value and returns a cursor.
Run = Callable[..., Any]


@dataclass(frozen=True)
class Wrap:
    """One row: the object's id, the epoch of the KEK, the wrapped key."""

    object_id: str
    epoch: int
    wrapped: bytes


@dataclass(frozen=True)
class KeyringCopy:
    """The whole keyring at one moment. `generation` grows with every destruction and every rotation of this `ring`.

    `destroyed` maps the mark of each destroyed name to the generation that its end began.
    """

    ring: str
    generation: int
    wraps: tuple[Wrap, ...]
    destroyed: Mapping[str, int]

    def is_destroyed(self, object_id: str) -> bool:
        """Say whether the name's key was destroyed before this moment."""
        return mark(object_id) in self.destroyed


class Keyring(Protocol):
    """Names and their 256-bit keys. Every method may raise Unavailable; methods may be called from any thread."""

    def create(self, object_id: str) -> bytes:
        """Make, wrap and keep a fresh key; durable when it returns.

        Conflict when the name has one; KeyGone when its key was destroyed: a destroyed name never has a key again.
        """
        ...

    def key(self, object_id: str) -> bytes:
        """Return the key; KeyGone when there is none, Corrupt when the wrap does not open."""
        ...

    def destroy(self, object_id: str) -> None:
        """Delete the wrap, durably, and remember the name; an unknown name is not an error."""
        ...

    def destroyed(self, object_id: str) -> bool:
        """Say whether the name's key was destroyed."""
        ...

    def epoch(self, object_id: str) -> int | None:
        """Return the epoch under which the key is wrapped; None without a key."""
        ...

    def names(self, prefix: str = "") -> Iterator[str]:
        """Yield the names that begin with `prefix`, in order of their code points."""
        ...

    def ready(self) -> bool:
        """Say whether keys can be made and read now."""
        ...

    def copy(self) -> KeyringCopy:
        """Return all rows as they stand at one moment, wraps and destroyed names in order."""
        ...

    def load(self, copy: KeyringCopy) -> None:
        """Become the copy, at once; Conflict unless this keyring is empty."""
        ...

    def counts(self) -> dict[int, int]:
        """Return how many keys are wrapped under each epoch."""
        ...

    def settle(self) -> None:
        """Return once every key is wrapped, or will be, under an epoch that exists now or later."""
        ...

    def rewrap(self, below: int, limit: int) -> int:
        """Wrap at most `limit` keys of epochs below `below` anew under the current one; return how many were."""
        ...

    def scrub(self) -> None:
        """Let go of what the engine still holds of deleted and replaced wraps, and count one generation on."""
        ...

    def close(self) -> None:
        """Close the connections of this process; the next use opens new ones."""
        ...


class Ring(ABC):
    """What both engines share; each gives its transactions and the class of its error for a taken name."""

    taken: type[Exception]

    def __init__(self, keks: Wrapper) -> None:
        self._keks = keks

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Run]:
        """Statements by themselves."""

    @abstractmethod
    def _writing(self, *, alone: bool = False) -> AbstractContextManager[Run]:
        """A durable write transaction; `alone`: no other one runs meanwhile, on any connection."""

    def create(self, object_id: str) -> bytes:
        """Make, wrap and keep a fresh key."""
        key = secrets.token_bytes(KEY_SIZE)
        with self._writing() as run:
            if _ended(run, object_id):
                raise KeyGone("the key of this name was destroyed")
            # Wrapped inside the transaction: a rotation waits for it, and never destroys a KEK that is just in use.
            epoch, wrapped = self._keks.wrap(object_id, key)
            try:
                run("INSERT INTO wraps VALUES (?, ?, ?)", object_id, epoch, wrapped)
            except self.taken:
                raise Conflict("the name has a key") from None
        return key

    def key(self, object_id: str) -> bytes:
        """Return the unwrapped key."""
        row = self._row(object_id)
        try:
            return self._unwrap(object_id, row)
        except KeyGone:
            # A rotation may have destroyed the KEK after the row was read; the row then names another epoch now.
            again = self._row(object_id)
            if again == row:
                raise
            return self._unwrap(object_id, again)

    def destroy(self, object_id: str) -> None:
        """Delete the wrap and remember the name."""
        with self._writing(alone=True) as run:
            run("DELETE FROM wraps WHERE object_id = ?", object_id)
            if not _ended(run, object_id):
                run(_BUMP)
                run("INSERT INTO destroyed SELECT ?, generation FROM ring", mark(object_id))

    def destroyed(self, object_id: str) -> bool:
        """Say whether the name is among the destroyed."""
        with self._reading() as run:
            return _ended(run, object_id)

    def epoch(self, object_id: str) -> int | None:
        """Return the epoch of the name's wrap."""
        row = self._row(object_id)
        return None if row is None else row[0]

    def names(self, prefix: str = "") -> Iterator[str]:
        """Yield the names as they stand now."""
        query = "SELECT object_id FROM wraps WHERE substr(object_id, 1, ?) = ?"
        with self._reading() as run:
            rows = run(query, len(prefix), prefix).fetchall()
        # Sorted here, because an engine's own order depends on its locale.
        return iter(sorted(str(row[0]) for row in rows))

    def ready(self) -> bool:
        """Say whether the table answers and a wrap made now opens again."""
        probe = secrets.token_bytes(KEY_SIZE)
        try:
            self.destroyed("\x01")
            epoch, wrapped = self._keks.wrap("probe", probe)
            return self._keks.unwrap("probe", epoch, wrapped) == probe
        except StorageError:
            return False

    def copy(self) -> KeyringCopy:
        """Return all rows of one moment."""
        with self._writing(alone=True) as run:
            ring, generation = run("SELECT id, generation FROM ring").fetchone()
            wraps = run("SELECT object_id, epoch, wrapped FROM wraps").fetchall()
            ended = run("SELECT mark, generation FROM destroyed").fetchall()
        rows = tuple(Wrap(str(name), int(epoch), bytes(wrapped)) for name, epoch, wrapped in sorted(wraps))
        return KeyringCopy(str(ring), int(generation), rows, {str(m): int(g) for m, g in ended})

    def load(self, copy: KeyringCopy) -> None:
        """Take over every row of the copy in one transaction."""
        with self._writing(alone=True) as run:
            if run("SELECT 1 FROM wraps UNION SELECT 1 FROM destroyed").fetchone():
                raise Conflict("the keyring is not empty")
            run("UPDATE ring SET id = ?, generation = ?", copy.ring, copy.generation)
            for wrap in copy.wraps:
                run("INSERT INTO wraps VALUES (?, ?, ?)", wrap.object_id, wrap.epoch, wrap.wrapped)
            for ended in copy.destroyed.items():
                run("INSERT INTO destroyed VALUES (?, ?)", *ended)

    def counts(self) -> dict[int, int]:
        """Count the wraps of each epoch."""
        with self._reading() as run:
            rows = run("SELECT epoch, count(*) FROM wraps GROUP BY epoch ORDER BY epoch").fetchall()
        return {int(epoch): int(count) for epoch, count in rows}

    def settle(self) -> None:
        """Wait for every key that is just being made: whoever began before has then committed."""
        with self._writing(alone=True):
            pass

    def rewrap(self, below: int, limit: int) -> int:
        """Wrap a batch anew; a name destroyed or wrapped anew meanwhile is left as it is."""
        query = "SELECT object_id, epoch, wrapped FROM wraps WHERE epoch < ? ORDER BY object_id LIMIT ?"
        swap = "UPDATE wraps SET epoch = ?, wrapped = ? WHERE object_id = ? AND epoch = ?"
        with self._writing() as run:
            rows = run(query, below, limit).fetchall()
            for name, epoch, wrapped in rows:
                made = self._keks.wrap(name, self._unwrap(name, (int(epoch), bytes(wrapped))))
                run(swap, *made, name, epoch)
        return len(rows)

    def scrub(self) -> None:
        """Count one generation on; each engine adds what its files need."""
        with self._writing(alone=True) as run:
            run(_BUMP)

    def _row(self, object_id: str) -> tuple[int, bytes] | None:
        with self._reading() as run:
            row = run("SELECT epoch, wrapped FROM wraps WHERE object_id = ?", object_id).fetchone()
        return None if row is None else (int(row[0]), bytes(row[1]))

    def _unwrap(self, object_id: str, row: tuple[int, bytes] | None) -> bytes:
        """Open a row's wrap; raises KeyGone without a row or KEK, Corrupt when the tag does not fit."""
        if row is None:
            raise KeyGone("the key is not in the keyring")
        try:
            return self._keks.unwrap(object_id, *row)
        except (InvalidTag, ValueError):
            raise Corrupt("a wrapped key does not open") from None


def mark(object_id: str) -> str:
    """Return what is remembered of a destroyed name: a digest, so that the keyring's files tell no name any more."""
    return hashlib.sha256(b"sealgate destroyed\x01" + object_id.encode()).hexdigest()


def _ended(run: Run, object_id: str) -> bool:
    return run("SELECT 1 FROM destroyed WHERE mark = ?", mark(object_id)).fetchone() is not None


def first_rows(run: Run, blob: str) -> None:
    """Make the tables and the ring's one row where they are missing."""
    for statement in SCHEMA:
        run(statement.format(blob=blob))
    if run("SELECT 1 FROM ring").fetchone() is None:
        run("INSERT INTO ring VALUES (1, ?, 0)", secrets.token_hex(16))
