# SPDX-License-Identifier: Apache-2.0
"""What anyone may fetch of the log; this file is about checkpoint, tiles and entry bundles (C2SP tlog-tiles).

Only what the newest signed checkpoint covers is served. Full tiles are rows; a partial tile is derived from the
head's edge, of which it is a beginning, because a perfect subtree never changes.
"""

from __future__ import annotations

from gateway.auditlog.edge import HASH_BYTES, TILE_HEIGHT, TILE_WIDTH, parse_edge, perfect_root, split_hashes
from gateway.errors import NotFound
from gateway.storage import log
from gateway.storage.engine import Tx
from gateway.wire.tiles import entry_bundle

# 2**64 leaves.
TILE_LEVEL_MAX = 7


class TreeReader:
    """The hashes of the tree as one transaction sees it, through tiles: O(log n) reads for a proof."""

    def __init__(self, tx: Tx) -> None:
        """Read the head first: a tile that is full by this head is a row in every later statement."""
        self._tx = tx
        head = log.get_head(tx)
        self.size = head.size
        self._edge = parse_edge(head.size, head.edge)
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def hash_at(self, level: int, index: int) -> bytes:
        """Return the hash of the perfect subtree `index` of `2**level` leaves."""
        tile_level, height = divmod(level, TILE_HEIGHT)
        start = index << height
        tile_index, offset = divmod(start, TILE_WIDTH)
        hashes = self._tile(tile_level, tile_index)[offset : offset + (1 << height)]
        if len(hashes) < 1 << height:
            raise LookupError(f"the tree of {self.size} leaves has no perfect subtree {index} at level {level}")
        return perfect_root(hashes)

    def tile(self, level: int, index: int, width: int) -> bytes:
        """Return the first `width` hashes of a tile.

        Raises:
            LookupError: when the tree has fewer.
        """
        hashes = self._tile(level, index)
        if len(hashes) < width:
            raise LookupError(f"tile {level}/{index} has {len(hashes)} hashes")
        return b"".join(hashes[:width])

    def _tile(self, level: int, index: int) -> list[bytes]:
        key = (level, index)
        if key not in self._tiles:
            if index == self.size >> (TILE_HEIGHT * (level + 1)):
                self._tiles[key] = split_hashes(self._edge.partial(level))
            else:
                self._tiles[key] = split_hashes(log.get_tile(self._tx, level=level, index=index))
        return self._tiles[key]


def checkpoint_bytes(tx: Tx) -> bytes:
    """Return the newest signed checkpoint.

    Raises:
        NotFound: before the first one.
    """
    newest = log.latest_checkpoint(tx)
    if newest is None or newest.note is None:
        raise NotFound
    return newest.note.encode()


def tile_bytes(tx: Tx, *, level: int, index: int, width: int = TILE_WIDTH) -> bytes:
    """Return `width` hashes of a tile.

    Raises:
        NotFound: when the newest signed checkpoint does not cover them.
    """
    if not 0 <= level <= TILE_LEVEL_MAX:
        raise NotFound
    _require_covered(tx, subtree_leaves=1 << (TILE_HEIGHT * level), index=index, width=width)
    hashes = TreeReader(tx).tile(level, index, width)
    assert len(hashes) == width * HASH_BYTES
    return hashes


def entries_bytes(tx: Tx, *, index: int, width: int = TILE_WIDTH) -> bytes:
    """Return the bundle of `width` entries that starts at leaf `256 * index`.

    Raises:
        NotFound: when the newest signed checkpoint does not cover them.
    """
    _require_covered(tx, subtree_leaves=1, index=index, width=width)
    start = index * TILE_WIDTH
    leaves = log.leaves(tx, start, start + width)
    assert len(leaves) == width
    return entry_bundle([leaf.entry for leaf in leaves])


def _require_covered(tx: Tx, *, subtree_leaves: int, index: int, width: int) -> None:
    newest = log.latest_checkpoint(tx)
    if newest is None or not 1 <= width <= TILE_WIDTH or index < 0:
        raise NotFound
    if (index * TILE_WIDTH + width) * subtree_leaves > newest.tree_size:
        raise NotFound
