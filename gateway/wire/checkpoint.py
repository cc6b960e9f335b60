# SPDX-License-Identifier: Apache-2.0
"""The log at one size; this file is about the text of a checkpoint (C2SP tlog-checkpoint): origin, tree size, root.

Extension lines are not used, and are refused: no monitor could check them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.wire.digests import b64, unb64
from gateway.wire.merkle import EMPTY_ROOT, HASH_BYTES

_SIZE_LIMIT: Final = 2**63
_LINES: Final = 4  # and nothing behind the last newline


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself: who it is, how many leaves it has, and their root."""

    origin: str
    tree_size: int
    root: bytes


def format_checkpoint(origin: str, tree_size: int, root: bytes) -> str:
    """Write the text that a log signs."""
    return f"{origin}\n{tree_size}\n{b64(root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint; ValueError when it is malformed or says more than the three lines."""
    lines = text.split("\n")
    if len(lines) != _LINES or lines[-1] or not lines[0]:
        raise ValueError("a checkpoint has three lines")
    origin, size, root = lines[0], lines[1], unb64(lines[2])
    if not (size.isascii() and size.isdecimal() and str(int(size[:20])) == size):
        raise ValueError("not a tree size")
    if int(size) >= _SIZE_LIMIT or len(root) != HASH_BYTES or (size == "0" and root != EMPTY_ROOT):
        raise ValueError("not the head of a tree")
    return Checkpoint(origin, int(size), root)
