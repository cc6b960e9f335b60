# SPDX-License-Identifier: Apache-2.0
"""One value, one spelling; this file is about canonical JSON: RFC 8785, restricted so that no two readers can differ.

Keys are ASCII (so that sorting by code point and by UTF-16 unit agree), values are strings, booleans, integers
of less than 2^53, lists and objects. There are no fractions and no null: an absent value is an absent key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import orjson

JSON: TypeAlias = "str | int | bool | Sequence[JSON] | Mapping[str, JSON]"

INTEGER_LIMIT = 2**53
DEPTH_MAX = 32


def canonical_bytes(value: JSON) -> bytes:
    """Return the canonical UTF-8 bytes of a value; ValueError when this restriction leaves its form out."""
    _check(value, 0)
    try:
        # Measured: orjson writes the escapes of RFC 8785, section 3.2.2.2; tests compare it with PyPI rfc8785.
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:  # a lone surrogate
        raise ValueError("not a canonical JSON value") from error


def parse_canonical(data: bytes) -> JSON:
    """Return the value whose canonical form these bytes are; ValueError for every other spelling."""
    value: JSON = orjson.loads(data)
    if canonical_bytes(value) != data:
        raise ValueError("not in canonical form")
    return value


def _check(value: object, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise ValueError("nested too deeply")
    if isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if not -INTEGER_LIMIT < value < INTEGER_LIMIT:
            raise ValueError("integer of 2^53 or more")
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise ValueError("key that is not ASCII text")
            _check(item, depth + 1)
    else:
        raise ValueError(f"no {type(value).__name__} in canonical JSON")  # noqa: TRY004 one exception for callers
