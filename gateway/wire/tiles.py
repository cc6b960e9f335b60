# SPDX-License-Identifier: Apache-2.0
"""The log as files; this file is about tiles and entry bundles as in C2SP tlog-tiles: paths, widths and bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

from gateway.wire.merkle import HASH_BYTES, HashAt, node_hash

TILE_WIDTH: Final = 256
TILE_HEIGHT: Final = 8
LEVEL_MAX: Final = 63
ENTRY_BYTES_MAX: Final = 65_535
_LENGTH_BYTES: Final = 2

_PATH: Final = re.compile(
    r"tile/(?:entries|(?P<level>0|[1-9][0-9]?))/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True)
class TileRef:
    """Which tile, or for level None which entry bundle; a width below 256 makes it partial."""

    level: int | None
    index: int
    width: int = TILE_WIDTH


def tile_path(level: int | None, index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a hash tile, `tile/0/x001/x234/067.p/12`, or of an entry bundle, `tile/entries/000`."""
    if not 0 < width <= TILE_WIDTH:
        raise ValueError("no such width")
    thousands, last = divmod(index, 1000)
    groups = f"{last:03}"
    while thousands:
        thousands, group = divmod(thousands, 1000)
        groups = f"x{group:03}/{groups}"
    return f"tile/{'entries' if level is None else level}/{groups}" + ("" if width == TILE_WIDTH else f".p/{width}")


def parse_tile_path(path: str) -> TileRef:
    """Return what a path names; ValueError when it is not the one spelling of a tile or bundle."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise ValueError("not a tile path")
    level = None if match["level"] is None else int(match["level"])
    index, width = int(match["index"].replace("x", "").replace("/", "")), int(match["width"] or TILE_WIDTH)
    # Written again it must be the same: `x000/001` would be a second name of tile 1.
    if tile_path(level, index, width) != path or (level or 0) > LEVEL_MAX:
        raise ValueError("not a tile path")
    return TileRef(level, index, width)


def tile_width(level: int, index: int, tree_size: int) -> int:
    """Return how many hashes a tile has in a tree of a size: 0 when it does not exist, 256 when it is full."""
    hashes = tree_size >> (TILE_HEIGHT * level)
    return max(0, min(TILE_WIDTH, hashes - index * TILE_WIDTH))


def split_tile(data: bytes) -> tuple[bytes, ...]:
    """Return the hashes of a tile; ValueError when the length is not that of 1 to 256 hashes."""
    if not 0 < len(data) <= TILE_WIDTH * HASH_BYTES or len(data) % HASH_BYTES:
        raise ValueError("not a tile")
    return tuple(data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES))


def tile_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over a power of two of neighbouring hashes, such as those of a full tile."""
    row = list(hashes)
    if not row or len(row) & (len(row) - 1):
        raise ValueError("not a complete subtree")
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def entry_bundle(entries: Sequence[bytes]) -> bytes:
    """Return 1 to 256 entries as a bundle: each behind its length as two bytes, big-endian, or raise ValueError."""
    if not 0 < len(entries) <= TILE_WIDTH or any(len(entry) > ENTRY_BYTES_MAX for entry in entries):
        raise ValueError("too many entries, or too long")
    return b"".join(len(entry).to_bytes(_LENGTH_BYTES, "big") + entry for entry in entries)


def split_bundle(data: bytes) -> tuple[bytes, ...]:
    """Return the 1 to 256 entries of a bundle; ValueError when the bytes do not end where an entry ends."""
    ends = [0]
    while ends[-1] < len(data) and len(ends) <= TILE_WIDTH:
        start = ends[-1] + _LENGTH_BYTES
        ends.append(start + int.from_bytes(data[ends[-1] : start], "big"))
    if ends[-1] != len(data) or len(ends) == 1:
        raise ValueError("not an entry bundle")
    return tuple(data[start + _LENGTH_BYTES : end] for start, end in pairwise(ends))


def hash_reader(read_tile: Callable[[int, int], bytes]) -> HashAt:
    """Return `hash_at` for proofs over tiles; `read_tile(level, index)` gives the bytes of the widest such tile.

    A tile is read once. The reader lives as long as one proof or walk.
    """
    read = cache(lambda level, index: split_tile(read_tile(level, index)))

    def hash_at(level: int, index: int) -> bytes:
        tile_level, inner = divmod(level, TILE_HEIGHT)
        tile_index, first = divmod(index << inner, TILE_WIDTH)
        hashes = read(tile_level, tile_index)[first : first + (1 << inner)]
        if len(hashes) != 1 << inner:
            raise ValueError("the tile is too narrow for this tree")
        return tile_root(hashes)

    return hash_at
