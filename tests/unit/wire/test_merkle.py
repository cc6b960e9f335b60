# SPDX-License-Identifier: Apache-2.0
"""The tree at every size; this file is about Merkle roots and proofs against a naive reading of RFC 6962."""

from __future__ import annotations

import hashlib
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.merkle import (
    EMPTY_ROOT,
    ProofInvalid,
    RunningRoot,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from gateway.wire.tiles import hash_reader, split_tile, tile_root, tile_width

SIZES = [0, 1, 2, 3, 255, 256, 257, 65_535, 65_536, 65_537]
SMALL = 70


# The definitions of RFC 6962, section 2.1, written down as they stand and nothing shared with the code under test.
def mth(leaves: list[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = largest_power_below(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = largest_power_below(len(leaves))
    return [*path(m, leaves[:k]), mth(leaves[k:])] if m < k else [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = largest_power_below(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def largest_power_below(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def leaves_of(size: int) -> list[bytes]:
    return [b"leaf %d" % number for number in range(size)]


@cache
def tiles(size: int) -> dict[tuple[int, int], bytes]:
    """Every tile of a tree, level by level, as C2SP tlog-tiles defines them."""
    stored: dict[tuple[int, int], bytes] = {}
    row, level = [leaf_hash(leaf) for leaf in leaves_of(size)], 0
    while row:
        for index in range(0, len(row), 256):
            stored[level, index // 256] = b"".join(row[index : index + 256])
        row = [tile_root(row[at : at + 256]) for at in range(0, len(row) - 255, 256)]
        level += 1
    return stored


def reader(size: int):
    return hash_reader(lambda level, index: tiles(size)[level, index])


@pytest.mark.parametrize("size", SIZES)
def test_the_root_is_that_of_the_definition(size: int) -> None:
    hashes = [leaf_hash(leaf) for leaf in leaves_of(size)]

    assert root_of(hashes) == mth(leaves_of(size)) == tree_root(size, reader(size))


@pytest.mark.parametrize("size", SIZES)
def test_an_exported_edge_goes_on_as_if_nothing_had_happened(size: int) -> None:
    hashes = [leaf_hash(leaf) for leaf in leaves_of(size)]
    first = RunningRoot()
    for hashed in hashes[: size // 2]:
        first.append(hashed)

    second = RunningRoot(first.size, first.edge())
    for hashed in hashes[size // 2 :]:
        second.append(hashed)

    assert (second.size, second.root()) == (size, mth(leaves_of(size)))
    assert len(second.edge()) == 32 * size.bit_count()


def test_an_edge_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="edge"):
        RunningRoot(3, bytes(32))


def test_every_inclusion_proof_of_small_trees_is_that_of_the_definition() -> None:
    for size in range(1, SMALL):
        leaves, hash_at = leaves_of(size), reader(size)
        for index in range(size):
            proof = inclusion_proof(index, size, hash_at)

            assert list(proof) == path(index, leaves)
            verify_inclusion(leaf_hash(leaves[index]), leaf_index=index, tree_size=size, proof=proof, root=mth(leaves))


def test_every_consistency_proof_of_small_trees_is_that_of_the_definition() -> None:
    for new in range(1, SMALL):
        leaves, hash_at = leaves_of(new), reader(new)
        for old in range(1, new + 1):
            proof = consistency_proof(old, new, hash_at)

            assert list(proof) == subproof(old, leaves, True)
            verify_consistency(
                old_size=old, old_root=mth(leaves[:old]), new_size=new, new_root=mth(leaves), proof=proof
            )


@pytest.mark.parametrize("size", SIZES[4:])
def test_proofs_over_tiles_hold_at_the_edges_of_tiles(size: int) -> None:
    root = mth(leaves_of(size))
    for index in {0, 1, 254, 255, 256, size // 2, size - 2, size - 1} & set(range(size)):
        reads: list[tuple[int, int]] = []

        def read(level: int, at: int, reads: list[tuple[int, int]] = reads) -> bytes:
            reads.append((level, at))
            return tiles(size)[level, at]

        proof = inclusion_proof(index, size, hash_reader(read))

        verify_inclusion(leaf_hash(b"leaf %d" % index), leaf_index=index, tree_size=size, proof=proof, root=root)
        assert len(reads) == len(set(reads)) <= 6
    for old in {1, 255, 256, 257, size - 1} & set(range(size)):
        verify_consistency(
            old_size=old,
            old_root=mth(leaves_of(old)),
            new_size=size,
            new_root=root,
            proof=consistency_proof(old, size, reader(size)),
        )


@given(size=st.integers(1, SMALL), data=st.data())
def test_an_altered_inclusion_proof_proves_nothing(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = list(inclusion_proof(index, size, reader(size)))
    root, leaf = mth(leaves_of(size)), leaf_hash(b"leaf %d" % index)
    other_index = data.draw(st.integers(-1, size).filter(lambda one: one != index))

    altered = [(leaf, index, [*proof, bytes(32)], root), (leaf, other_index, proof, root), (root, index, proof, leaf)]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        flipped = [*proof]
        flipped[at] = bytes([flipped[at][0] ^ 1]) + flipped[at][1:]
        altered += [(leaf, index, flipped, root), (leaf, index, proof[:-1], root), (leaf, index, proof[1:], root)]
    for hashed, position, hashes, head in altered:
        if hashed == head:
            continue
        with pytest.raises(ProofInvalid):
            verify_inclusion(hashed, leaf_index=position, tree_size=size, proof=hashes, root=head)


@given(new=st.integers(2, SMALL), data=st.data())
def test_an_altered_consistency_proof_proves_nothing(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new - 1))
    proof = list(consistency_proof(old, new, reader(new)))
    old_root, new_root = mth(leaves_of(old)), mth(leaves_of(new))
    at = data.draw(st.integers(0, len(proof) - 1))
    flipped = [*proof]
    flipped[at] = bytes([flipped[at][0] ^ 1]) + flipped[at][1:]

    for hashes, first, second in [
        (flipped, old_root, new_root),
        (proof[:-1], old_root, new_root),
        ([*proof, bytes(32)], old_root, new_root),
        (proof, new_root, new_root),
        (proof, old_root, old_root),
        ([], old_root, new_root),
    ]:
        with pytest.raises(ProofInvalid):
            verify_consistency(old_size=old, old_root=first, new_size=new, new_root=second, proof=hashes)


def test_an_empty_tree_begins_every_tree_and_a_tree_begins_only_itself() -> None:
    root = mth(leaves_of(3))
    verify_consistency(old_size=0, old_root=EMPTY_ROOT, new_size=3, new_root=root, proof=[])
    verify_consistency(old_size=3, old_root=root, new_size=3, new_root=root, proof=[])

    for old_size, old_root, proof in [(0, root, []), (3, EMPTY_ROOT, []), (3, root, [root]), (4, root, [])]:
        with pytest.raises(ProofInvalid):
            verify_consistency(old_size=old_size, old_root=old_root, new_size=3, new_root=root, proof=proof)


def test_a_leaf_that_is_not_there_has_no_proof() -> None:
    for index, size in [(0, 0), (3, 3), (-1, 3)]:
        with pytest.raises(ValueError, match="no such leaf"):
            inclusion_proof(index, size, reader(3))
    with pytest.raises(ValueError, match="order"):
        consistency_proof(4, 3, reader(3))


def test_a_reader_refuses_a_tile_that_is_too_narrow() -> None:
    with pytest.raises(ValueError, match="narrow"):
        inclusion_proof(0, 200, hash_reader(lambda level, index: tiles(100)[level, index]))


def test_widths_are_those_of_the_example_in_the_specification() -> None:
    """C2SP tlog-tiles: 70,000 leaves are 273 full tiles, one of 112, one full at level 1, one of 17, one of 1."""
    widths = [tile_width(0, index, 70_000) for index in range(275)]

    assert widths == [256] * 273 + [112, 0]
    assert [tile_width(1, index, 70_000) for index in range(3)] == [256, 17, 0]
    assert [tile_width(2, index, 70_000) for index in range(2)] == [1, 0]
    assert (tile_width(0, 0, 256), tile_width(1, 0, 256)) == (256, 1)
    assert [len(split_tile(tiles(65_537)[level, index])) for level, index in [(0, 256), (1, 0), (2, 0)]] == [1, 256, 1]
