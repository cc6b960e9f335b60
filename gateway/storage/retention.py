# SPDX-License-Identifier: Apache-2.0
"""Deleting what is past its day; this file is about rows that become tombstones, and about files that forget them.

A tombstone keeps a record's place and leaf hash, so that the submission's root can still be computed, and not its
id: id and hash together would let the few fields be guessed. Own totals keep what they counted.
A crash between the deletion and `Storage.vacuum` leaves the bytes until the job's next run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, delete, insert, literal_column, select, tuple_, update

from gateway.storage.engine import Tx
from gateway.storage.products import is_partitioned, product_table
from gateway.storage.records import month_of
from gateway.storage.tables import tombstone
from gateway.trip import TableShape

BATCH_ROWS_MAX = 5000
# Stands for the id of an amendment or retraction that was deleted itself.
DELETED = "00000000-0000-0000-0000-000000000000"
KEYS_PER_STATEMENT = 500


@dataclass(frozen=True, slots=True)
class DeletedRecord:
    """What is left of a record between its deletion and its tombstone."""

    submission_id: str
    line: int
    leaf_hash: bytes


def partners_with_due_records(tx: Tx, shape: TableShape, *, day: str) -> list[str]:
    """Return whose records are past their day: `retention_until` lies before `day`, an ISO date."""
    if shape.retention_column is None:
        return []
    c = product_table(shape).c
    found = select(c.partner_id).distinct().where(c[shape.retention_column] < day).order_by(c.partner_id)
    return list(tx.connection.execute(found).scalars())


def delete_due(tx: Tx, shape: TableShape, *, day: str, partner_id: str) -> list[DeletedRecord]:
    """Delete at most `BATCH_ROWS_MAX` of a partner's due records; the caller buries them in the same transaction."""
    assert shape.retention_column is not None, "this product keeps its records"
    table = product_table(shape)
    identifier = table.c[shape.id_column]
    due = (
        select(table.c.month, identifier, table.c.submission_id, table.c.line, table.c.leaf_hash, _supersedes(table))
        .where(table.c.partner_id == partner_id, table.c[shape.retention_column] < day)
        .order_by(table.c.month, identifier)
        .limit(BATCH_ROWS_MAX)
        .with_for_update()
    )
    found = tx.connection.execute(due).all()
    for start in range(0, len(found), KEYS_PER_STATEMENT):
        keys = [(row[0], row[1]) for row in found[start : start + KEYS_PER_STATEMENT]]
        where = (table.c.partner_id == partner_id) & tuple_(table.c.month, identifier).in_(keys)
        tx.connection.execute(delete(table).where(where))
    _forget_successors(tx, table, identifier, partner_id, {str(row[5]) for row in found if row[5]})
    return [DeletedRecord(row[2], row[3], row[4]) for row in found]


def bury(
    tx: Tx, shape: TableShape, deleted: Sequence[DeletedRecord], *, partner_id: str, at: datetime, event_id: str
) -> None:
    """Insert the tombstones of deleted records, under the event that tells of the deletion."""
    of = {"partner_id": partner_id, "product": shape.table_name, "deleted_at": at, "event_id": event_id}
    tx.connection.execute(insert(tombstone), [asdict(record) | of for record in deleted])


def _supersedes(table: Table) -> ColumnElement[Any]:
    return table.c.supersedes if "supersedes" in table.c else literal_column("NULL")


def _forget_successors(
    tx: Tx, table: Table, identifier: ColumnElement[str], partner_id: str, superseded: set[str]
) -> None:
    # A superseded record that may stay longer than its amendment goes on being superseded, by nobody that is named.
    for name in sorted(superseded):
        where = (table.c.partner_id == partner_id) & (table.c.month == month_of(name)) & (identifier == name)
        tx.connection.execute(update(table).where(where).values(superseded_by=DELETED))


def tables_to_vacuum(tx: Tx, shape: TableShape) -> list[str]:
    """Return the names of the tables whose files hold a product's rows, for `Storage.vacuum`."""
    if tx.dialect == "postgresql" and is_partitioned(shape):
        parts = tx.connection.exec_driver_sql(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", (shape.table_name,)
        )
        return sorted(row[0] for row in parts)
    return [shape.table_name]
