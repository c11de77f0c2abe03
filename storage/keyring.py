"""The keyring's two places: an SQLite file of its own, or a PostgreSQL database of its own (storage/ring.py says what it is)."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import psycopg

from storage.errors import Corrupt, Unavailable
from storage.kek import KekFolder, Wrapper, owned_file
from storage.ring import KEY_SIZE, Keyring, KeyringCopy, Ring, Run, Wrap, first_rows

__all__ = ["KEY_SIZE", "KekFolder", "Keyring", "KeyringCopy", "PostgresKeyring", "SqliteKeyring", "Wrap"]

_LOCK_PG = 7168451933

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


class SqliteKeyring(Ring):
    """A keyring in an SQLite file of its own (0600), made when it is not there."""

    taken = sqlite3.IntegrityError

    def __init__(self, path: Path, keks: Wrapper) -> None:
        super().__init__(keks)
        self._path = path
        owned_file(path)
        self._connections = _PerThread(self._connect)
        with self._writing() as run:
            first_rows(run, "BLOB")

    def destroy(self, object_id: str) -> None:
        """Delete the wrap and empty the write-ahead log, which would still hold it."""
        super().destroy(object_id)
        self._empty_wal()

    def scrub(self) -> None:
        """Empty the write-ahead log; pages are overwritten as they are freed (secure_delete)."""
        super().scrub()
        self._empty_wal()

    def close(self) -> None:
        """Close the connections of this process."""
        self._connections.close()

    def _empty_wal(self) -> None:
        with self._reading() as run:
            # A reader in another process can put the truncation off; the next destroy or close catches up.
            run("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        return connection

    @contextmanager
    def _reading(self) -> Iterator[Run]:
        try:
            connection = self._connections.get()
            yield lambda statement, *values: connection.execute(statement, values)
        except sqlite3.OperationalError:
            raise Unavailable("the keyring did not answer") from None
        except sqlite3.DatabaseError:
            raise Corrupt("the keyring is damaged") from None

    @contextmanager
    def _writing(self, *, alone: bool = False) -> Iterator[Run]:
        # The file has one writer at a time, so every write transaction is alone.
        with self._reading() as run:
            run("BEGIN IMMEDIATE")
            try:
                yield run
                run("COMMIT")
            except BaseException:
                if self._connections.get().in_transaction:
                    run("ROLLBACK")
                raise


class PostgresKeyring(Ring):
    """A keyring in a PostgreSQL database of its own; `dsn` is a libpq connection string or URL."""

    taken = psycopg.errors.UniqueViolation

    def __init__(self, dsn: str, keks: Wrapper) -> None:
        super().__init__(keks)
        self._dsn = dsn
        self._connections = _PerThread(self._connect)
        # Two processes that start together would otherwise both make the tables, and one would fail.
        with self._writing(alone=True) as run:
            first_rows(run, "BYTEA")

    def scrub(self) -> None:
        """Have the server clear deleted and replaced rows; what its own log still holds ends with the epoch's KEK."""
        super().scrub()
        with self._reading() as run:
            run("VACUUM wraps")

    def close(self) -> None:
        """Close the connections of this process."""
        self._connections.close()

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self._dsn, autocommit=True, connect_timeout=10)
        connection.execute("SET synchronous_commit = on")
        connection.execute("SET statement_timeout = '30s'")
        return connection

    @contextmanager
    def _reading(self) -> Iterator[Run]:
        try:
            connection = self._connections.get()
            yield lambda statement, *values: connection.execute(
                statement.replace("?", "%s").encode(), values or None
            )
        except psycopg.Error:
            # Whatever went wrong, the next call begins with a connection of its own.
            self._connections.drop()
            raise Unavailable("the keyring did not answer") from None

    @contextmanager
    def _writing(self, *, alone: bool = False) -> Iterator[Run]:
        lock = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
        with self._reading() as run, self._connections.get().transaction():
            run(f"SELECT {lock}({_LOCK_PG})")
            yield run
