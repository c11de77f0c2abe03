"""The log as files: checkpoint, tiles and entry bundles of C2SP tlog-tiles, up to the last usable checkpoint and no further."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.audit import layout
from gateway.audit.errors import LogDamaged
from gateway.audit.models import Leaf, Tile
from gateway.audit.service import CheckpointView, Log, record
from gateway.audit.tree import HASH_BYTES
from gateway.db import Database
from gateway.principal import SYSTEM

_LEVELS = 8
_NAME = re.compile(r"(?:x[0-9]{3}/){0,6}[0-9]{3}(?:\.p/[1-9][0-9]{0,2})?")


def parse_number(name: str) -> tuple[int, int] | None:
    """(index, width) of `x001/x234/067` or `067.p/12`, in its one spelling; None for anything else."""
    if not _NAME.fullmatch(name):
        return None
    number, _, width = name.partition(".p/")
    found = int(number.replace("x", "").replace("/", "")), int(width or layout.WIDTH)
    # Zeros in front, and a full tile called partial, would be second names of one thing.
    return found if layout.entries_path(*found) == f"tile/entries/{name}" else None


def tile(session: Session, size: int, level: int, index: int, width: int) -> bytes | None:
    """The hashes of a tile in the tree of `size` entries; None when that tree does not hold so many."""
    if not 0 <= level < _LEVELS or not _holds(size, level, index, width):
        return None
    row = session.get(Tile, (level, index), populate_existing=True)
    if row is None or len(row.hashes) < width * HASH_BYTES:
        raise LogDamaged("a tile is shorter than the tree")
    return row.hashes[: width * HASH_BYTES]


def entries(session: Session, size: int, index: int, width: int) -> bytes | None:
    """An entry bundle of the tree of `size` entries; None when that tree does not hold so many."""
    if not _holds(size, 0, index, width):
        return None
    first = index * layout.WIDTH
    query = select(Leaf.body).where(Leaf.seq >= first, Leaf.seq < first + width).order_by(Leaf.seq)
    bodies = list(session.scalars(query))
    if len(bodies) != width:
        raise LogDamaged("a numbered entry is gone")
    return layout.bundle(bodies)


def _holds(size: int, level: int, index: int, width: int) -> bool:
    return 0 < width <= layout.WIDTH and index * layout.WIDTH + width <= size >> (8 * level)


def files(session: Session, head: CheckpointView) -> Iterator[tuple[str, bytes]]:
    """Every file of the tree under a checkpoint, by its name; the checkpoint itself comes last."""
    for level in range(_LEVELS):
        for index, width in layout.parts(0, head.size >> (8 * level)):
            yield layout.tile_path(level, index, width), _there(tile(session, head.size, level, index, width))
    for index, width in layout.parts(0, head.size):
        yield layout.entries_path(index, width), _there(entries(session, head.size, index, width))
    yield layout.CHECKPOINT, head.note.encode("utf-8")


def _there(content: bytes | None) -> bytes:
    if content is None:
        raise LogDamaged("the tree lacks a file of its own")
    return content


def export(database: Database, log: Log, folder: Path, *, now: datetime) -> int:
    """Writes every file of the log into a new folder and returns how many entries it covers; the export's own is among them.

    Raises Unavailable when no checkpoint is to be had, LogDamaged, OSError.
    """
    with database.write() as session:
        leaf = record(session, "log.exported", actor=SYSTEM, obj=("log", "folder"), now=now)
    head = log.await_checkpoint(leaf, now=now)
    with database.read() as session:
        for name, content in files(session, head):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return head.size
