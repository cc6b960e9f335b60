# SPDX-License-Identifier: Apache-2.0
"""Everything, in order, once; this file is about the streams that checks read: no answer to anyone is made of them.

Each stream holds a bounded number of rows in memory and belongs to one read transaction, so what it joins is of
one moment even while the gateway goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select

from gateway.storage import tables
from gateway.storage.engine import Tx
from gateway.storage.log import StoredEvent
from gateway.storage.products import product_table
from gateway.trip import Row, TableShape

FETCH_ROWS = 2000
SqlRow = Any


@dataclass(frozen=True, slots=True)
class PlacedEvent:
    """An event with its place: the entry of its leaf, or None, and whether it waits for one."""

    event: StoredEvent
    leaf_entry: bytes | None
    pending: bool
    audience: frozenset[str]


@dataclass(frozen=True, slots=True)
class SubmissionState:
    """What a submission says of its records, and the fields of its event."""

    partner_id: str
    id: str
    event_id: str
    received_count: int
    accepted_count: int
    duplicate_count: int
    refused_count: int
    root_received: bytes
    root_accepted: bytes
    content_digest: bytes
    contract_digest: str
    keyid: str
    signature: bytes
    event_kind: str | None
    event_fields: str | None


@dataclass(frozen=True, slots=True)
class RecordState:
    """One line of a submission that was accepted or refused; `row` is None when only the leaf hash is left."""

    partner_id: str
    submission_id: str
    line: int
    leaf_hash: bytes
    accepted: bool
    row: Row | None = None
    shape: TableShape | None = None


def stream_events(tx: Tx) -> Iterator[PlacedEvent]:
    """Yield every event with its place and audience, by id."""
    event, leaf, pending, audience = tables.event, tables.leaf, tables.pending_event, tables.event_audience
    # Sorted texts on both engines; three letters each, so that the comma parts them.
    countries = func.group_concat if tx.dialect == "sqlite" else func.string_agg
    seen = select(countries(audience.c.country, ",")).where(audience.c.event_id == event.c.id).scalar_subquery()
    query = (
        select(*(event.c[name] for name in StoredEvent.__slots__), leaf.c.entry, pending.c.event_id, seen)
        .outerjoin(leaf, leaf.c.event_id == event.c.id)
        .outerjoin(pending, pending.c.event_id == event.c.id)
        .order_by(event.c.id)
    )
    width = len(StoredEvent.__slots__)
    for row in _stream(tx, query):
        yield PlacedEvent(
            event=StoredEvent(*row[:width]),
            leaf_entry=row[width],
            pending=row[width + 1] is not None,
            audience=frozenset((row[width + 2] or "").split(",")) - {""},
        )


def leaves_without_event(tx: Tx) -> Iterator[int]:
    """Yield the index of every leaf whose event is gone."""
    leaf, event = tables.leaf, tables.event
    query = select(leaf.c.leaf_index).outerjoin(event, event.c.id == leaf.c.event_id).where(event.c.id.is_(None))
    for row in _stream(tx, query):
        yield int(row[0])


def stream_tile_places(tx: Tx) -> Iterator[tuple[int, int]]:
    """Yield level and index of every full tile."""
    for row in _stream(tx, select(tables.tile.c.level, tables.tile.c.tile_index)):
        yield int(row[0]), int(row[1])


def stream_submissions(tx: Tx) -> Iterator[SubmissionState]:
    """Yield every submission with its event, by partner and id."""
    submission, event = tables.submission, tables.event
    own = [submission.c[name] for name in SubmissionState.__slots__ if name not in {"event_kind", "event_fields"}]
    query = select(*own, event.c.kind, event.c.fields).outerjoin(event, event.c.id == submission.c.event_id)
    ordered = query.order_by(_bytewise(tx, submission.c.partner_id), _bytewise(tx, submission.c.id))
    for row in _stream(tx, ordered):
        yield SubmissionState(*row)


def stream_records(tx: Tx, shape: TableShape) -> Iterator[RecordState]:
    """Yield every stored record of a table, by partner, submission and line."""
    table = product_table(shape)
    columns = [table.c[name] for name in shape.column_names]
    query = select(table.c.partner_id, table.c.submission_id, table.c.line, table.c.leaf_hash, *columns)
    ordered = query.order_by(table.c.partner_id, table.c.submission_id, table.c.line)
    for row in _stream(tx, ordered):
        yield RecordState(row[0], row[1], row[2], row[3], accepted=True, row=tuple(row[4:]), shape=shape)


def stream_tombstones(tx: Tx) -> Iterator[RecordState]:
    """Yield what is left of every deleted record, by partner, submission and line."""
    yield from _stream_lines(tx, tables.tombstone, accepted=True)


def stream_refused(tx: Tx) -> Iterator[RecordState]:
    """Yield every refused record, by partner, submission and line."""
    yield from _stream_lines(tx, tables.refused_record, accepted=False)


def broken_corrections(tx: Tx, shape: TableShape) -> Iterator[str]:
    """Yield the id of every record that is superseded by a record that does not say so."""
    if "supersedes" not in shape.column_names:
        return
    old, new = product_table(shape).alias("old"), product_table(shape).alias("new")
    identifier = shape.id_column
    same = (new.c.partner_id == old.c.partner_id) & (new.c[identifier] == old.c.superseded_by)
    wrong = new.c[identifier].is_not(None) & (new.c.supersedes.is_(None) | (new.c.supersedes != old.c[identifier]))
    query = select(old.c[identifier]).outerjoin(new, same).where(old.c.superseded_by.is_not(None), wrong)
    for row in _stream(tx, query):
        yield str(row[0])


def _stream_lines(tx: Tx, table: Any, *, accepted: bool) -> Iterator[RecordState]:
    query = select(table.c.partner_id, table.c.submission_id, table.c.line, table.c.leaf_hash)
    places = (_bytewise(tx, table.c.partner_id), _bytewise(tx, table.c.submission_id), table.c.line)
    for row in _stream(tx, query.order_by(*places)):
        yield RecordState(row[0], row[1], row[2], row[3], accepted=accepted)


def _bytewise(tx: Tx, column: Any) -> Any:
    """Sort as Python and the product tables do, whatever the database's own language is."""
    return column.collate("C") if tx.dialect == "postgresql" else column


def _stream(tx: Tx, query: Select[*tuple[Any, ...]]) -> Iterator[SqlRow]:
    if tx.dialect == "postgresql":
        # A sort of a large table takes longer than any request may.
        tx.connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    yield from tx.connection.execute(query.execution_options(yield_per=FETCH_ROWS))
