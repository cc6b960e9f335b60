# SPDX-License-Identifier: Apache-2.0
"""Paths and bundles; this file is about tiles as the C2SP specification spells them."""

from __future__ import annotations

import pytest

from gateway.wire.tiles import (
    TileRef,
    entry_bundle,
    parse_tile_path,
    split_bundle,
    split_tile,
    tile_path,
    tile_root,
)


def test_the_path_of_the_specification() -> None:
    """C2SP tlog-tiles: index 1234067 is x001/x234/067."""
    assert tile_path(0, 1_234_067) == "tile/0/x001/x234/067"
    assert tile_path(0, 1_234_067, 12) == "tile/0/x001/x234/067.p/12"
    assert (tile_path(5, 0), tile_path(1, 999), tile_path(1, 1000)) == ("tile/5/000", "tile/1/999", "tile/1/x001/000")
    assert tile_path(None, 7, 3) == "tile/entries/007.p/3"
    assert parse_tile_path("tile/entries/x001/234") == TileRef(None, 1234)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/00/001",
        "tile/64/001",
        "tile/-1/001",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/01",
        "tile/0/001.p/257",
        "tile/0/001/002",
        "tile/0/x001",
        "tile/entries/001.p",
        "tile/0/001\n",
        "/tile/0/001",
        "tile/0/../001",
        "tile/0/٠٠١",
        "tile/entries/0/001",
    ],
)
def test_any_other_spelling_is_no_tile(path: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_tile_path(path)


@pytest.mark.parametrize("width", [0, -1, 257])
def test_no_tile_has_such_a_width(width: int) -> None:
    with pytest.raises(ValueError, match="width"):
        tile_path(0, 0, width)


def test_a_bundle_is_entries_behind_their_lengths() -> None:
    assert entry_bundle([b"ab", b"", b"c"]) == b"\x00\x02ab\x00\x00\x00\x01c"
    assert split_bundle(b"\x00\x02ab\x00\x00\x00\x01c") == (b"ab", b"", b"c")
    assert split_bundle(entry_bundle([b"x" * 65_535]))[0] == b"x" * 65_535


@pytest.mark.parametrize("entries", [[], [b"x" * 65_536], [b""] * 257])
def test_a_bundle_has_bounds(entries: list[bytes]) -> None:
    with pytest.raises(ValueError, match="entries"):
        entry_bundle(entries)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x02a", b"\x00\x01ab", b"\x00\x00" * 257])
def test_bytes_that_do_not_end_with_an_entry_are_no_bundle(data: bytes) -> None:
    with pytest.raises(ValueError, match="bundle"):
        split_bundle(data)


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(33), bytes(32 * 257)])
def test_bytes_of_another_length_are_no_tile(data: bytes) -> None:
    with pytest.raises(ValueError, match="tile"):
        split_tile(data)


@pytest.mark.parametrize("count", [0, 3, 255])
def test_only_a_power_of_two_of_hashes_is_a_complete_subtree(count: int) -> None:
    with pytest.raises(ValueError, match="subtree"):
        tile_root([bytes(32)] * count)
