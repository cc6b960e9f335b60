# SPDX-License-Identifier: Apache-2.0
"""A record as columns; this file is about the way from a record to its row, and back to its canonical line.

Only rows are stored. The canonical line is rebuilt from them, and its leaf hash proves that nothing was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

import orjson

from gateway.trip import Row, TableShape


def row_maker(shape: TableShape) -> Callable[[Mapping[str, Any]], Row]:
    """Return a function from a valid record to its row; an absent optional field becomes None."""
    required = tuple(column.name for column in shape.columns if column.required)
    optional = tuple(column.name for column in shape.columns if not column.required)
    assert shape.column_names == required + optional, "required columns come first"
    take = itemgetter(*required)
    if not optional:
        return take

    def row(record: Mapping[str, Any]) -> Row:
        get = record.get
        whole: Row = take(record) + tuple([get(name) for name in optional])
        return whole

    return row


def canonical_line(row: Row, shape: TableShape) -> bytes:
    """Return the canonical line that a row was made from."""
    record = {name: value for name, value in zip(shape.column_names, row, strict=True) if value is not None}
    return orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
