# SPDX-License-Identifier: Apache-2.0
"""Many things under one hash; this file is about the Merkle tree of RFC 6962 and its proofs (algorithms of RFC 9162).

Proofs are made through `hash_at(level, index)`: the hash of the complete subtree over the 2^level leaves that
begin at index * 2^level. So a proof needs O(log n) reads, wherever the hashes are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final, TypeAlias

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
PROOF_HASHES_MAX: Final = 64

HashAt: TypeAlias = Callable[[int, int], bytes]


class ProofInvalid(Exception):
    """A Merkle proof that does not prove what is claimed."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf (RFC 6962, section 2.1)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (RFC 6962, section 2.1)."""
    return sha256(b"\x01" + left + right).digest()


class RunningRoot:
    """The root of a growing tree, of which only the right edge is kept: one hash for each bit set in the size."""

    __slots__ = ("_edge", "size")

    def __init__(self, size: int = 0, edge: bytes = b"") -> None:
        """Start empty, or go on from an exported edge; ValueError when edge and size do not belong together."""
        if len(edge) != HASH_BYTES * size.bit_count():
            raise ValueError("the edge does not belong to this size")
        self.size = size
        self._edge = [edge[at : at + HASH_BYTES] for at in range(0, len(edge), HASH_BYTES)]

    def append(self, hashed_leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        merges = (~self.size & (self.size + 1)).bit_length() - 1
        for _ in range(merges):
            hashed_leaf = sha256(b"\x01" + self._edge.pop() + hashed_leaf).digest()
        self._edge.append(hashed_leaf)
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        if not self._edge:
            return EMPTY_ROOT
        root = self._edge[-1]
        for left in reversed(self._edge[:-1]):
            root = node_hash(left, root)
        return root

    def edge(self) -> bytes:
        """Return the right edge, widest subtree first, to go on from later."""
        return b"".join(self._edge)


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root over some leaf hashes."""
    running = RunningRoot()
    for hashed_leaf in leaf_hashes:
        running.append(hashed_leaf)
    return running.root()


def tree_root(size: int, hash_at: HashAt) -> bytes:
    """Return the root of the tree of a size."""
    return _range_root(0, size, hash_at) if size else EMPTY_ROOT


def inclusion_proof(leaf_index: int, tree_size: int, hash_at: HashAt) -> tuple[bytes, ...]:
    """Return the audit path of a leaf, from its sibling up (RFC 6962, section 2.1.1), or raise ValueError."""
    if not 0 <= leaf_index < tree_size:
        raise ValueError("no such leaf")
    start, end = 0, tree_size
    path: list[bytes] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if leaf_index < middle:
            path.append(_range_root(middle, end, hash_at))
            end = middle
        else:
            path.append(_range_root(start, middle, hash_at))
            start = middle
    return tuple(reversed(path))


def consistency_proof(old_size: int, new_size: int, hash_at: HashAt) -> tuple[bytes, ...]:
    """Return the proof that a tree begins with an older tree (RFC 6962, section 2.1.2), or raise ValueError."""
    if not 0 <= old_size <= new_size:
        raise ValueError("sizes out of order")
    if old_size in {0, new_size}:
        return ()
    start, end = 0, new_size
    path: list[bytes] = []
    while end != old_size:
        middle = start + _split(end - start)
        if old_size <= middle:
            path.append(_range_root(middle, end, hash_at))
            end = middle
        else:
            path.append(_range_root(start, middle, hash_at))
            start = middle
    if start:  # Otherwise the old root itself is the first hash, and the verifier has it.
        path.append(_range_root(start, end, hash_at))
    return tuple(reversed(path))


def verify_inclusion(
    hashed_leaf: bytes, *, leaf_index: int, tree_size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that a leaf stands at an index of a tree (RFC 9162, section 2.1.3.2), or raise ProofInvalid."""
    if not 0 <= leaf_index < tree_size:
        raise ProofInvalid("no such leaf")
    result = hashed_leaf
    for sibling, on_the_left in zip(proof, _sides(leaf_index, tree_size - 1, len(proof)), strict=True):
        result = node_hash(sibling, result) if on_the_left else node_hash(result, sibling)
    if result != root:
        raise ProofInvalid("proof leads to another root")


def verify_consistency(
    *, old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that a tree begins with an older tree (RFC 9162, section 2.1.4.2), or raise ProofInvalid."""
    if not 0 <= old_size <= new_size:
        raise ProofInvalid("sizes out of order")
    if old_size in {0, new_size}:
        # The RFC leaves these out: an empty tree begins every tree, and a tree begins itself.
        if proof or old_root != (new_root if old_size else EMPTY_ROOT):
            raise ProofInvalid("roots differ")
        return
    # (1) An old tree that is complete is itself the first node; it is left out of the proof.
    hashes = [*proof] if old_size & (old_size - 1) else [old_root, *proof]
    if not proof:
        raise ProofInvalid("proof is empty")
    # (2) Begin at the root of the last complete subtree of the old tree.
    level = (~(old_size - 1) & old_size).bit_length() - 1
    node, last = (old_size - 1) >> level, (new_size - 1) >> level
    # (3) Fold both roots at once.
    old = new = hashes[0]
    for sibling, on_the_left in zip(hashes[1:], _sides(node, last, len(hashes) - 1), strict=True):
        if on_the_left:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
    # (4) Both must come out.
    if old != old_root or new != new_root:
        raise ProofInvalid("proof leads to other roots")


def _sides(node: int, last: int, length: int) -> list[bool]:
    """Return for each hash of a proof, from below, whether it is the left sibling; ProofInvalid for another length."""
    sides: list[bool] = []
    for _ in range(length):
        if last == 0:
            raise ProofInvalid("proof is too long")
        on_the_left = bool(node & 1) or node == last
        if on_the_left:
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        sides.append(on_the_left)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofInvalid("proof is too short")
    return sides


def _split(size: int) -> int:
    """Return the largest power of two below a size of at least 2."""
    return 1 << (size - 1).bit_length() - 1


def _range_root(start: int, end: int, hash_at: HashAt) -> bytes:
    size = end - start
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return hash_at(level, start >> level)
    middle = start + _split(size)
    return node_hash(_range_root(start, middle, hash_at), _range_root(middle, end, hash_at))
