# SPDX-License-Identifier: Apache-2.0
"""Strict reading of header fields; this file is about structured field dictionaries (RFC 9651) within bounds.

The grammar is the library's. Where the RFC lets the last of two equal keys win, this reading refuses both:
what a proxy, a log and this gateway read must be the same.
"""

from __future__ import annotations

from typing import Any, NoReturn, TypeAlias

import http_sf

FIELD_BYTES_MAX = 8192

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


def _refuse_duplicate(key: str, kind: str) -> NoReturn:
    raise ValueError(f"{kind} {key} appears twice")
