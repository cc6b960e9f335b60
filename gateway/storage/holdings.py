# SPDX-License-Identifier: Apache-2.0
"""What is kept, and since when; this file is about the counts of the privacy inventory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, func, null, select

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
    dated = [(product_table(shape), shape.retention_column or "accepted_at") for shape in shapes]
    dated += [
        (tables.submission, "received_at"),
        (tables.event, "at"),
        (tables.tombstone, "deleted_at"),
        (tables.nonce, "expires_at"),
        (tables.partner, "since"),
    ]
    undated = (tables.refused_record, tables.officer)
    return [
        *(_holding(tx, table, func.min(table.c[column])) for table, column in dated),
        *(_holding(tx, table, null()) for table in undated),
    ]


def _holding(tx: Tx, table: Table, oldest: ColumnElement[Any]) -> Holding:
    count, since = tx.connection.execute(select(func.count(), oldest).select_from(table)).one()
    return Holding(table.name, int(count), since.date().isoformat() if isinstance(since, datetime) else since)
