# SPDX-License-Identifier: Apache-2.0
"""What statistics are served from; this file is about published cells: their tables, and how a vintage gets into them.

A *series* is a cell without its month, a *cell* one version of its number with all that was decided about it when its
vintage was accepted. Ids of series are digests of their keys, so that nobody has to look one up. `valid_from` is the
agency's own day of release (or the end of its embargo), `accepted_at` the gateway's; a later version closes both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
    and_,
    bindparam,
    func,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from gateway.clock import format_instant
from gateway.identifiers import first_id, id_instant
from gateway.storage.engine import Tx
from gateway.storage.products import product_table, text_type
from gateway.storage.tables import IS_FLOW, partner, submission
from gateway.trip import Row, TableShape

# A commit may be later than the id that was made in its transaction; nobody's transaction takes longer.
LATE = timedelta(hours=1)
FAMILIES_PER_STATEMENT = 200
NOT_SERVED = "N"
# What a later vintage may change of a cell.
DECIDED = ("suppression", "until", "hidden_from", "closed_at", "valid_to")


class CellTables(NamedTuple):
    """The tables of one product."""

    series: Table
    cell: Table
    vintage: Table


@dataclass(frozen=True, slots=True)
class Series:
    """A cell without its month: `codes` by field, `family` what cells must share to add up to each other."""

    key: str
    family: str
    codes: Mapping[str, str]

    @property
    def id(self) -> int:
        """Return the id that the key makes."""
        return int.from_bytes(hashlib.sha256(self.key.encode()).digest()[:8], "big") >> 1


@dataclass(slots=True)
class Cell:
    """One version of a number; `suppression` is empty where it is served, `N` where it is not even there.

    `until` is the day when a suppression ends (empty: never), `hidden_from` holds ` GTM:A` for each country that must
    not see the number. `definition` is what else cells must share to add up.
    """

    series_id: int
    period: str
    record_id: str
    partner_id: str
    revision: int
    value: int | None
    status: str
    confidentiality: str
    definition: str
    attributes: str
    accepted_at: str
    valid_from: str
    closed_at: str | None = None
    valid_to: str | None = None
    suppression: str = ""
    until: str = ""
    hidden_from: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a vintage comes to: its series and cells, and the cells that stand and change in `DECIDED`.

    `number` is the one after the partner's newest vintage that the draft has seen.
    """

    number: int
    series: Sequence[Series]
    added: Sequence[Cell]
    changed: Sequence[Cell]


class Vintage(NamedTuple):
    """An accepted submission whose cells are not published yet."""

    partner_id: str
    submission_id: str


@cache
def cell_tables(shape: TableShape) -> CellTables:
    """Return the tables of a product's published cells, in a metadata of their own."""
    name, own, text = shape.table_name, MetaData(), text_type
    numbers = {"series_id": BigInteger(), "revision": Integer(), "value": BigInteger()}
    open_ended = {"value", "closed_at", "valid_to"}
    key = ("series_id", "period", "record_id")
    columns = [
        Column(f.name, numbers.get(f.name, text()), nullable=f.name in open_ended, primary_key=f.name in key)
        for f in fields(Cell)
    ]
    series = Table(
        f"{name}_series",
        own,
        Column("id", BigInteger, primary_key=True, autoincrement=False),
        Column("key", text(), nullable=False),
        Column("family", text(), nullable=False),
        *(Column(field, text(), nullable=False) for field in series_fields(shape)),
        Index(f"{name}_series_family", "family"),
        # What most questions name; there may be tens of thousands of series.
        Index(f"{name}_series_provider", "provider", "flow_type", "citizenship"),
        Index(f"{name}_series_citizenship", "citizenship", "flow_type"),
    )
    cell = Table(f"{name}_cell", own, *columns, sqlite_with_rowid=False)
    vintage = Table(
        f"{name}_vintage",
        own,
        Column("partner_id", text(), primary_key=True),
        Column("submission_id", text(), primary_key=True),
        Column("number", BigInteger, nullable=False),
        Column("published_at", text(), nullable=False),
        # Whoever publishes beside another finds the number taken, and looks again.
        UniqueConstraint("partner_id", "number", name=f"{name}_vintage_number"),
        sqlite_with_rowid=False,
    )
    return CellTables(series, cell, vintage)


def create_cell_tables(connection: Connection, shape: TableShape) -> None:
    """Create the tables of published cells; called by the migration that brings them."""
    for table in cell_tables(shape):
        table.create(connection)


def series_fields(shape: TableShape) -> tuple[str, ...]:
    """Return the fields of a series: the natural key without the month."""
    return tuple(name for name in shape.natural_key if name != shape.period_column)


def unpublished(tx: Tx, shape: TableShape) -> list[Vintage]:
    """Return the accepted submissions that are not published yet, oldest first."""
    newest = max(filter(None, tx.connection.execute(_newest(shape)).scalars()), default="")
    since = first_id(id_instant(newest) - LATE) if newest else ""
    return [Vintage(*row) for row in tx.connection.execute(_waiting(shape), {"since": since})]


@cache
def _newest(shape: TableShape) -> Any:
    v = cell_tables(shape).vintage.c
    return select(select(func.max(v.submission_id)).where(v.partner_id == partner.c.id).scalar_subquery())


@cache
def _waiting(shape: TableShape) -> Any:
    assert IS_FLOW.endswith(f"'{shape.product}'"), "another product needs an index of its own"
    s, v = submission.c, cell_tables(shape).vintage.c
    published = select(literal(1)).where(v.partner_id == s.partner_id, v.submission_id == s.id)
    return (
        select(s.partner_id, s.id)
        .join(partner, partner.c.id == s.partner_id)
        .where(
            s.id >= bindparam("since"),
            # As a literal: SQLite takes a partial index only when it can see that it fits.
            literal_column(f"submission.{IS_FLOW}"),
            s.version.startswith(f"{shape.major}."),
            s.nil_period.is_(None),
            ~published.exists(),
        )
        .order_by(s.id)
    )


def last_number(tx: Tx, shape: TableShape, partner_id: str) -> int:
    """Return the number of a partner's newest published vintage, 0 before the first."""
    v = cell_tables(shape).vintage.c
    return int(tx.connection.execute(select(func.max(v.number)).where(v.partner_id == partner_id)).scalar() or 0)


def put(tx: Tx, shape: TableShape, vintage: Vintage, draft: Draft, at: datetime) -> bool:
    """Write what a vintage comes to; False when another was published since the draft was made.

    One that is published already is left as it is.
    """
    if _is_published(tx, shape, vintage):
        return True
    values = {**vintage._asdict(), "number": draft.number, "published_at": format_instant(at)}
    statement = _insert_new(tx, cell_tables(shape).vintage).returning(literal(1))
    if tx.connection.execute(statement, values).first() is None:
        return _is_published(tx, shape, vintage)
    _insert_cells(tx, shape, draft.series, draft.added)
    _update_cells(tx, shape, draft.changed)
    return True


def _is_published(tx: Tx, shape: TableShape, vintage: Vintage) -> bool:
    v = cell_tables(shape).vintage.c
    its = (v.partner_id == vintage.partner_id, v.submission_id == vintage.submission_id)
    return tx.connection.execute(select(literal(1)).where(*its)).first() is not None


def records_of(tx: Tx, shape: TableShape, vintage: Vintage) -> list[tuple[Row, str, int]]:
    """Return the records of a submission with the time of their acceptance and their revision."""
    c = product_table(shape).c
    columns = [c[name] for name in shape.column_names]
    found = select(c.accepted_at, c.revision, *columns).where(
        c.partner_id == vintage.partner_id, c.submission_id == vintage.submission_id
    )
    return [(tuple(row[2:]), row[0], row[1]) for row in tx.connection.execute(found.order_by(c.line))]


def _insert_cells(tx: Tx, shape: TableShape, series: Sequence[Series], cells: Sequence[Cell]) -> None:
    tables = cell_tables(shape)
    if series:
        new = [{"id": one.id, "key": one.key, "family": one.family, **one.codes} for one in series]
        tx.connection.execute(_insert_new(tx, tables.series), sorted(new, key=lambda row: str(row["key"])))
    if cells:
        names = [f.name for f in fields(Cell)]
        rows = [{name: getattr(cell, name) for name in names} for cell in cells]
        tx.connection.execute(tables.cell.insert(), rows)


def cells_of_families(
    tx: Tx, shape: TableShape, families: Sequence[str], periods: tuple[str, str]
) -> Iterator[tuple[str, Mapping[str, str], Cell]]:
    """Yield all versions of the cells of some families between two months: family, codes of the series, cell."""
    series, cell, _ = cell_tables(shape)
    names = [f.name for f in fields(Cell)]
    codes = series_fields(shape)
    columns = (series.c.family, *(series.c[name] for name in codes), *(cell.c[name] for name in names))
    for start in range(0, len(families), FAMILIES_PER_STATEMENT):
        statement = (
            select(*columns)
            .join(series, series.c.id == cell.c.series_id)
            .where(
                series.c.family.in_(families[start : start + FAMILIES_PER_STATEMENT]),
                cell.c.period >= periods[0],
                cell.c.period <= periods[1],
            )
        )
        for row in tx.connection.execute(statement):
            yield row[0], dict(zip(codes, row[1 : 1 + len(codes)], strict=True)), Cell(*row[1 + len(codes) :])


def _update_cells(tx: Tx, shape: TableShape, cells: Sequence[Cell]) -> None:
    if not cells:
        return
    cell = cell_tables(shape).cell
    key = [column.name for column in cell.primary_key]
    statement = (
        update(cell)
        .where(and_(*(cell.c[name] == bindparam(f"b_{name}") for name in key)))
        .values({name: bindparam(f"b_{name}") for name in DECIDED})
    )
    tx.connection.execute(statement, [{f"b_{name}": getattr(one, name) for name in (*key, *DECIDED)} for one in cells])


def _insert_new(tx: Tx, table: Table) -> Any:
    statement: Any = (postgresql if tx.dialect == "postgresql" else sqlite).insert(table)
    return statement.on_conflict_do_nothing()
