"""The Merkle tree of RFC 6962 §2.1: hashes, inclusion and consistency proofs, and their verification. Pure.

A hash is 32 bytes. A `Reader` gives the hash of a complete subtree by (level, index): it covers the 2**level leaves from
index * 2**level on. Proofs are lists of hashes from the leaves up, in the order of the RFC.
"""

import hashlib
from collections.abc import Callable, Sequence

from gateway.audit.errors import BadProof

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
_sha256 = hashlib.sha256

Reader = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256 of 0x00 and the entry's bytes."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of 0x01 and both children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def complete_root(hashes: Sequence[bytes]) -> bytes:
    """The root over 2**k hashes of one level."""
    row = b"".join(hashes)
    while len(row) > HASH_BYTES:
        pairs = [row[i : i + 2 * HASH_BYTES] for i in range(0, len(row), 2 * HASH_BYTES)]
        row = b"".join([_sha256(b"\x01" + pair).digest() for pair in pairs])
    return row


class Accumulator:
    """The root over a stream of leaf hashes in memory that grows with the logarithm of their number."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Appends one leaf hash."""
        self.add_subtree(leaf, 0)

    def add_subtree(self, value: bytes, height: int) -> None:
        """Appends the root over 2**height leaves; the tree's size must be a multiple of that. Raises ValueError otherwise."""
        carry, rest = divmod(self.size, 1 << height)
        if rest:
            raise ValueError("a complete subtree fits only behind complete ones")
        while carry & 1:
            value = node_hash(self._edge.pop(), value)
            carry >>= 1
        self._edge.append(value)
        self.size += 1 << height

    def copy(self) -> "Accumulator":
        """A tree that grows on its own from here."""
        other = Accumulator()
        other.size, other._edge = self.size, list(self._edge)
        return other

    @property
    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self._edge:
            return EMPTY_ROOT
        edge = list(self._edge)
        total = edge.pop()
        while edge:
            total = node_hash(edge.pop(), total)
        return total


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over a list of leaf hashes."""
    tree = Accumulator()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root


def _split(size: int) -> int:
    # The largest power of two smaller than size (RFC 6962 §2.1); size is at least 2.
    return 1 << ((size - 1).bit_length() - 1)


def _range(reader: Reader, start: int, end: int) -> bytes:
    # The hash over leaves [start, end); start is always a multiple of the power of two that holds the range.
    size = end - start
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return reader(level, start >> level)
    half = _split(size)
    return node_hash(_range(reader, start, start + half), _range(reader, start + half, end))


def root(reader: Reader, size: int) -> bytes:
    """The root of the first `size` leaves."""
    return _range(reader, 0, size) if size else EMPTY_ROOT


def inclusion(reader: Reader, index: int, size: int) -> list[bytes]:
    """The audit path of leaf `index` in the tree of `size` leaves (RFC 6962 §2.1.1); raises ValueError out of range."""
    if not 0 <= index < size:
        raise ValueError("index outside the tree")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range(reader, middle, end))
            end = middle
        else:
            path.append(_range(reader, start, middle))
            start = middle
    return path[::-1]


def consistency(reader: Reader, old: int, new: int) -> list[bytes]:
    """The proof that the first `old` leaves of `new` are the old tree (RFC 6962 §2.1.2); empty for old = 0 or old = new."""
    if not 0 <= old <= new:
        raise ValueError("sizes out of order")
    if old in (0, new):
        return []
    path: list[bytes] = []
    start, end, whole = 0, new, True
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_range(reader, middle, end))
            end = middle
        else:
            path.append(_range(reader, start, middle))
            start, whole = middle, False
    if not whole:
        path.append(_range(reader, start, end))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> None:
    """Raises BadProof unless `proof` leads from the leaf hash at `index` to the root of `size` leaves (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        raise BadProof("the index lies outside the tree")
    if any(len(h) != HASH_BYTES for h in (leaf, expected, *proof)):
        raise BadProof("a hash has the wrong length")
    fn, sn, total = index, size - 1, leaf
    for sibling in proof:
        if sn == 0:
            raise BadProof("the inclusion proof is too long")
        if fn & 1 or fn == sn:
            total = node_hash(sibling, total)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            total = node_hash(total, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise BadProof("the inclusion proof is too short")
    if total != expected:
        raise BadProof("the entry is not in the signed tree")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raises BadProof unless `proof` shows the old tree to be the beginning of the new one (RFC 9162 §2.1.4.2)."""
    if not 0 <= old <= new:
        raise BadProof("the newer checkpoint is smaller than the older one")
    if any(len(h) != HASH_BYTES for h in (old_root, new_root, *proof)):
        raise BadProof("a hash has the wrong length")
    if old in (0, new):
        _verify_trivial(old, old_root, new, new_root, proof)
        return
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        raise BadProof("the consistency proof is too short")
    if _climb(old - 1, new - 1, path) != (old_root, new_root):
        raise BadProof("the newer tree does not begin with the older one")


def _verify_trivial(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise BadProof("the consistency proof is too long")
    if old == 0 and old_root != EMPTY_ROOT:
        raise BadProof("the empty tree has another root")
    if old == new and old_root != new_root:
        raise BadProof("two roots for one size")


def _climb(fn: int, sn: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if sn == 0:
            raise BadProof("the consistency proof is too long")
        if fn & 1 or fn == sn:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            after = node_hash(after, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise BadProof("the consistency proof is too short")
    return before, after
