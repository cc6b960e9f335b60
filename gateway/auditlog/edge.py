# SPDX-License-Identifier: Apache-2.0
"""The growing side of the tree; this file is about the right edge: the hashes of the tiles that are not full yet.

At tile level L the edge holds the `(size >> 8L) mod 256` hashes of its partial tile, so the size alone says how its
bytes are divided. A full tile leaves the edge for the tile table and its root joins the level above: what an append
costs does not depend on how large the tree is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.wire.merkle import EMPTY_ROOT, HASH_BYTES, node_hash
from gateway.wire.tiles import TILE_HEIGHT, TILE_WIDTH, split_tile, tile_root


@dataclass(frozen=True, slots=True)
class FullTile:
    """256 hashes that will never change again."""

    level: int
    index: int
    hashes: bytes


@dataclass(slots=True)
class Edge:
    """The tree's size and partial tiles; level 0 holds leaf hashes."""

    size: int = 0
    levels: list[list[bytes]] = field(default_factory=list)

    def append(self, leaf_hash: bytes) -> list[FullTile]:
        """Add a leaf and return the tiles that it filled, lowest level first."""
        self.size += 1
        full: list[FullTile] = []
        rising = leaf_hash
        for level in range(len(self.levels) + 1):
            if level == len(self.levels):
                self.levels.append([])
            self.levels[level].append(rising)
            if len(self.levels[level]) < TILE_WIDTH:
                break
            index = (self.size >> (TILE_HEIGHT * (level + 1))) - 1
            full.append(FullTile(level=level, index=index, hashes=b"".join(self.levels[level])))
            rising = tile_root(self.levels[level])
            self.levels[level] = []
        return full

    def root(self) -> bytes:
        """Return the RFC 6962 root: the perfect subtrees folded from the right."""
        root: bytes | None = None
        for hashes in self.levels:
            for peak in _peaks(hashes):
                root = peak if root is None else node_hash(peak, root)
        return EMPTY_ROOT if root is None else root

    def partial(self, level: int) -> bytes:
        """Return the hashes of a level's partial tile; none when there is no such level."""
        return b"".join(self.levels[level]) if level < len(self.levels) else b""

    def to_bytes(self) -> bytes:
        """Write all levels one after the other, as the head row keeps them."""
        return b"".join(hash_ for hashes in self.levels for hash_ in hashes)


def parse_edge(size: int, data: bytes) -> Edge:
    """Read what `Edge.to_bytes` wrote for a tree of that size.

    Raises:
        ValueError: when size and bytes do not belong together.
    """
    levels: list[list[bytes]] = []
    offset, rest = 0, size
    while rest:
        end = offset + (rest % TILE_WIDTH) * HASH_BYTES
        levels.append(list(split_tile(data[offset:end])) if end > offset else [])
        offset, rest = end, rest >> TILE_HEIGHT
    if offset != len(data):
        raise ValueError(f"an edge of {len(data)} bytes does not belong to {size} leaves")
    return Edge(size=size, levels=levels)


def _peaks(hashes: list[bytes]) -> list[bytes]:
    """Return the roots of the perfect subtrees of a partial tile, the rightmost (smallest) first."""
    peaks: list[bytes] = []
    end = len(hashes)
    while end:
        span = end & -end
        peaks.append(tile_root(hashes[end - span : end]))
        end -= span
    return peaks
