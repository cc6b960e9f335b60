# SPDX-License-Identifier: Apache-2.0
"""Numbers from records; this file is about an agency's exact totals of its own, and flow cells one by one.

Own totals of a product with cubes come from the cubes and the deltas that are not folded yet; others are summed
over the live records. A total is never summed over two units or definitions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Table, func, or_, select, union_all

from gateway.clock import format_instant
from gateway.errors import NotAPublishedTable
from gateway.storage.corrections import RETRACT
from gateway.storage.engine import Tx
from gateway.storage.products import product_table
from gateway.storage.tables import rollup, rollup_delta
from gateway.trip import CubeShape, Row, Scalar, TableShape

BY_MAX = 3
PERIOD = "period"
FETCH_ROWS = 2000


@dataclass(frozen=True, slots=True)
class OwnTotal:
    """One exact total: the values it is for, its count of records, and the sum of each summed field."""

    dimensions: dict[str, Scalar]
    records: int
    sums: dict[str, int]


@dataclass(frozen=True, slots=True)
class FlowCell:
    """A flow record that was live at the time asked for."""

    row: Row
    accepted_at: datetime
    revision: int


def own_totals(
    tx: Tx,
    shape: TableShape,
    *,
    partner_id: str,
    by: Sequence[str] = (),
    first_month: str | None = None,
    last_month: str | None = None,
) -> list[OwnTotal]:
    """Return a partner's exact totals of its live records, per unit and definition and `by` at most three fields.

    `by` may name `period`, the month; months are `2026-10`, both ends included.

    Raises:
        NotAPublishedTable: when `by` names too many fields, or some that are not kept.
    """
    if len(set(by)) > BY_MAX:
        raise NotAPublishedTable(what=f"at most {BY_MAX} dimensions")
    names = tuple(dict.fromkeys((*shape.units, *(PERIOD if name == shape.period_column else name for name in by))))
    months = (first_month or "", last_month or "9999-99")
    found = _from_cubes if shape.cubes else _from_records
    totals = found(tx, shape, partner_id, names, months)
    return sorted(totals, key=lambda total: [str(value) for value in total.dimensions.values()])


def flow_cells(
    tx: Tx,
    shape: TableShape,
    *,
    countries: Collection[str],
    first_month: str | None = None,
    last_month: str | None = None,
    as_of: datetime | None = None,
) -> Iterator[FlowCell]:
    """Yield the records of some reporting countries that are live now, or were at `as_of`, by period and key."""
    table = product_table(shape)
    c = table.c
    period = _month(shape, table)
    conditions = [c.reporting_country.in_(sorted(countries)), *_live(table, as_of)]
    if first_month is not None:
        conditions.append(period >= first_month)
    if last_month is not None:
        conditions.append(period <= last_month)
    statement = select(c.accepted_at, c.revision, *(c[name] for name in shape.column_names)).where(*conditions)
    order = [period, c.partner_id, *(c[name] for name in shape.natural_key), c[shape.id_column]]
    for found in tx.connection.execute(statement.order_by(*order).execution_options(yield_per=FETCH_ROWS)):
        yield FlowCell(tuple(found[2:]), datetime.fromisoformat(found[0]).astimezone(UTC), found[1])


def _live(table: Table, as_of: datetime | None) -> list[ColumnElement[bool]]:
    c = table.c
    live: list[ColumnElement[bool]] = []
    if "action" in c:
        live.append(or_(c.action.is_(None), c.action != RETRACT))
    if as_of is None:
        return [*live, c.superseded_by.is_(None)]
    at = format_instant(as_of)
    return [*live, c.accepted_at <= at, or_(c.superseded_at.is_(None), c.superseded_at > at)]


def _month(shape: TableShape, table: Table) -> ColumnElement[str]:
    return func.substr(table.c[shape.period_column], 1, 7)


def _from_records(
    tx: Tx, shape: TableShape, partner_id: str, names: tuple[str, ...], months: tuple[str, str]
) -> list[OwnTotal]:
    unknown = set(names) - {PERIOD, *shape.column_names}
    if unknown:
        raise NotAPublishedTable(what=", ".join(sorted(unknown)))
    table = product_table(shape)
    period = _month(shape, table)
    dimensions: list[ColumnElement[Any]] = [period if name == PERIOD else table.c[name] for name in names]
    sums = [func.sum(table.c[shape.measure])] if shape.measure else []
    statement = (
        select(func.count(), *sums, *dimensions)
        .where(table.c.partner_id == partner_id, *_live(table, None), period.between(*months))
        .group_by(*dimensions)
    )
    totals = []
    for found in tx.connection.execute(statement):
        values = dict(zip(names, found[1 + len(sums) :], strict=True))
        summed = {str(shape.measure): int(found[1] or 0)} if sums else {}
        if found[0]:
            totals.append(OwnTotal(values, int(found[0]), summed))
    return totals


def _from_cubes(
    tx: Tx, shape: TableShape, partner_id: str, names: tuple[str, ...], months: tuple[str, str]
) -> list[OwnTotal]:
    cube = _cube_for(shape, names)
    places = _places(shape, cube)
    sums: dict[tuple[Scalar, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for text, measure, value in tx.connection.execute(_cells(shape, partner_id, cube)):
        cell = orjson.loads(text)
        if months[0] <= cell[places[PERIOD]] <= months[1]:
            sums[tuple(cell[places[name]] for name in names)][measure] += int(value)
    return [
        OwnTotal(dict(zip(names, key, strict=True)), found.get("", 0), {name: found.get(name, 0) for name in cube.sums})
        for key, found in sums.items()
        if found.get("", 0)
    ]


def _cells(shape: TableShape, partner_id: str, cube: CubeShape) -> Any:
    both = union_all(
        *(
            select(t.c.cell, t.c.measure, t.c.value).where(
                t.c.partner_id == partner_id, t.c.product == shape.table_name, t.c.cube == cube.name
            )
            for t in (rollup, rollup_delta)
        )
    ).subquery()
    return select(both.c.cell, both.c.measure, func.sum(both.c.value)).group_by(both.c.cell, both.c.measure)


def _cube_for(shape: TableShape, names: tuple[str, ...]) -> CubeShape:
    for cube in sorted(shape.cubes, key=lambda cube: len(cube.dimensions)):
        if {PERIOD, *names} <= set(_places(shape, cube)):
            return cube
    raise NotAPublishedTable(what=", ".join(names))


def _places(shape: TableShape, cube: CubeShape) -> dict[str, int]:
    period = {shape.period_column, f"month({shape.period_column})"}
    return {PERIOD if name in period else name: place for place, name in enumerate(cube.dimensions)}
