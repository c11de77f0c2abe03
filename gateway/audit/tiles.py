"""The stored tree: complete subtree hashes in tiles of 256, so that growing it by n costs n hashes and a proof reads few rows."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.audit import tree
from gateway.audit.batch import Place
from gateway.audit.errors import LogDamaged
from gateway.audit.models import Tile

HEIGHT = 8
WIDTH = 1 << HEIGHT
_TILE_BYTES = WIDTH * tree.HASH_BYTES


class Tiles:
    """Reads subtree hashes of one session's view; each tile is fetched once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._held: dict[Place, bytes] = {}

    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree (a tree.Reader); raises LogDamaged where the tile does not reach so far."""
        step, height = divmod(level, HEIGHT)
        first = index << height
        tile = self._tile((step, first >> HEIGHT))
        start = (first % WIDTH) * tree.HASH_BYTES
        end = start + (tree.HASH_BYTES << height)
        if end > len(tile):
            raise LogDamaged("a tile is shorter than the tree")
        return _subtree(tile, start, end)

    def _tile(self, place: Place) -> bytes:
        held = self._held.get(place)
        if held is None:
            found = self._session.scalar(
                select(Tile.hashes).where(Tile.level == place[0], Tile.index == place[1])
            )
            held = self._held[place] = found or b""
        return held


class Edge(Tiles):
    """The right edge of a tree of `size` leaves, from tiles that were read; grows in memory; LogDamaged if they do not fit."""

    def __init__(self, session: Session, size: int, read: Mapping[Place, bytes]) -> None:
        super().__init__(session)
        self.size = size
        self._grown: set[Place] = set()
        self._held = {place: read.get(place, b"") for place in _edge(size)}
        self._check()

    @property
    def stored(self) -> dict[Place, bytes]:
        """The tiles of the edge by (level, index), as they are now."""
        return {place: self._held.get(place, b"") for place in _edge(self.size)}

    @property
    def changed(self) -> dict[Place, bytes]:
        """The tiles that grew, to be stored."""
        return {place: self._held[place] for place in self._grown}

    def _check(self) -> None:
        for step, index in _edge(self.size):
            filled = (self.size >> HEIGHT * step) - index * WIDTH
            if len(self._held[step, index]) != filled * tree.HASH_BYTES:
                raise LogDamaged("a tile does not end where the tree does")

    def append(self, hashes: Sequence[bytes]) -> None:
        """Adds leaf hashes at the end."""
        step, more, size = 0, hashes, self.size
        while more:
            more = self._append_level(step, size, more)
            size //= WIDTH
            step += 1
        self.size += len(hashes)

    def _append_level(self, step: int, size: int, hashes: Sequence[bytes]) -> list[bytes]:
        full: list[bytes] = []
        taken = 0
        while taken < len(hashes):
            index, filled = divmod(size + taken, WIDTH)
            part = hashes[taken : taken + WIDTH - filled]
            tile = (self._held[step, index] if filled else b"") + b"".join(part)
            self._held[step, index] = tile
            self._grown.add((step, index))
            taken += len(part)
            if len(tile) == _TILE_BYTES:
                full.append(_subtree(tile, 0, _TILE_BYTES))
        return full


def _edge(size: int) -> list[Place]:
    # Also an empty place is asked for: a tile that stands beyond the tree is damage.
    places, step = [(0, size >> HEIGHT)], 1
    while size >> HEIGHT * step:
        places.append((step, size >> HEIGHT * (step + 1)))
        step += 1
    return places


def _subtree(tile: bytes, start: int, end: int) -> bytes:
    return tree.complete_root([tile[i : i + tree.HASH_BYTES] for i in range(start, end, tree.HASH_BYTES)])
