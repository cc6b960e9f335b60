# SPDX-License-Identifier: Apache-2.0
"""Numbers from records; this file is about an agency's exact totals of its own, and published cells one by one.

Own totals of a product with cubes come from the cubes and the deltas that are not folded yet; others are summed
over the live records. A total is never summed over two units or definitions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    String,
    Table,
    and_,
    any_,
    bindparam,
    cast,
    func,
    or_,
    select,
    true,
    union_all,
)

from gateway.clock import format_instant
from gateway.errors import NotAPublishedTable
from gateway.storage.corrections import RETRACT
from gateway.storage.engine import Tx
from gateway.storage.products import product_table
from gateway.storage.publication import NOT_SERVED, cell_tables, series_fields
from gateway.storage.tables import rollup, rollup_delta
from gateway.trip import CubeShape, Scalar, TableShape

BY_MAX = 3
PERIOD = "period"
# Versions that are read at a time, of which each series has about one a month.
CELLS_PER_STATEMENT = 40_000
MONTHS_MAX = 80


@dataclass(frozen=True, slots=True)
class OwnTotal:
    """One exact total: the values it is for, its count of records, and the sum of each summed field."""

    dimensions: dict[str, Scalar]
    records: int
    sums: dict[str, int]


@dataclass(frozen=True, slots=True)
class CellsAsked:
    """Which published cells: of which countries, by codes of a series, by month, as of which day, for which reader.

    `keys` are alternatives in the order of a series' fields (an empty set takes any code); `conditions` are field,
    codes, and whether it must be none of them. `today` is when a suppression for a while is looked at.
    """

    countries: frozenset[str]
    day: str
    today: str
    reader: str
    first_month: str = "0000-01"
    last_month: str = "9999-12"
    months: frozenset[str] = frozenset()
    keys: tuple[tuple[frozenset[str], ...], ...] = ()
    conditions: tuple[tuple[str, frozenset[str], bool], ...] = ()
    updated_after: datetime | None = None
    history: bool = False


class ServedCell(NamedTuple):
    """One version of a number as it is served: `value` is None where it is withheld, and `withheld` says why.

    `valid_to` is empty while no later version stands.
    """

    key: str
    period: str
    value: int | None
    status: str
    confidentiality: str
    withheld: str
    attributes: str
    revision: int
    partner_id: str
    record_id: str
    accepted_at: str
    valid_from: str
    valid_to: str


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


def served_cells(tx: Tx, shape: TableShape, asked: CellsAsked, admits: Callable[[str], bool]) -> Iterator[ServedCell]:
    """Yield published cells, series by series with ascending months, a month's versions oldest first.

    The series first, and of those that `admits` (by key) some at a time: a planner that starts at the cells reads all.
    """
    series, cell, _ = cell_tables(shape)
    wanted = select(series.c.id, series.c.key).where(*_of_series(series, shape, asked)).order_by(series.c.key)
    found = [(one, key) for one, key in tx.connection.execute(wanted).all() if admits(key)]
    c = cell.c
    columns = (
        *(c.series_id, c.period, c.value, c.status, c.confidentiality, c.suppression, c.until, c.hidden_from),
        *(c.attributes, c.revision, c.partner_id, c.record_id, c.accepted_at, c.valid_from, c.valid_to),
    )
    statement = select(*columns).where(_one_of(tx, c.series_id), *_of_cells(cell, asked))
    count = CELLS_PER_STATEMENT // _months(asked)
    for start in range(0, len(found), count):
        some = dict(found[start : start + count])
        # As text to PostgreSQL: the driver writes an array number by number.
        ids = list(some) if tx.dialect == "sqlite" else "{" + ",".join(map(str, some)) + "}"
        rows = tx.connection.execute(statement, {"ids": ids}).all()
        of_series: dict[int, list[Any]] = defaultdict(list)
        for row in rows:
            of_series[row[0]].append(row)
        for one, key in some.items():
            # By month, then by acceptance and revision.
            for row in sorted(of_series.get(one, ()), key=itemgetter(1, 12, 9)):
                yield _served(key, row, asked)


def _months(asked: CellsAsked) -> int:
    """Return how many months are asked for, of many no more than MONTHS_MAX."""
    if asked.months:
        return min(len(asked.months), MONTHS_MAX)
    first, last = (int(month[:4]) * 12 + int(month[5:7]) for month in (asked.first_month, asked.last_month))
    return min(max(last - first + 1, 1), MONTHS_MAX)


def _one_of(tx: Tx, column: ColumnElement[int]) -> ColumnElement[bool]:
    """Return that a column is one of `ids`: that many single parameters would take longer than the cells."""
    if tx.dialect == "postgresql":
        return column == any_(cast(bindparam("ids", type_=String), ARRAY(BigInteger)))
    ids: Any = bindparam("ids", expanding=True, literal_execute=True)
    return column.in_(ids)


def _of_series(series: Table, shape: TableShape, asked: CellsAsked) -> list[ColumnElement[bool]]:
    s = series.c
    conditions: list[ColumnElement[bool]] = [s.reporting_country.in_(sorted(asked.countries))]
    for name, codes, negated in asked.conditions:
        conditions.append(s[name].not_in(sorted(codes)) if negated else s[name].in_(sorted(codes)))
    if asked.keys:
        alternatives = [
            [s[name].in_(sorted(codes)) for name, codes in zip(series_fields(shape), key, strict=True) if codes]
            for key in asked.keys
        ]
        conditions.append(or_(*(and_(true(), *each) for each in alternatives)))
    return conditions


def _of_cells(cell: Table, asked: CellsAsked) -> list[ColumnElement[bool]]:
    c = cell.c
    conditions: list[ColumnElement[bool]] = [
        c.period >= asked.first_month,
        c.period <= asked.last_month,
        c.suppression != NOT_SERVED,
        c.valid_from <= asked.day,
    ]
    if not asked.history:
        conditions.append(or_(c.valid_to.is_(None), c.valid_to > asked.day))
    if asked.months:
        conditions.append(c.period.in_(sorted(asked.months)))
    if asked.updated_after:
        # The end of an embargo is news as well, however long ago the number came.
        later = c.valid_from > asked.updated_after.date().isoformat()
        conditions.append(or_(c.accepted_at > format_instant(asked.updated_after), later))
    return conditions


def _served(key: str, row: Any, asked: CellsAsked) -> ServedCell:
    _, period, value, status, confidentiality, withheld, until, hidden_from, attributes, *rest = row
    if withheld and until and until <= asked.today:
        withheld = ""
    if hidden_from and not withheld:
        withheld = hidden_from.partition(f" {asked.reader}:")[2][:1]
    revision, partner_id, record_id, accepted_at, valid_from, valid_to = rest
    if not valid_to or valid_to > asked.day:
        # That a later version waits for its day is nobody's to know.
        valid_to = ""
    shown = None if withheld else value
    about = (key, period, shown, status, confidentiality, withheld, attributes)
    return ServedCell(*about, revision, partner_id, record_id, accepted_at, valid_from, valid_to)


def _live(table: Table) -> list[ColumnElement[bool]]:
    c = table.c
    live: list[ColumnElement[bool]] = [c.superseded_by.is_(None)]
    return [*live, or_(c.action.is_(None), c.action != RETRACT)] if "action" in c else live


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
        .where(table.c.partner_id == partner_id, *_live(table), period.between(*months))
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
