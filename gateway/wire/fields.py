# SPDX-License-Identifier: Apache-2.0
"""Strict reading of header fields; this file is about structured field dictionaries (RFC 9651) and Gateway-Records.

The grammar is the library's. Where the RFC lets the last of two equal keys win, this reading refuses both:
what a proxy, a log and this gateway read must be the same. Gateway-Records has the number of lines and their
Merkle root, so that each line is provably the sender's.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn, TypeAlias

import http_sf

from gateway.wire.merkle import HASH_BYTES

FIELD_BYTES_MAX: Final = 8192

Parameters: TypeAlias = dict[str, Any]
# A bare item or the items of an inner list, with the parameters of the whole.
Member: TypeAlias = tuple[Any, Parameters]


def parse_dictionary(value: str) -> dict[str, Member]:
    """Return the members of a dictionary field.

    Raises:
        ValueError: when it is malformed, too long, not ASCII, or names a key or parameter twice.
    """
    if len(value) > FIELD_BYTES_MAX:
        raise ValueError("field is too long")
    parsed: Any
    try:
        parsed = http_sf.parse(value.encode("ascii"), tltype="dictionary", on_duplicate_key=_refuse_duplicate)
    except http_sf.StructuredFieldError as error:
        raise ValueError("not a structured dictionary") from error
    members: dict[str, Member] = parsed
    return members


def serialize_bytes(value: bytes) -> str:
    """Write a byte sequence, `:…:`."""
    return http_sf.ser(value)


def format_records(count: int, root: bytes) -> str:
    """Write Gateway-Records, `count=2, root=:…:`."""
    return f"count={count}, root={serialize_bytes(root)}"


def parse_records(value: str) -> tuple[int, bytes]:
    """Return count and root of Gateway-Records; ValueError when the field is anything but these two."""
    members = parse_dictionary(value)
    if members.keys() != {"count", "root"} or any(parameters for _, parameters in members.values()):
        raise ValueError("the field has count and root")
    count, root = members["count"][0], members["root"][0]
    if type(count) is not int or count < 0 or not isinstance(root, bytes) or len(root) != HASH_BYTES:
        raise ValueError("count is an integer and root 32 bytes")
    return count, root


def _refuse_duplicate(key: str, kind: str) -> NoReturn:
    raise ValueError(f"{kind} {key} appears twice")
