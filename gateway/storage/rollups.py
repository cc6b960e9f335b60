# SPDX-License-Identifier: Apache-2.0
"""Small cubes for own totals; this file is about how accepted records move their cells.

SQLite adds to the cells at once. PostgreSQL appends delta rows, so that submissions never wait for each other's
cells, and `fold` adds them up later; readers sum both, so totals are exact at any time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from gateway.storage.bulk import copy_rows
from gateway.storage.engine import Tx
from gateway.storage.tables import rollup, rollup_delta
from gateway.trip import CubeShape, Row, TableShape

FOLD_DELTAS_MAX = 50_000
Cell = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Move:
    """Rows of one chunk that enter a partner's cubes, and rows that leave; `part` tells apart a submission's chunks."""

    partner_id: str
    submission_id: str
    part: int
    added: Sequence[Row]
    withdrawn: Sequence[Row] = ()


def move_cells(tx: Tx, shape: TableShape, moves: Sequence[Move]) -> None:
    """Add the rows of some moves to their partners' cubes, and take others out."""
    if tx.dialect == "postgresql":
        deltas = [
            (move.partner_id, shape.table_name, move.submission_id, move.part, *cell, value)
            for move in moves
            for cell, value in _moved(shape, [move])
        ]
        copy_rows(tx, rollup_delta.name, rollup_delta.c.keys(), deltas)
        return
    for partner_id in sorted({move.partner_id for move in moves}):
        fixed = {"partner_id": partner_id, "product": shape.table_name}
        moved = _moved(shape, [move for move in moves if move.partner_id == partner_id])
        rows = [
            {**fixed, "cube": cube, "cell": cell, "measure": measure, "value": value}
            for (cube, cell, measure), value in moved
        ]
        if rows:
            _upsert(tx, rows)


def fold(tx: Tx) -> int:
    """Add pending deltas to their cubes and return how many there were; any number of processes may run it."""
    c = rollup_delta.c
    keys = [c.partner_id, c.product, c.submission_id, c.part, c.cube, c.cell, c.measure]
    chosen = select(*keys).limit(FOLD_DELTAS_MAX).with_for_update(skip_locked=True).cte("chosen")
    same = [column == chosen.c[column.name] for column in keys]
    gone = delete(rollup_delta).where(*same).returning(*keys, c.value).cte("gone")
    names = ["partner_id", "product", "cube", "cell", "measure"]
    grouped = [gone.c[name] for name in names]
    total = select(*grouped, func.sum(gone.c.value).label("value"), func.count().label("deltas")).group_by(*grouped)
    rows = [dict(row) for row in tx.connection.execute(total.order_by(*grouped)).mappings()]
    count = sum(int(row.pop("deltas")) for row in rows)
    if rows:
        _upsert(tx, [{**row, "value": int(row["value"])} for row in rows])
    return count


def _moved(shape: TableShape, moves: Iterable[Move]) -> list[tuple[Cell, int]]:
    """Return by how much each cell changes; sorted, because upserts in different orders deadlock."""
    cells: Counter[Cell] = Counter()
    for move in moves:
        for cube in shape.cubes:
            _count(shape, cube, move.added, 1, cells)
            _count(shape, cube, move.withdrawn, -1, cells)
    return sorted((cell, value) for cell, value in cells.items() if value)


def _upsert(tx: Tx, rows: Sequence[dict[str, object]]) -> None:
    tx.connection.execute(_upsert_into(tx.dialect), rows)


@cache
def _upsert_into(dialect: str) -> Any:
    statement: Any = (postgresql if dialect == "postgresql" else sqlite).insert(rollup)
    return statement.on_conflict_do_update(
        index_elements=list(rollup.primary_key.columns), set_={"value": rollup.c.value + statement.excluded.value}
    )


def _count(shape: TableShape, cube: CubeShape, rows: Sequence[Row], sign: int, cells: Counter[Cell]) -> None:
    if not rows:
        return
    names = shape.column_names
    dimensions = [_dimension(names, dimension, rows) for dimension in cube.dimensions]
    keys = list(zip(*dimensions, strict=True))
    texts = {key: orjson.dumps(key).decode() for key in set(keys)}
    for key, count in Counter(keys).items():
        cells[cube.name, texts[key], ""] += sign * count
    for measure in cube.sums:
        place = names.index(measure)
        for key, row in zip(keys, rows, strict=True):
            value = row[place]
            if value:
                cells[cube.name, texts[key], measure] += sign * int(value)


def _dimension(names: tuple[str, ...], dimension: str, rows: Sequence[Row]) -> Iterable[object]:
    if dimension.startswith("month("):
        place = names.index(dimension[len("month(") : -1])
        return [str(row[place])[:7] for row in rows]
    place = names.index(dimension)
    return [row[place] for row in rows]
