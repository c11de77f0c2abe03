"""Anchors: checkpoints and the entries they cover, copied to a store where nothing can be changed before its time.

Layout and meaning: docs/formats.md, Anchor. Keys are written once; the first version of a key is the one that counts.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import eq

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.audit import layout, note, tiles, tree
from gateway.audit.errors import AuditError, LogDamaged
from gateway.audit.models import Leaf
from gateway.audit.service import CheckpointView, Log, record
from gateway.db import Database
from gateway.principal import SYSTEM
from storage.errors import Conflict, NotFound, StorageError
from storage.store import ObjectStore

FAILED, RESTORED = "anchor.failed", "anchor.restored"
OBJECT = ("log", "anchor")
_DIGITS = 20
_BUNDLE_BYTES = layout.MAX_BUNDLE_BYTES

logger = structlog.get_logger()


@dataclass(frozen=True)
class Anchored:
    """A checkpoint in the anchors: number of entries it covers, and the signed note."""

    size: int
    note: str


def latest(bucket: ObjectStore) -> Anchored | None:
    """The largest checkpoint in the anchors; None when there is none. Raises StorageError, LogDamaged."""
    return _read(bucket, max(_sizes(bucket, f"{layout.CHECKPOINT}/"), default=None))


def missing(bucket: ObjectStore, size: int) -> Anchored | None:
    """The largest anchored checkpoint when it covers more than the first `size` entries, else None.

    What a log of `size` entries lacks is then `entries(bucket, size, found.size)`. The note is not verified here.
    """
    found = latest(bucket)
    return found if found is not None and found.size > size else None


def entries(bucket: ObjectStore, start: int, end: int) -> Iterator[bytes]:
    """The bodies of entries [start, end) in order, from full bundles or the widest partial ones.

    They are proved only by the root they lead to. Raises LogDamaged where one is not there or a bundle is damaged, StorageError.
    """
    for index, width in layout.parts(start, end):
        found = _bundle(bucket, index, width)
        first = index * layout.WIDTH
        yield from found[max(start - first, 0) : width]


def beat(log: Log, database: Database, bucket: ObjectStore, *, now: datetime) -> None:
    """One heartbeat of the log and its anchor. Where a witness holds the log up, the last usable checkpoint is anchored again."""
    made = None
    try:
        made = log.heartbeat(now=now)
    finally:
        keep(database, bucket, made or log.latest(), now=now)


def keep(database: Database, bucket: ObjectStore, made: CheckpointView | None, *, now: datetime) -> bool:
    """Anchors a checkpoint and the entries it covers; returns whether they now stand there. Never raises for the store's sake.

    A failure is an entry of its own, once until it is over, and so is its end; the log itself goes on. None does nothing.
    """
    if made is None:
        return True
    try:
        anchor(database, bucket, made, now=now)
    except (StorageError, AuditError) as error:
        logger.error("anchor failed", size=made.size, reason=type(error).__name__)
        _tell(database, FAILED, now, size=made.size, reason=type(error).__name__)
        return False
    _tell(database, RESTORED, now, size=made.size)
    return True


def anchor(database: Database, bucket: ObjectStore, made: CheckpointView, *, now: datetime) -> int:
    """Copies the entries that no earlier anchor covers, then the checkpoint; returns how many entries that were.

    When nothing happened since the last one, the confirmed checkpoint is kept under the minute instead. Raises StorageError;
    LogDamaged, copying nothing more, when stored entries are not those of the tree or an anchor says otherwise.
    """
    before = _newest_until(bucket, made.size)
    if before is not None and before == made.size:
        _put(bucket, layout.checkpoint_path(made.size), made.note.encode(), _same_head)
        _put(bucket, f"beat/{now.astimezone(UTC):%Y%m%d/%H%M}", made.note.encode(), _same_log)
        return 0
    start = before or 0
    for index, width in layout.parts(start, made.size):
        _put(bucket, layout.entries_path(index, width), _covered(database, index, width))
    # Last, so that whoever finds a checkpoint finds what it covers.
    _put(bucket, layout.checkpoint_path(made.size), made.note.encode(), _same_head)
    return made.size - start


def _covered(database: Database, index: int, width: int) -> bytes:
    """One bundle from the database, each entry compared with the tree it was numbered into."""
    first = index * layout.WIDTH
    with database.read() as session:
        query = select(Leaf.body).where(Leaf.seq >= first, Leaf.seq < first + width).order_by(Leaf.seq)
        bodies = list(session.scalars(query))
        _require_in_tree(session, first, width, bodies)
    return layout.bundle(bodies)


def _require_in_tree(session: Session, first: int, width: int, bodies: list[bytes]) -> None:
    if len(bodies) != width:
        raise LogDamaged("a numbered entry is gone")
    node = tiles.Tiles(session).node
    for offset, body in enumerate(bodies):
        if node(0, first + offset) != tree.leaf_hash(body):
            raise LogDamaged(f"entry {first + offset} differs from the tree")


def _put(bucket: ObjectStore, key: str, content: bytes, same: Callable[[bytes, bytes], bool] = eq) -> None:
    try:
        bucket.put(key, iter([content]))
    except Conflict:
        # Another process, or an earlier run that was cut off, was first; what stands there must say the same.
        if not same(_get(bucket, key), content):
            raise LogDamaged("an anchor says something else than the log") from None


def _same_head(held: bytes, content: bytes) -> bool:
    # Two processes may hold the same checkpoint with cosignatures of different seconds.
    return held.partition(b"\n\n")[0] == content.partition(b"\n\n")[0]


def _same_log(held: bytes, content: bytes) -> bool:
    # Within one minute the log may have been confirmed at another size before.
    return held.partition(b"\n")[0] == content.partition(b"\n")[0]


def _get(bucket: ObjectStore, key: str) -> bytes:
    return b"".join(bucket.open(key, 0, _BUNDLE_BYTES + 1))


def _bundle(bucket: ObjectStore, index: int, width: int) -> list[bytes]:
    found: list[bytes] = []
    with suppress(NotFound):
        found = layout.entries(_get(bucket, layout.entries_path(index)))
    if len(found) < width:
        # A bundle that was still growing stands there once for each width at which it was anchored.
        name = layout.entries_path(index) + ".p/"
        widths = [int(stat.key.rpartition("/")[2]) for stat in bucket.list(name)]
        wide = max((w for w in widths if 0 < w < layout.WIDTH), default=0)
        if wide >= width:
            found = layout.entries(_get(bucket, f"{name}{wide}"))
    if len(found) < width:
        raise LogDamaged(f"the anchors lack entries from {index * layout.WIDTH + len(found)} on")
    return found


def _sizes(bucket: ObjectStore, prefix: str) -> Iterator[int]:
    for stat in bucket.list(prefix):
        digits = stat.key.rpartition("/")[2]
        if len(digits) == _DIGITS and digits.isdecimal():
            yield int(digits)


def _newest_until(bucket: ObjectStore, size: int) -> int | None:
    """The largest anchored size not above `size`: looked for near it first, since a bucket holds years of them."""
    key = layout.checkpoint_path(size)
    for cut in range(_DIGITS + 1):
        found = [held for held in _sizes(bucket, key[: len(key) - cut]) if held <= size]
        if found:
            return max(found)
    return None


def _read(bucket: ObjectStore, size: int | None) -> Anchored | None:
    if size is None:
        return None
    try:
        held = _get(bucket, layout.checkpoint_path(size)).decode("utf-8")
        head = note.parse_head(note.parse(held).text)
    except (AuditError, UnicodeDecodeError) as error:
        raise LogDamaged("an anchored checkpoint cannot be read") from error
    if head.size != size:
        raise LogDamaged("an anchored checkpoint stands under another size")
    return Anchored(size, held)


def _tell(database: Database, event: str, now: datetime, *, size: int, reason: str = "") -> None:
    with database.write() as session:
        query = select(Leaf.event).where(Leaf.event.in_((FAILED, RESTORED)))
        last = session.scalar(query.order_by(Leaf.arrival.desc()).limit(1))
        # A failure is told once, not every minute; its end only after a failure.
        if last == event or (event == RESTORED and last is None):
            return
        record(session, event, actor=SYSTEM, obj=OBJECT, now=now, size=size, reason_code=reason)
