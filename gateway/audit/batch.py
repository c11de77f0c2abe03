"""What one turn of the sequencer reads and writes, in as few round trips as each engine offers.

Every release waits for a turn, so these statements go to the driver as they stand: what the ORM adds to each of them would be
most of the time of a turn. They run in the transaction of the session that is given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from gateway.audit.errors import LogDamaged

LEASE = "sequencer"
BATCH = 5_000
_SQLITE_TIME = "%Y-%m-%d %H:%M:%S.%f"
Place = tuple[int, int]


@dataclass(frozen=True)
class Signed:
    """The newest checkpoint's row, and whether anything may rest on it."""

    size: int
    root: bytes
    note: str
    usable: bool


@dataclass(frozen=True)
class Batch:
    """What stands before a turn.

    `holder` and `until` are the lease's, whose row is now locked. `waiting`: (arrival, id, body) of entries without a number, in
    the order in which they get theirs; `highest` the last number given; `edge` the rightmost tiles, (level, index) → hashes, of a
    tree as large as the newest checkpoint says.
    """

    holder: str | None
    until: datetime | None
    waiting: Sequence[tuple[int, str, bytes]]
    last: Signed | None
    highest: int | None
    edge: Mapping[Place, bytes]


@dataclass(frozen=True)
class Growth:
    """What a turn adds: numbers from `first` on for these arrivals with their leaf hashes, tiles, the checkpoint's columns."""

    first: int
    arrivals: Sequence[int]
    hashes: Sequence[bytes]
    tiles: Mapping[Place, bytes]
    checkpoint: Signed
    at: datetime


_LEASE = "SELECT holder, until FROM audit_lease WHERE name = 'sequencer'"
_LAST = "SELECT size, root, note, usable_at IS NOT NULL FROM audit_checkpoint ORDER BY size DESC LIMIT 1"
_READS = (
    "SELECT arrival, id, body FROM audit_leaf WHERE seq IS NULL ORDER BY arrival LIMIT 5000",
    _LAST,
    "SELECT max(seq) FROM audit_leaf",
)
# A subquery for each level, so that no planner thinks of reading the whole table.
_EDGE = """WITH last AS (SELECT size FROM audit_checkpoint ORDER BY size DESC LIMIT 1),
levels (level) AS (VALUES (0), (1), (2), (3), (4), (5), (6), (7))
SELECT levels.level, last.size >> (8 * (levels.level + 1)), (SELECT tile.hashes FROM audit_tile AS tile
WHERE tile.level = levels.level AND tile."index" = last.size >> (8 * (levels.level + 1))) FROM last CROSS JOIN levels"""
_TILE = (
    'INSERT INTO audit_tile (level, "index", hashes) VALUES (?, ?, ?) '
    'ON CONFLICT (level, "index") DO UPDATE SET hashes = excluded.hashes'
)
_CHECKPOINT = "INSERT INTO audit_checkpoint (size, root, note, at, usable_at) VALUES (?, ?, ?, ?, ?)"
_NUMBER = "UPDATE audit_leaf SET seq = ?, leaf_hash = ? WHERE arrival = ?"
_NUMBER_ALL = (
    "UPDATE audit_leaf SET seq = given.seq, leaf_hash = given.leaf_hash "
    "FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[]) AS given (arrival, seq, leaf_hash) "
    "WHERE audit_leaf.arrival = given.arrival"
)


def read(session: Session, lease_time: timedelta) -> Batch | None:
    """Locks the lease's row to the end of the transaction and reads what stands before the turn; None: locked, or not there.

    On PostgreSQL the server itself ends the transaction of a holder that stalls for `lease_time`, and with it the row lock.
    """
    if _is_sqlite(session):
        found = _run(
            session, lambda raw: [raw.execute(query).fetchall() for query in (_LEASE, *_READS, _EDGE)]
        )
    else:
        limit = int(lease_time.total_seconds() * 1000)
        timeout = f"SET LOCAL idle_in_transaction_session_timeout = {limit}"
        steps = [timeout, f"{_LEASE} FOR UPDATE SKIP LOCKED", *_READS]
        found = _pipelined(session, [(step, None) for step in steps])[1:]
        # The last is asked by itself: after a pipeline the server does not count a client's silence.
        found.append(_run(session, lambda raw: raw.execute(_EDGE).fetchall()))
    lease, waiting, last, highest, edge = found
    if not lease:
        return None
    signed = Signed(last[0][0], _bytes(last[0][1]), last[0][2], bool(last[0][3])) if last else None
    tiles = {(row[0], row[1]): _bytes(row[2]) for row in edge if row[2] is not None}
    return Batch(lease[0][0], _time(lease[0][1]), waiting, signed, highest[0][0], tiles)


def _bytes(stored: object) -> bytes:
    # SQLite keeps in a column whatever was put there: a text in the place of hashes is damage, too.
    if not isinstance(stored, bytes | memoryview):
        raise LogDamaged("the stored tree is not made of bytes")
    return bytes(stored)


def _time(stored: str | datetime | None) -> datetime | None:
    return datetime.fromisoformat(stored).replace(tzinfo=UTC) if isinstance(stored, str) else stored


def write(session: Session, grown: Growth) -> None:
    """Stores what the turn adds."""
    tiles = [(level, index, hashes) for (level, index), hashes in sorted(grown.tiles.items())]
    numbers = range(grown.first, grown.first + len(grown.hashes))
    made = grown.checkpoint
    if _is_sqlite(session):
        at = grown.at.astimezone(UTC).strftime(_SQLITE_TIME)
        head: tuple[Any, ...] = (made.size, made.root, made.note, at, at if made.usable else None)
        leaves = list(zip(numbers, grown.hashes, grown.arrivals, strict=True))
        _run(session, lambda raw: _write_sqlite(raw, leaves, tiles, head))
        return
    head = (made.size, made.root, made.note, grown.at, grown.at if made.usable else None)
    steps: list[tuple[str, Any]] = [(_NUMBER_ALL, (list(grown.arrivals), list(numbers), list(grown.hashes)))]
    steps += [(_TILE.replace("?", "%s"), tile) for tile in tiles]
    _pipelined(session, [*steps, (_CHECKPOINT.replace("?", "%s"), head)])


def _write_sqlite(raw: Any, leaves: Sequence[Any], tiles: Sequence[Any], head: Any) -> None:
    raw.executemany(_NUMBER, leaves)
    raw.executemany(_TILE, tiles)
    raw.execute(_CHECKPOINT, head)


def _is_sqlite(session: Session) -> bool:
    return session.connection().dialect.name == "sqlite"


def _run(session: Session, call: Any) -> Any:
    # What the driver raises becomes what callers of a session know.
    connection = session.connection()
    errors: Any = connection.dialect.dbapi
    try:
        return call(connection.connection.driver_connection)
    except errors.Error as error:
        raise DBAPIError("the sequencer's turn", None, error) from error


def _pipelined(session: Session, steps: Sequence[tuple[str, Any]]) -> list[Any]:
    def call(raw: Any) -> list[Any]:
        with raw.pipeline():
            cursors = [raw.execute(statement, given) for statement, given in steps]
        return [cursor.fetchall() if cursor.description else [] for cursor in cursors]

    found: list[Any] = _run(session, call)
    return found
