# SPDX-License-Identifier: Apache-2.0
"""The sequencer's edge; this file is about its agreement with the tree of RFC 6962 at every size that matters."""

from __future__ import annotations

import hashlib

import pytest

from gateway.auditlog.edge import Edge, parse_edge
from gateway.wire.merkle import root_of
from gateway.wire.tiles import tile_width

SIZES = (0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537)
HASHES = [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(max(SIZES))]


def test_the_edge_has_the_root_of_the_tree_at_every_boundary_of_tiles() -> None:
    edge = Edge()
    roots = {0: edge.root()}
    for hash_ in HASHES:
        edge.append(hash_)
        if edge.size in SIZES:
            roots[edge.size] = edge.root()

    assert roots == {size: root_of(HASHES[:size]) for size in SIZES}


def test_an_edge_that_was_written_and_read_goes_on_as_if_nothing_had_been() -> None:
    whole, resumed = Edge(), Edge()
    full_whole, full_resumed = [], []
    for start in range(0, 66_000, 1000):
        resumed = parse_edge(resumed.size, resumed.to_bytes())
        for hash_ in HASHES[start : start + 1000]:
            full_whole += whole.append(hash_)
            full_resumed += resumed.append(hash_)

    assert resumed == whole
    assert full_resumed == full_whole
    assert [(tile.level, tile.index) for tile in full_whole][-2:] == [(0, 255), (1, 0)]


@pytest.mark.parametrize("size", SIZES)
def test_the_edge_keeps_at_most_255_hashes_a_level(size: int) -> None:
    edge = Edge()
    for hash_ in HASHES[:size]:
        edge.append(hash_)

    for level, hashes in enumerate(edge.levels):
        assert len(hashes) == tile_width(level, size >> (8 * (level + 1)), size) < 256


def test_an_edge_of_another_size_is_not_read() -> None:
    edge = Edge()
    for hash_ in HASHES[:300]:
        edge.append(hash_)

    assert parse_edge(300, edge.to_bytes()).root() == edge.root()
    for size in (0, 299, 301, 65_836):
        with pytest.raises(ValueError, match=r"edge|tile"):
            parse_edge(size, edge.to_bytes())
