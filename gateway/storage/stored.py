# SPDX-License-Identifier: Apache-2.0
"""Reading records back; this file is about stored rows as fsck and the inventory need them.

No partner is ever served from here: border events leave only as statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from gateway.storage import tables
from gateway.storage.engine import Tx
from gateway.storage.products import product_table
from gateway.trip import Row, TableShape

FETCH_ROWS = 2000


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record's row and where it came from."""

    partner_id: str
    submission_id: str
    line: int
    leaf_hash: bytes
    row: Row


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What stays of a deleted record."""

    partner_id: str
    submission_id: str
    line: int
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class Holding:
    """How many rows a table holds for the inventory, and how old the oldest is."""

    table: str
    rows: int
    oldest: str | None


def stored_records(tx: Tx, shape: TableShape) -> Iterator[StoredRecord]:
    """Yield every record of a product by partner, submission and line; memory stays constant."""
    table = product_table(shape)
    c = table.c
    fields = [c[name] for name in shape.column_names]
    statement = select(c.partner_id, c.submission_id, c.line, c.leaf_hash, *fields)
    ordered = statement.order_by(c.partner_id, c.submission_id, c.line).execution_options(yield_per=FETCH_ROWS)
    for found in tx.connection.execute(ordered):
        yield StoredRecord(found[0], found[1], found[2], found[3], tuple(found[4:]))


def tombstones(tx: Tx, shape: TableShape) -> Iterator[Tombstone]:
    """Yield what stays of a product's deleted records, in the order of `stored_records`."""
    c = tables.tombstone.c
    statement = select(c.partner_id, c.submission_id, c.line, c.leaf_hash).where(c.product == shape.table_name)
    ordered = statement.order_by(c.partner_id, c.submission_id, c.line).execution_options(yield_per=FETCH_ROWS)
    for found in tx.connection.execute(ordered):
        yield Tombstone(*found)


def leaf_hashes_of(tx: Tx, shape: TableShape, *, partner_id: str, submission_id: str) -> list[bytes]:
    """Return the leaf hashes of a submission's accepted records, deleted ones too, in the order sent."""
    found: list[tuple[int, bytes]] = []
    for table in (product_table(shape), tables.tombstone):
        c = table.c
        statement = select(c.line, c.leaf_hash).where(c.partner_id == partner_id, c.submission_id == submission_id)
        found += [(row[0], row[1]) for row in tx.connection.execute(statement)]
    return [leaf_hash for _, leaf_hash in sorted(found)]


def holdings(tx: Tx, shapes: tuple[TableShape, ...]) -> list[Holding]:
    """Count what is kept: records by product, submissions, refused records, nonces, tombstones and events."""
    found = []
    for shape in shapes:
        table = product_table(shape)
        oldest = shape.retention_column or "accepted_at"
        row = tx.connection.execute(select(func.count(), func.min(table.c[oldest]))).one()
        found.append(Holding(shape.table_name, int(row[0]), row[1]))
    dated = (
        (tables.submission, "received_at"),
        (tables.event, "at"),
        (tables.tombstone, "deleted_at"),
        (tables.nonce, "expires_at"),
        (tables.partner, "since"),
    )
    for table, column in dated:
        count, since = tx.connection.execute(select(func.count(), func.min(table.c[column]))).one()
        found.append(Holding(table.name, int(count), since.date().isoformat() if isinstance(since, datetime) else None))
    for undated in (tables.refused_record, tables.officer):
        count = tx.connection.execute(select(func.count()).select_from(undated)).scalar_one()
        found.append(Holding(undated.name, int(count), None))
    return found
