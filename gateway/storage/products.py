# SPDX-License-Identifier: Apache-2.0
"""One table for each data product and major version; this file is about tables generated from contracts.

A record is stored as typed columns: integers and booleans as such, identifiers as UUID on PostgreSQL, everything
else as text with the C collation, because a record's canonical line is rebuilt from its columns byte by byte.
`month` is the month inside the record's own UUIDv7, so that a repeat finds its row without a second index.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.types import TypeEngine

from gateway.storage.engine import Tx
from gateway.trip import FieldType, TableShape


@cache
def product_table(shape: TableShape) -> Table:
    """Return the table of a shape, in a metadata of its own."""
    own = {"partner_id", "month", *KEEPING}
    assert not own & set(shape.column_names), "a contract may not name a field like a column of the gateway"
    # Without rowid the key is the row's place: a third less file than with a second tree for the key.
    options: dict[str, Any] = {"sqlite_with_rowid": False}
    if is_partitioned(shape):
        options["postgresql_partition_by"] = "LIST (month)"
    table = Table(shape.table_name, MetaData(), *_columns(shape), **options)
    if shape.natural_key:
        # One live record for each cell. A retraction has no cell_key, so that its cell can be filled again.
        live = table.c.superseded_by.is_(None)
        where = {"sqlite_where": live, "postgresql_where": live}
        Index(f"{shape.table_name}_live", table.c.partner_id, table.c.cell_key, unique=True, **where)
        # What a submission brought is published as one vintage.
        Index(f"{shape.table_name}_submission", table.c.partner_id, table.c.submission_id)
    return table


def create_product_table(connection: Connection, shape: TableShape) -> None:
    """Create the table of a shape; called by the migration that brings a data product."""
    table = product_table(shape)
    table.create(connection)
    if connection.dialect.name == "postgresql":
        if shape.retention_column:
            # A few pages at any size. SQLite has nothing like it; the job finds old rows first, in the key's order.
            column = f'"{shape.retention_column}"'
            connection.exec_driver_sql(f"CREATE INDEX {table.name}_retention ON {table.name} USING brin ({column})")
        for statement in _without_statistics(shape, table.name):
            connection.exec_driver_sql(statement)


def ensure_months(tx: Tx, shape: TableShape, months: frozenset[int]) -> None:
    """Make the partitions for these months where the table has partitions and they are missing.

    Each is made and attached in a short transaction of its own: attaching takes a lock that neither readers nor
    writers feel, and a partition that stays empty does no harm.
    """
    if tx.dialect != "postgresql" or not is_partitioned(shape):
        return
    assert tx.aside is not None
    table = shape.table_name
    known = tx.connection.exec_driver_sql(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = %s::regclass",
        (table,),
    )
    missing = {f"{table}_m{month}": month for month in sorted(months)}
    for (name,) in known:
        missing.pop(name, None)
    for name, month in missing.items():
        with tx.aside.begin() as connection:
            # Two gateways may meet the first record of a month at once.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext(%s))", (name,))
            if connection.exec_driver_sql("SELECT to_regclass(%s)", (name,)).scalar_one() is None:
                connection.exec_driver_sql(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
                for statement in _without_statistics(shape, name):
                    connection.exec_driver_sql(statement)
                connection.exec_driver_sql(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES IN ({month})")


def is_partitioned(shape: TableShape) -> bool:
    """Say whether PostgreSQL keeps this table in monthly parts: large ones, which have no key over all months."""
    return not shape.natural_key


def _columns(shape: TableShape) -> list[Any]:
    required = {column.name for column in shape.columns if column.required}
    fields = [Column(c.name, _type(c.type), nullable=c.name not in required) for c in shape.columns]
    return [
        Column("partner_id", text_type(), nullable=False),
        Column("month", Integer, nullable=False),
        *fields,
        *_keeping(),
        PrimaryKeyConstraint("partner_id", "month", shape.id_column, name=f"{shape.table_name}_pkey"),
    ]


def _keeping() -> list[Column[Any]]:
    return [
        Column("leaf_hash", LargeBinary, nullable=False),
        Column("submission_id", _identifier(), nullable=False),
        Column("line", Integer, nullable=False),
        Column("accepted_at", text_type(), nullable=False),
        Column("revision", Integer, nullable=False),
        Column("superseded_by", _identifier()),
        Column("superseded_at", text_type()),
        Column("cell_key", LargeBinary),
    ]


def _without_statistics(shape: TableShape, table: str) -> list[str]:
    # The planner's histograms would copy record ids into a catalogue that retention does not reach.
    columns = {shape.id_column, "superseded_by"} | ({"supersedes"} & set(shape.column_names))
    return [f'ALTER TABLE {table} ALTER COLUMN "{name}" SET STATISTICS 0' for name in sorted(columns)]


def _type(field: FieldType) -> TypeEngine[Any]:
    if field == "integer":
        return BigInteger()
    if field == "boolean":
        return Boolean()
    return _identifier() if field == "uuid" else text_type()


def _identifier() -> TypeEngine[Any]:
    return String(36).with_variant(UUID(as_uuid=False), "postgresql")


def text_type() -> TypeEngine[Any]:
    """Return the type of a text that sorts by its bytes on both engines."""
    return Text().with_variant(Text(collation="C"), "postgresql")


# What the gateway adds to a record's own columns, in this order behind partner_id and month.
KEEPING = tuple(column.name for column in _keeping())
