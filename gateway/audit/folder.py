"""Verifying the published or anchored folder: every root is rebuilt from the entries; tiles are compared with it, never trusted.

The way of every entry is short, so that a log of millions is checked in seconds: its bytes are hashed as they stand in a bundle,
and a bundle's 256 hashes are folded at once. That they lead to a signed root proves them to be what was signed; that each is also
a well-formed entry is a question of its own (`full`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gateway.audit import layout, leaf, note, tree
from gateway.audit.errors import BadProof, MalformedProof
from gateway.audit.layout import WIDTH

_HEIGHT = 8
_MAX_NOTE_BYTES = note.MAX_NOTE_BYTES


@dataclass
class Found:
    """What a folder holds: the newest tree, how many older checkpoints are beginnings of it, tiles that were compared."""

    head: note.TreeHead
    older: int
    tiles: int = 0


def heads(folder: Path, keys: Sequence[note.Key]) -> list[note.TreeHead]:
    """Every checkpoint of the folder, verified, by size: the file `checkpoint`, or all files of the folder of that name.

    Raises BadSignature, MalformedNote, BadProof where two checkpoints of one size differ or are of two logs; MalformedProof
    where there is none.
    """
    found = [note.open_checkpoint(text, keys) for text in notes(folder)]
    if len({head.origin for head in found}) > 1:
        raise BadProof("the checkpoints are of two logs")
    if len({head.size for head in found}) < len({(head.size, head.root) for head in found}):
        raise BadProof("two roots for one size")
    return sorted(set(found), key=lambda head: head.size)


def notes(folder: Path) -> list[str]:
    """The signed notes of the folder as they stand, by their names, so that the newest comes last; raises MalformedProof."""
    at = folder / layout.CHECKPOINT
    files = sorted(path for path in at.iterdir() if path.is_file()) if at.is_dir() else [at]
    found = [_text(path) for path in files if path.is_file()]
    if not found:
        raise MalformedProof("the folder holds no checkpoint")
    return found


def _text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_MAX_NOTE_BYTES + 1)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedProof("a checkpoint is not a text") from error


def verify(
    folder: Path, keys: Sequence[note.Key], *, earlier: Sequence[note.TreeHead] = (), full: bool = False
) -> Found:
    """Rebuilds every signed root from the entry bundles; raises an AuditError where anything does not fit.

    `earlier` are tree heads from elsewhere that must be beginnings of this log. `full` also reads every entry as an entry.
    """
    signed = heads(folder, keys)
    newest = signed[-1]
    wanted: dict[int, bytes] = {}
    for head in [*signed, *earlier]:
        if head.origin != newest.origin or head.size > newest.size:
            raise BadProof("the folder does not reach back to the older checkpoint")
        if wanted.setdefault(head.size, head.root) != head.root:
            raise BadProof("two roots for one size")
    found = Found(newest, len(wanted) - 1)
    _rebuild(folder, newest.size, wanted, found, full)
    return found


def _rebuild(folder: Path, size: int, wanted: dict[int, bytes], found: Found, full: bool) -> None:
    total, tiles = tree.Accumulator(), _Tiles(folder)
    sizes = sorted(wanted)
    _meet(total, (), [s for s in sizes if s == 0], wanted)
    for index, content in enumerate(bundles(folder, size)):
        hashes = leaf_hashes(content)[: size - index * WIDTH]
        if len(hashes) < min(WIDTH, size - total.size):
            raise MalformedProof(f"entries are missing in the bundle from {total.size} on")
        if full:
            for body in layout.entries(content)[: len(hashes)]:
                leaf.parse(body)
        end = total.size + len(hashes)
        _meet(total, hashes, [s for s in sizes if total.size < s <= end], wanted)
        tiles.add(0, hashes)
        if len(hashes) == WIDTH:
            total.add_subtree(tree.complete_root(hashes), _HEIGHT)
        sizes = [s for s in sizes if s > end]
    found.tiles = tiles.finish()


def _meet(
    total: tree.Accumulator, hashes: Sequence[bytes], sizes: Sequence[int], wanted: dict[int, bytes]
) -> None:
    # A checkpoint may end inside a bundle: the tree so far is copied and grown to it.
    for size in sizes:
        grown = total.copy()
        for value in hashes[: size - total.size]:
            grown.add(value)
        if (grown.size, grown.root) != (size, wanted[size]):
            raise BadProof(f"the entries do not lead to the signed root of {size}")


def leaf_hashes(content: bytes) -> list[bytes]:
    """The leaf hash of every entry of a bundle; raises MalformedProof."""
    room = bytearray(content)
    view, found = memoryview(room), []
    for start, end in layout.places(content):
        # The byte before an entry, the end of its length, becomes the 00 of a leaf: so nothing has to be copied together.
        room[start - 1] = 0
        found.append(sha256(view[start - 1 : end]).digest())
    return found


def bundles(folder: Path, size: int) -> Iterator[bytes]:
    """The entry bundles of the first `size` entries, in order; raises MalformedProof where one is not there."""
    for index, width in layout.parts(0, size):
        # A partial bundle may be gone once a wider one was written.
        names = [layout.entries_path(index), *(layout.entries_path(index, w) for w in range(width, WIDTH))]
        held = (_read(folder, name, layout.MAX_BUNDLE_BYTES) for name in names)
        content = next((c for c in held if c is not None), None)
        if content is None:
            raise MalformedProof(f"the entries from {index * WIDTH} on are not there")
        yield content


def _read(folder: Path, name: str, limit: int) -> bytes | None:
    try:
        with (folder / name).open("rb") as file:
            content = file.read(limit + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(content) > limit:
        raise MalformedProof(f"{name} is too large")
    return content


class _Tiles:
    """Compares each hash tile that the folder holds with the one that the entries give; tiles may be left out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._there = (folder / "tile" / "0").is_dir()
        self._rows: list[list[bytes]] = []
        self._done: list[int] = []
        self._compared = 0

    def add(self, level: int, hashes: Sequence[bytes]) -> None:
        """More hashes of a level; never more than fill its tile."""
        if not self._there:
            return
        if level == len(self._rows):
            self._rows.append([])
            self._done.append(0)
        row = self._rows[level]
        row.extend(hashes)
        if len(row) == WIDTH:
            self._compare(level, WIDTH)
            up = tree.complete_root(row)
            row.clear()
            self._done[level] += 1
            self.add(level + 1, [up])

    def finish(self) -> int:
        """Compares the partial tiles at the right edge; returns how many tiles were compared in all."""
        for level, row in enumerate(self._rows):
            if row:
                self._compare(level, len(row))
        return self._compared

    def _compare(self, level: int, width: int) -> None:
        name = layout.tile_path(level, self._done[level], width)
        stored = _read(self._folder, name, WIDTH * tree.HASH_BYTES)
        if stored is None:
            return
        if stored != b"".join(self._rows[level]):
            raise BadProof(f"{name} differs from the entries")
        self._compared += 1
