# SPDX-License-Identifier: Apache-2.0
"""Each line provably the sender's; this file is about the Gateway-Records field: number of lines and their root."""

from __future__ import annotations

from typing import Final

from gateway.wire.merkle import HASH_BYTES
from gateway.wire.structured import parse_dictionary, serialize_bytes

RECORDS_HEADER: Final = "Gateway-Records"


def format_records(count: int, root: bytes) -> str:
    """Write the field, `count=2, root=:…:`."""
    return f"count={count}, root={serialize_bytes(root)}"


def parse_records(value: str) -> tuple[int, bytes]:
    """Return count and root.

    Raises:
        ValueError: when the field is anything but these two.
    """
    members = parse_dictionary(value)
    if members.keys() != {"count", "root"} or any(parameters for _, parameters in members.values()):
        raise ValueError("the field has count and root")
    count, root = members["count"][0], members["root"][0]
    if type(count) is not int or count < 0 or not isinstance(root, bytes) or len(root) != HASH_BYTES:
        raise ValueError("count is an integer and root 32 bytes")
    return count, root
