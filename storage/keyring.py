"""The keyring: one random key per object, wrapped by an epoch's KEK, kept apart from objects and database.

Losing a wrap makes its object unreadable for ever; that is how an object is destroyed.
"""

import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import psycopg
from cryptography.exceptions import InvalidTag

from storage.errors import Conflict, Corrupt, KeyGone, Unavailable
from storage.kek import KekFolder, Wrapper, owned_file

__all__ = ["KekFolder", "Keyring", "PostgresKeyring", "SqliteKeyring"]

KEY_SIZE = 32
_SCHEMA = """CREATE TABLE IF NOT EXISTS wraps (
    object_id TEXT NOT NULL PRIMARY KEY,
    epoch INTEGER NOT NULL,
    wrapped {blob} NOT NULL
)"""
_LOCK_PG = "SELECT pg_advisory_xact_lock(7168451933)"


class Keyring(Protocol):
    """Names and their 256-bit keys. Every method may raise Unavailable; methods may be called from any thread."""

    def create(self, object_id: str) -> bytes:
        """Make, wrap and keep a fresh key; durable when it returns; Conflict when the name has one."""
        ...

    def key(self, object_id: str) -> bytes:
        """Return the key; KeyGone when there is none, Corrupt when the wrap does not open."""
        ...

    def destroy(self, object_id: str) -> None:
        """Delete the wrap, durably; an unknown name is not an error."""
        ...

    def names(self, prefix: str = "") -> Iterator[str]:
        """Yield the names that begin with `prefix`, in order of their code points."""
        ...

    def ready(self) -> bool:
        """Say whether keys can be made and read now."""
        ...


C = TypeVar("C", bound="sqlite3.Connection | psycopg.Connection[Any]")


class _PerThread(Generic[C]):
    """One connection per thread and process, closed after its thread has ended."""

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._held: dict[tuple[int, threading.Thread], C] = {}

    def get(self) -> C:
        """Return this thread's connection; after a fork the child makes its own."""
        owner = (os.getpid(), threading.current_thread())
        with self._lock:
            if owner not in self._held:
                self._drop_ended(owner[0])
                self._held[owner] = self._connect()
            return self._held[owner]

    def drop(self) -> None:
        """Close this thread's connection, so that the next use makes a new one."""
        with self._lock:
            held = self._held.pop((os.getpid(), threading.current_thread()), None)
        if held is not None:
            held.close()

    def close(self) -> None:
        """Close every connection that this process made."""
        with self._lock:
            mine = [owner for owner in self._held if owner[0] == os.getpid()]
            for owner in mine:
                self._held.pop(owner).close()

    def _drop_ended(self, process: int) -> None:
        ended = [owner for owner in self._held if owner[0] == process and not owner[1].is_alive()]
        for owner in ended:
            self._held.pop(owner).close()


class SqliteKeyring:
    """A keyring in an SQLite file of its own (0600), made when it is not there."""

    def __init__(self, path: Path, keks: Wrapper) -> None:
        self._path, self._keks = path, keks
        owned_file(path)
        self._connections = _PerThread(self._connect)
        with self._database() as database:
            database.execute(_SCHEMA.format(blob="BLOB"))

    def create(self, object_id: str) -> bytes:
        """Make, wrap and keep a fresh key."""
        key = secrets.token_bytes(KEY_SIZE)
        epoch, wrapped = self._keks.wrap(object_id, key)
        with self._database() as database:
            try:
                database.execute("INSERT INTO wraps VALUES (?, ?, ?)", (object_id, epoch, wrapped))
            except sqlite3.IntegrityError:
                raise Conflict("the name has a key") from None
        return key

    def key(self, object_id: str) -> bytes:
        """Return the unwrapped key."""
        with self._database() as database:
            query = "SELECT epoch, wrapped FROM wraps WHERE object_id = ?"
            row = database.execute(query, (object_id,)).fetchone()
        return _unwrap(self._keks, object_id, row)

    def destroy(self, object_id: str) -> None:
        """Delete the wrap and empty the write-ahead log, which would still hold it."""
        with self._database() as database:
            database.execute("DELETE FROM wraps WHERE object_id = ?", (object_id,))
            # A reader in another process can put the truncation off; the next destroy or close catches up.
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def names(self, prefix: str = "") -> Iterator[str]:
        """Yield the names as they stand now."""
        query = "SELECT object_id FROM wraps WHERE substr(object_id, 1, ?) = ? ORDER BY object_id"
        with self._database() as database:
            rows = database.execute(query, (len(prefix), prefix)).fetchall()
        return (str(row[0]) for row in rows)

    def ready(self) -> bool:
        """Say whether the file answers and a KEK is there."""
        return _answers(self._keks, lambda: next(self.names("\x00"), None))

    def close(self) -> None:
        """Close the connections of this process."""
        self._connections.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        return connection

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._connections.get()
        except sqlite3.OperationalError:
            raise Unavailable("the keyring did not answer") from None
        except sqlite3.DatabaseError:
            raise Corrupt("the keyring is damaged") from None


class PostgresKeyring:
    """A keyring in a PostgreSQL database of its own; `dsn` is a libpq connection string or URL."""

    def __init__(self, dsn: str, keks: Wrapper) -> None:
        self._dsn, self._keks = dsn, keks
        self._connections = _PerThread(self._connect)
        with self._database() as database, database.transaction():
            # Two processes that start together would otherwise both make the table, and one would fail.
            database.execute(_LOCK_PG)
            database.execute(_SCHEMA.format(blob="BYTEA").encode())

    def create(self, object_id: str) -> bytes:
        """Make, wrap and keep a fresh key."""
        key = secrets.token_bytes(KEY_SIZE)
        epoch, wrapped = self._keks.wrap(object_id, key)
        with self._database() as database:
            try:
                database.execute("INSERT INTO wraps VALUES (%s, %s, %s)", (object_id, epoch, wrapped))
            except psycopg.errors.UniqueViolation:
                raise Conflict("the name has a key") from None
        return key

    def key(self, object_id: str) -> bytes:
        """Return the unwrapped key."""
        query = "SELECT epoch, wrapped FROM wraps WHERE object_id = %s"
        with self._database() as database:
            row = database.execute(query, (object_id,)).fetchone()
        return _unwrap(self._keks, object_id, row)

    def destroy(self, object_id: str) -> None:
        """Delete the wrap; what the server's own log still holds ends with the epoch's KEK."""
        with self._database() as database:
            database.execute("DELETE FROM wraps WHERE object_id = %s", (object_id,))

    def names(self, prefix: str = "") -> Iterator[str]:
        """Yield the names as they stand now."""
        query = 'SELECT object_id FROM wraps WHERE starts_with(object_id, %s) ORDER BY object_id COLLATE "C"'
        with self._database() as database:
            rows = database.execute(query, (prefix,)).fetchall()
        return (str(row[0]) for row in rows)

    def ready(self) -> bool:
        """Say whether the server answers and a KEK is there."""
        return _answers(self._keks, lambda: next(self.names("~none"), None))

    def close(self) -> None:
        """Close the connections of this process."""
        self._connections.close()

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self._dsn, autocommit=True, connect_timeout=10)
        connection.execute("SET synchronous_commit = on")
        connection.execute("SET statement_timeout = '30s'")
        return connection

    @contextmanager
    def _database(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            yield self._connections.get()
        except psycopg.Error:
            # Whatever went wrong, the next call begins with a connection of its own.
            self._connections.drop()
            raise Unavailable("the keyring did not answer") from None


def _unwrap(keks: Wrapper, object_id: str, row: tuple[Any, ...] | None) -> bytes:
    """Open a row's wrap; raises KeyGone without a row or KEK, Corrupt when the tag does not fit."""
    if row is None:
        raise KeyGone("the key is not in the keyring")
    try:
        return keks.unwrap(object_id, int(row[0]), bytes(row[1]))
    except (InvalidTag, ValueError):
        raise Corrupt("a wrapped key does not open") from None


def _answers(keks: Wrapper, ask: Callable[[], object]) -> bool:
    """Say whether the table answers and a wrap made now opens again."""
    probe = secrets.token_bytes(KEY_SIZE)
    try:
        ask()
        epoch, wrapped = keks.wrap("probe", probe)
        return keks.unwrap("probe", epoch, wrapped) == probe
    except (Unavailable, Corrupt, KeyGone):
        return False
