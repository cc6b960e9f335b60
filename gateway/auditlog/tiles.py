# SPDX-License-Identifier: Apache-2.0
"""What anyone may fetch of the log; this file is about checkpoint, tiles and entry bundles (C2SP tlog-tiles).

Only what the newest signed checkpoint covers is served. Full tiles are rows; a partial tile is derived from the
head's edge, of which it is a beginning, because a perfect subtree never changes.
"""

from __future__ import annotations

from gateway.auditlog.edge import parse_edge
from gateway.errors import NotFound
from gateway.storage import log
from gateway.storage.engine import Tx
from gateway.wire.merkle import HASH_BYTES, HashAt
from gateway.wire.tiles import LEVEL_MAX, TILE_HEIGHT, TILE_WIDTH, entry_bundle, hash_reader, tile_width


class TreeReader:
    """The tiles of the tree as one transaction sees it."""

    def __init__(self, tx: Tx) -> None:
        """Read the head first: a tile that is full by this head is a row in every later statement."""
        self._tx = tx
        head = log.get_head(tx)
        self.size = head.size
        self._edge = parse_edge(head.size, head.edge)
        self.hash_at: HashAt = hash_reader(self.tile)

    def tile(self, level: int, index: int) -> bytes:
        """Return all hashes that a tile has by now.

        Raises:
            LookupError: when a full tile is missing.
        """
        if index == self.size >> (TILE_HEIGHT * (level + 1)):
            return self._edge.partial(level)
        return log.get_tile(self._tx, level=level, index=index)


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
    _require_covered(tx, level=level, index=index, width=width)
    hashes = TreeReader(tx).tile(level, index)[: width * HASH_BYTES]
    assert len(hashes) == width * HASH_BYTES
    return hashes


def entries_bytes(tx: Tx, *, index: int, width: int = TILE_WIDTH) -> bytes:
    """Return the bundle of `width` entries that starts at leaf `256 * index`.

    Raises:
        NotFound: when the newest signed checkpoint does not cover them.
    """
    _require_covered(tx, level=0, index=index, width=width)
    start = index * TILE_WIDTH
    leaves = log.leaves(tx, start, start + width)
    assert len(leaves) == width
    return entry_bundle([leaf.entry for leaf in leaves])


def _require_covered(tx: Tx, *, level: int, index: int, width: int) -> None:
    newest = log.latest_checkpoint(tx)
    if newest is None or not 0 <= level <= LEVEL_MAX or index < 0:
        raise NotFound
    if not 1 <= width <= tile_width(level, index, newest.tree_size):
        raise NotFound
