"""The database: engine, transactions, and rows that carry a seal over the power they grant.

A write transaction is one `with database.write() as session` block; an inner block on the same thread joins the outer one, so
that services may call services and the outermost verb commits. On SQLite it is BEGIN IMMEDIATE, so that a check made inside it
still holds when it commits; on PostgreSQL rows that decide are locked by `locked`.
"""

import hashlib
import hmac
import json
import secrets
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, date, datetime
from typing import Any, ClassVar, TypeVar

from sqlalchemy import DateTime, Engine, String, create_engine, event, inspect
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.orm.context import QueryContext
from sqlalchemy.types import TypeDecorator

from gateway.errors import TamperedRow, UnrecordedChange

T = TypeVar("T", bound="Base")
_BUSY_S = 30.0


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC time, kept naive in SQLite and as timestamptz in PostgreSQL; naive input is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuses naive times; SQLite stores UTC without its zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetime")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Always aware, always UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Every row of the gateway."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UTCDateTime()}


def new_id() -> str:
    """A random 128-bit row id, 32 hex digits."""
    return secrets.token_hex(16)


class Guarded:
    """A row that grants power: `mac` seals its guarded columns, its id and `leaf`, the id of its last log entry.

    Change such a row only through the ORM, setting `leaf` to the entry just recorded. Loading a row whose seal does not match
    raises TamperedRow; writing a guarded column without a new `leaf` raises UnrecordedChange (DESIGN.md §2.8).
    """

    __guarded__: ClassVar[tuple[str, ...]] = ()
    leaf: Mapped[str] = mapped_column(String(32))
    mac: Mapped[str] = mapped_column(String(64))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return value


def seal(row: Any, key: bytes) -> str:
    """HMAC-SHA-256 over table, primary key, guarded columns and leaf, as 64 hex digits."""
    keys = [getattr(row, c.key) for c in inspect(type(row)).primary_key]
    columns = {name: _plain(getattr(row, name)) for name in row.__guarded__}
    body = json.dumps(
        [row.__tablename__, keys, columns, row.leaf],
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return hmac.new(key, b"sealgate row v1\0" + body.encode(), hashlib.sha256).hexdigest()


def _check(row: Any, session: Session | None) -> None:
    key = session.info.get("mac_key") if session is not None else None
    if key is None or not hmac.compare_digest(row.mac, seal(row, key)):
        raise TamperedRow


def _loaded(row: Any, context: QueryContext) -> None:
    _check(row, context.session)


def _refreshed(row: Any, context: QueryContext, attrs: Any) -> None:
    if attrs is None or "mac" in attrs:
        _check(row, context.session)


event.listen(Guarded, "load", _loaded, propagate=True)
event.listen(Guarded, "refresh", _refreshed, propagate=True)


def _seal_changes(session: Session, *_: object) -> None:
    for row in [*session.new, *session.dirty]:
        if isinstance(row, Guarded) and (row in session.new or session.is_modified(row)):
            _seal_row(row, session.info["mac_key"], new=row in session.new)


def _seal_row(row: Any, key: bytes, *, new: bool) -> None:
    if new:
        _apply_defaults(row)
    state = inspect(row)
    changed = [n for n in row.__guarded__ if state.attrs[n].history.has_changes()]
    if not row.leaf or (changed and not new and not state.attrs["leaf"].history.has_changes()):
        raise UnrecordedChange(text=None)
    row.mac = seal(row, key)


def _apply_defaults(row: Any) -> None:
    # The seal covers what will be stored, so column defaults are put in place before it is made.
    for column in inspect(type(row)).columns:
        if getattr(row, column.key) is None and column.default is not None:
            argument = column.default.arg
            setattr(row, column.key, argument(None) if callable(argument) else argument)


class _Queue:
    """First come, first served: SQLite's own waiting is sleeping and trying again, which starves those who wait longest."""

    def __init__(self) -> None:
        self._state = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._taken = False

    @contextmanager
    def place(self, timeout_s: float) -> Iterator[None]:
        """Waits for the turn, at most so long: after that the engine's own lock decides."""
        turn = threading.Event()
        with self._state:
            mine, self._taken = not self._taken, True
            if not mine:
                self._waiting.append(turn)
        mine = mine or turn.wait(timeout_s) or not self._leave(turn)
        try:
            yield
        finally:
            if mine:
                self._next()

    def _leave(self, turn: threading.Event) -> bool:
        with self._state:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return True
            return False

    def _next(self) -> None:
        with self._state:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False


class Database:
    """One engine and the key of its guarded rows; safe to use from several threads.

    `hooks` are handed to every session in its `info`: what the ground's modules need to know after a commit.
    """

    def __init__(self, url: str, mac_key: bytes) -> None:
        self.engine = _engine(url)
        self._mac_key = mac_key
        self._local = threading.local()
        self._queue = _Queue()
        self.hooks: dict[str, Any] = {}

    @property
    def is_sqlite(self) -> bool:
        """Whether the embedded engine serves."""
        return self.engine.dialect.name == "sqlite"

    @property
    def writing(self) -> bool:
        """Whether this thread is inside a write transaction."""
        return getattr(self._local, "session", None) is not None

    def _session(self) -> Session:
        session = Session(self.engine, expire_on_commit=False, autoflush=True)
        session.info.update(self.hooks, mac_key=self._mac_key)
        event.listen(session, "before_flush", _seal_changes)
        return session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One write transaction; commits at the end of the outermost block, rolls back on any exception."""
        joined: Session | None = getattr(self._local, "session", None)
        if joined is not None:
            yield joined
            return
        session = self._session()
        after: list[Any] = session.info.setdefault("after_commit", [])
        with self._queue.place(_BUSY_S) if self.is_sqlite else nullcontext():
            session.connection(execution_options={"sealgate_write": True})
            self._local.session = session
            try:
                yield session
                session.commit()
            except BaseException:
                session.rollback()
                raise
            finally:
                self._local.session = None
                session.close()
        for call in after:
            call()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading; what it might have changed is thrown away. Joins a running write transaction."""
        joined: Session | None = getattr(self._local, "session", None)
        if joined is not None:
            yield joined
            return
        session = self._session()
        try:
            yield session
        finally:
            # Rows read stay usable as values after the block: a rollback would expire those that are still attached.
            session.expunge_all()
            session.close()

    def close(self) -> None:
        """Gives every connection back to the system."""
        self.engine.dispose()


def after_commit(session: Session, call: Any) -> None:
    """Runs `call()` once the outermost transaction has committed; never if it rolls back."""
    session.info.setdefault("after_commit", []).append(call)


def locked(session: Session, model: type[T], key: str) -> T | None:
    """The freshly read row under a row lock (PostgreSQL) or inside the one writer's transaction (SQLite)."""
    return session.get(model, key, with_for_update=True, populate_existing=True)


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=20)
    engine = create_engine(url, connect_args={"timeout": 30, "check_same_thread": False})
    event.listen(engine, "connect", _sqlite_pragmas)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def _sqlite_pragmas(connection: Any, _: object) -> None:
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
        "busy_timeout=30000",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _sqlite_begin(connection: Any) -> None:
    write = connection.get_execution_options().get("sealgate_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
