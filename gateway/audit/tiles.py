"""The stored tree: complete subtree hashes in tiles of 256, so that growing it by n costs n hashes and a proof reads few rows."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from gateway.audit import tree
from gateway.audit.errors import LogDamaged
from gateway.audit.models import Tile

HEIGHT = 8
WIDTH = 1 << HEIGHT
_TILE_BYTES = WIDTH * tree.HASH_BYTES


class Tiles:
    """Reads subtree hashes of one session's view; each tile is fetched once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._held: dict[tuple[int, int], bytes] = {}

    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree (a tree.Reader); raises LogDamaged where the tile does not reach so far."""
        step, height = divmod(level, HEIGHT)
        first = index << height
        tile = self._tile(step, first >> HEIGHT)
        start = (first % WIDTH) * tree.HASH_BYTES
        end = start + (tree.HASH_BYTES << height)
        if end > len(tile):
            raise LogDamaged("a tile is shorter than the tree")
        return _subtree(tile, start, end)

    def _tile(self, step: int, index: int) -> bytes:
        held = self._held.get((step, index))
        if held is None:
            row = self._session.get(Tile, (step, index), populate_existing=True)
            held = self._held[step, index] = row.hashes if row is not None else b""
        return held


def _subtree(tile: bytes, start: int, end: int) -> bytes:
    return tree.complete_root([tile[i : i + tree.HASH_BYTES] for i in range(start, end, tree.HASH_BYTES)])


def append(session: Session, size: int, hashes: Sequence[bytes]) -> None:
    """Adds leaf hashes to the tiles of a tree of `size` leaves; raises LogDamaged if the tiles do not end where it does."""
    step = 0
    while hashes:
        hashes = _append_level(session, step, size, hashes)
        size //= WIDTH
        step += 1


def _append_level(session: Session, step: int, size: int, hashes: Sequence[bytes]) -> list[bytes]:
    full: list[bytes] = []
    taken = 0
    while taken < len(hashes):
        index, filled = divmod(size + taken, WIDTH)
        part = hashes[taken : taken + WIDTH - filled]
        tile = _grow(session, step, index, filled, b"".join(part))
        taken += len(part)
        if len(tile) == _TILE_BYTES:
            full.append(_subtree(tile, 0, _TILE_BYTES))
    return full


def _grow(session: Session, step: int, index: int, filled: int, more: bytes) -> bytes:
    row = session.get(Tile, (step, index), populate_existing=True)
    before = row.hashes if row is not None else b""
    if len(before) != filled * tree.HASH_BYTES:
        raise LogDamaged("a tile does not end where the tree does")
    if row is None:
        row = Tile(level=step, index=index, hashes=more)
        session.add(row)
    else:
        row.hashes = before + more
    return before + more
