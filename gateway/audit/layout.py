"""Names and forms of the published files: C2SP tlog-tiles paths and entry bundles. Standard library only."""

from collections.abc import Iterable, Iterator

from gateway.audit.errors import MalformedProof

WIDTH = 256
CHECKPOINT = "checkpoint"
MAX_BUNDLE_BYTES = WIDTH * (2 + 65_535)
_LENGTH_BYTES = 2


def tile_path(level: int, index: int, width: int = WIDTH) -> str:
    """`tile/<level>/<index>`, with `.p/<width>` when it holds fewer than 256 hashes; level counts in steps of eight."""
    return f"tile/{level}/{_number(index)}{_partial(width)}"


def entries_path(index: int, width: int = WIDTH) -> str:
    """`tile/entries/<index>`, with `.p/<width>` when it holds fewer than 256 entries."""
    return f"tile/entries/{_number(index)}{_partial(width)}"


def checkpoint_path(size: int) -> str:
    """`checkpoint/<size in 20 digits>`: one signed note for each size that was made public."""
    return f"{CHECKPOINT}/{size:020d}"


def _number(index: int) -> str:
    # Groups of three digits, all but the last marked with x, so that no folder holds more than a thousand names.
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03d}")
    return "/".join(reversed(groups))


def _partial(width: int) -> str:
    return "" if width == WIDTH else f".p/{width}"


def parts(old: int, new: int) -> Iterator[tuple[int, int]]:
    """(index, width) of each tile of one level that a growth from `old` to `new` entries filled further."""
    for index in range(old // WIDTH, (new + WIDTH - 1) // WIDTH):
        yield index, min(WIDTH, new - index * WIDTH)


def bundle(entries: Iterable[bytes]) -> bytes:
    """An entry bundle: each entry behind its length in two big-endian bytes."""
    return b"".join(len(entry).to_bytes(_LENGTH_BYTES, "big") + entry for entry in entries)


def entries(content: bytes) -> list[bytes]:
    """The entries of a bundle; raises MalformedProof when it is cut off or holds more than 256."""
    return [content[start:end] for start, end in places(content)]


def places(content: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Where each entry of a bundle begins and ends; raises MalformedProof as `entries` does."""
    at, end, count = 0, len(content), 0
    while at < end:
        start = at + _LENGTH_BYTES
        if start > end or count == WIDTH:
            raise MalformedProof("an entry bundle is cut off or too long")
        at = start + (content[at] << 8 | content[at + 1])
        if at > end:
            raise MalformedProof("an entry bundle is cut off or too long")
        count += 1
        yield start, at
