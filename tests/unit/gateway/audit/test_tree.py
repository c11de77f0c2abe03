"""The tree against the definition of RFC 6962 written down as naively as it reads, for all sizes to 130."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import tree
from gateway.audit.errors import BadProof

LARGEST = 130
LEAVES = [tree.leaf_hash(f"entry {i}".encode()) for i in range(LARGEST)]


def naive_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(m: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_consistency(m: int, leaves: list[bytes], whole: bool = True) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m <= k:
        return [*naive_consistency(m, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_consistency(m - k, leaves[k:], False), naive_root(leaves[:k])]


def reader(level: int, index: int) -> bytes:
    return tree.complete_root(LEAVES[index << level : (index + 1) << level])


ROOTS = [naive_root(LEAVES[:size]) for size in range(LARGEST + 1)]


def test_the_published_roots_of_the_rfc_are_met():
    entries = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
    hashes = [tree.leaf_hash(bytes.fromhex(e)) for e in entries]
    assert tree.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert (
        tree.root_of(hashes[:1]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    )
    assert tree.root_of(hashes).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_roots_of_all_sizes():
    grown = tree.Accumulator()
    for size in range(LARGEST + 1):
        assert grown.root == tree.root(reader, size) == tree.root_of(LEAVES[:size]) == ROOTS[size]
        if size < LARGEST:
            grown.add(LEAVES[size])


def test_inclusion_of_every_leaf_in_every_size():
    for size in range(1, LARGEST + 1):
        for index in range(size):
            path = tree.inclusion(reader, index, size)
            tree.verify_inclusion(LEAVES[index], index, size, path, ROOTS[size])
            if size in (1, 2, 7, 64, 65, 130):
                assert path == naive_path(index, LEAVES[:size])


def test_consistency_of_every_pair_of_sizes():
    for new in range(LARGEST + 1):
        for old in range(new + 1):
            path = tree.consistency(reader, old, new)
            tree.verify_consistency(old, ROOTS[old], new, ROOTS[new], path)
            if old and new in (1, 2, 7, 64, 65, 130):
                assert path == naive_consistency(old, LEAVES[:new])


@given(st.integers(1, LARGEST), st.data())
def test_a_lie_about_inclusion_is_found(size: int, data: st.DataObject):
    index = data.draw(st.integers(0, size - 1))
    path = tree.inclusion(reader, index, size)
    lies = [
        (LEAVES[index], index, size, path, hashlib.sha256(ROOTS[size]).digest()),
        (hashlib.sha256(LEAVES[index]).digest(), index, size, path, ROOTS[size]),
        (LEAVES[index], index, size, [*path, LEAVES[0]], ROOTS[size]),
        (LEAVES[index], size, size, path, ROOTS[size]),
        (LEAVES[index], -1, size, path, ROOTS[size]),
        (LEAVES[index], index, size, [*path, b"short"], ROOTS[size]),
    ]
    other = data.draw(st.integers(0, size - 1))
    if other != index:
        lies.append((LEAVES[index], other, size, path, ROOTS[size]))
    if path:
        lies.append((LEAVES[index], index, size, path[:-1], ROOTS[size]))
        lies.append((LEAVES[index], index, size, path[1:], ROOTS[size]))
        at = data.draw(st.integers(0, len(path) - 1))
        flipped = bytes([path[at][0] ^ 1]) + path[at][1:]
        lies.append((LEAVES[index], index, size, [*path[:at], flipped, *path[at + 1 :]], ROOTS[size]))
    for lie in lies:
        with pytest.raises(BadProof):
            tree.verify_inclusion(*lie)


@given(st.integers(2, LARGEST), st.data())
def test_a_lie_about_consistency_is_found(new: int, data: st.DataObject):
    old = data.draw(st.integers(1, new - 1))
    path = tree.consistency(reader, old, new)
    wrong = hashlib.sha256(b"another tree").digest()
    at = data.draw(st.integers(0, len(path) - 1))
    flipped = bytes([path[at][0] ^ 1]) + path[at][1:]
    lies = [
        (old, wrong, new, ROOTS[new], path),
        (old, ROOTS[old], new, wrong, path),
        (old, ROOTS[old], new, ROOTS[new], path[:-1]),
        (old, ROOTS[old], new, ROOTS[new], []),
        (old, ROOTS[old], new, ROOTS[new], [*path, wrong]),
        (old, ROOTS[old], new, ROOTS[new], [*path[:at], flipped, *path[at + 1 :]]),
        (new, ROOTS[new], old, ROOTS[old], path),
        (new, ROOTS[new], new, wrong, []),
        (0, wrong, new, ROOTS[new], []),
        (0, tree.EMPTY_ROOT, new, ROOTS[new], path),
        (old, b"short", new, ROOTS[new], path),
    ]
    for lie in lies:
        with pytest.raises(BadProof):
            tree.verify_consistency(*lie)


def test_proofs_are_not_made_outside_the_tree():
    for index, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(ValueError, match="outside"):
            tree.inclusion(reader, index, size)
    with pytest.raises(ValueError, match="order"):
        tree.consistency(reader, 3, 2)
