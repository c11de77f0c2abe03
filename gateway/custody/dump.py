"""The business database as lines of JSON: read at one moment while others write, loaded into an empty schema of either engine.

First line: what it is, with the checkpoint of the log that it holds. Then, for each table, a line with its name and columns and
a line for each row; last the number of rows, so that a dump that was cut off is not taken for a whole one.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Connection,
    Date,
    DateTime,
    LargeBinary,
    MetaData,
    Table,
    cast,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy import Text as TextType
from sqlalchemy.types import TypeEngine

from gateway.audit.models import Checkpoint
from gateway.custody.errors import BrokenBackup, Incomplete
from gateway.db import Base, Database
from gateway.principal import Text

FORMAT = "sealgate-database"
_VERSIONS = "alembic_version"
_ROWS = 500


@dataclass(frozen=True)
class Head:
    """A checkpoint of the log: its size, root (hex) and signed note."""

    size: int
    root: str
    note: str


@dataclass(frozen=True)
class Snapshot:
    """The database at one moment. `lines` may be read once, inside the block that gave it."""

    revision: str | None
    checkpoint: Head | None
    lines: Iterator[bytes]


@contextmanager
def snapshot(database: Database) -> Iterator[Snapshot]:
    """A read transaction that sees one moment, whoever writes meanwhile; raises Incomplete for tables that are none of ours."""
    connection = database.engine.connect()
    if not database.is_sqlite:
        connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with connection, connection.begin():
        # The first read fixes the moment.
        row = connection.execute(
            select(Checkpoint.size, Checkpoint.root, Checkpoint.note)
            .order_by(Checkpoint.size.desc())
            .limit(1)
        ).first()
        checkpoint = Head(row.size, row.root.hex(), row.note) if row is not None else None
        names = set(inspect(connection).get_table_names())
        _only_ours(names)
        query = text("SELECT version_num FROM alembic_version")
        revision = connection.scalar(query) if _VERSIONS in names else None
        yield Snapshot(revision, checkpoint, _lines(connection, revision, checkpoint))


def _only_ours(names: set[str]) -> None:
    # A keyring in the business database would travel with it; and what is not known is not saved.
    foreign = sorted(names - set(Base.metadata.tables) - {_VERSIONS})
    if foreign:
        raise Incomplete(
            [f"table {name}: not of this portal" for name in foreign],
            Text(
                "数据库中有不属于本系统的表。",
                "The database holds tables of something else. Nothing was saved.",
            ),
        )


def _lines(connection: Connection, revision: str | None, checkpoint: Head | None) -> Iterator[bytes]:
    yield _line({
        "format": FORMAT, "v": 1, "revision": revision,
        "checkpoint": checkpoint.note if checkpoint is not None else None,
    })  # fmt: skip
    total = 0
    for table in Base.metadata.sorted_tables:
        yield _line({"table": table.name, "columns": [column.name for column in table.columns]})
        writers = [_writer(column.type) for column in table.columns]
        # JSON goes as its text: a JSON null is not the database's NULL.
        read = [cast(c, TextType) if isinstance(c.type, JSON) else c for c in table.columns]
        found = connection.execution_options(yield_per=_ROWS).execute(select(*read))
        for rows in found.partitions():
            total += len(rows)
            yield b"".join(
                _line([write(value) for write, value in zip(writers, row, strict=True)]) for row in rows
            )
    yield _line({"rows": total})


def _line(value: object) -> bytes:
    return (
        json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"
    )


def _writer(kind: TypeEngine[Any]) -> Callable[[Any], Any]:
    if isinstance(kind, LargeBinary):
        return lambda value: value if value is None else base64.b64encode(value).decode()
    if isinstance(kind, Date) or _is_time(kind):
        return lambda value: value if value is None else value.isoformat()
    return lambda value: value


def _reader(kind: TypeEngine[Any]) -> Callable[[Any], Any]:
    if isinstance(kind, LargeBinary):
        return lambda value: value if value is None else base64.b64decode(value, validate=True)
    if isinstance(kind, Date):
        return lambda value: value if value is None else date.fromisoformat(value)
    if _is_time(kind):
        return lambda value: value if value is None else datetime.fromisoformat(value)
    if isinstance(kind, JSON):
        return _from_json
    return lambda value: value


def _from_json(value: Any) -> Any:
    if value is None:
        return None
    found = json.loads(value)
    return JSON.NULL if found is None else found


def _is_time(kind: TypeEngine[Any]) -> bool:
    return isinstance(kind, DateTime) or isinstance(getattr(kind, "impl", None), DateTime)


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Bytes of any cut as whole lines; a last one without its end is handed out too."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest


def load(database: Database, source: Iterable[bytes], name: str = "database") -> int:
    """Loads a dump into the empty tables of this schema in one transaction; returns how many rows.

    Raises BrokenBackup, having changed nothing, when a line is not what it has to be or the end is missing.
    """
    with database.engine.begin() as connection:
        if database.is_sqlite:
            connection.execute(text("PRAGMA defer_foreign_keys = ON"))
        try:
            total = _Loader(connection).take(lines(source))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise BrokenBackup(name) from error
        if not database.is_sqlite:
            _set_sequences(connection)
    return total


class _Loader:
    """Takes the lines of a dump, a table at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._metadata = MetaData()
        self._table: Table | None = None
        self._readers: list[Callable[[Any], Any]] = []
        self._rows: list[dict[str, Any]] = []
        self._seen: set[str] = set()
        self._total = 0

    def take(self, source: Iterator[bytes]) -> int:
        """Every line to the end; raises ValueError."""
        head = json.loads(next(source, b""))
        if (head["format"], head["v"]) != (FORMAT, 1):
            raise ValueError("another format")
        for line in source:
            value = json.loads(line)
            if isinstance(value, list):
                self._row(value)
            elif "table" in value:
                self._begin(value["table"], value["columns"])
            else:
                self._flush()
                self._end(value["rows"], source)
                return self._total
        raise ValueError("cut off")

    def _begin(self, name: str, columns: list[str]) -> None:
        self._flush()
        table = Base.metadata.tables[name]
        if name in self._seen or columns != [column.name for column in table.columns]:
            raise ValueError("another schema")
        self._seen.add(name)
        self._table = table.to_metadata(self._metadata)
        for column in self._table.columns:
            if isinstance(column.type, JSON):
                # None stands for the database's NULL here, JSON.NULL for a JSON null.
                column.type = JSON(none_as_null=True)
        self._readers = [_reader(column.type) for column in table.columns]

    def _row(self, values: list[Any]) -> None:
        if self._table is None:
            raise ValueError("a row without a table")
        pairs = zip(self._table.columns, self._readers, values, strict=True)
        self._rows.append({column.name: read(value) for column, read, value in pairs})
        if len(self._rows) >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows and self._table is not None:
            self._connection.execute(self._table.insert(), self._rows)
            self._total += len(self._rows)
        self._rows = []

    def _end(self, rows: int, source: Iterator[bytes]) -> None:
        if rows != self._total or self._seen != set(Base.metadata.tables) or any(source):
            raise ValueError("not the whole")


def _set_sequences(connection: Connection) -> None:
    # Rows came with their numbers; the next one must be greater.
    for table in Base.metadata.sorted_tables:
        column = table.autoincrement_column
        if column is not None:
            last = connection.scalar(select(func.max(column)))
            sequence = func.pg_get_serial_sequence(table.name, column.name)
            connection.execute(select(func.setval(sequence, last or 1, last is not None)))


def is_empty(database: Database) -> bool:
    """Whether the database holds no table of ours with a row in it."""
    with database.engine.connect() as connection:
        held = set(inspect(connection).get_table_names()) & set(Base.metadata.tables)
        return not any(
            connection.execute(select(Base.metadata.tables[name]).limit(1)).first() for name in sorted(held)
        )
