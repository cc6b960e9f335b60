# SPDX-License-Identifier: Apache-2.0
"""What is kept, and since when; this file is about the counts of the privacy inventory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from gateway.storage import tables
from gateway.storage.engine import Tx
from gateway.storage.products import product_table
from gateway.trip import TableShape


@dataclass(frozen=True, slots=True)
class Holding:
    """How many rows a table holds for the inventory, and how old the oldest is."""

    table: str
    rows: int
    oldest: str | None


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
