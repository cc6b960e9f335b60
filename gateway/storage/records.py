# SPDX-License-Identifier: Apache-2.0
"""The bulk path; this file is about how the records of a submission become rows.

(1) A chunk of plain additions goes straight into the table, by COPY or executemany: the keys find repeats.
(2) When a key objects, or the chunk corrects earlier records, nothing of (1) stands; what is known is looked up,
    each record is settled in order, and what is accepted goes in.
(3) The cubes of own totals move by exactly the rows accepted and superseded.
All of it belongs to the caller's transaction. A concurrent writer that is met in (2) makes the whole work run again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import repeat
from operator import itemgetter
from typing import TypeVar

from sqlalchemy import ColumnElement, select

from gateway.clock import format_instant
from gateway.storage.bulk import KeyStands, copy_rows, insert_rows
from gateway.storage.corrections import Places, Standing, places_of, settle
from gateway.storage.engine import Tx, WriteConflict
from gateway.storage.products import KEEPING, ensure_months, product_table
from gateway.storage.rollups import Move, move_cells
from gateway.trip import RecordChunk, RefusedRecord, Scalar, TableShape

LOOKUP_KEYS = 500
DAY_MILLISECONDS = 86_400_000
# 9999-12-31, the last day that datetime knows.
DAY_MAX = 2_932_896
K = TypeVar("K", str, bytes)
Stored = tuple[Scalar | bytes, ...]


@dataclass(frozen=True, slots=True)
class KeptChunk:
    """What became of a chunk; `accepted` and `duplicates` are positions in it, in order."""

    accepted: tuple[int, ...]
    duplicates: tuple[int, ...]
    refused: tuple[RefusedRecord, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One chunk of one submission."""

    partner_id: str
    submission_id: str
    chunk: RecordChunk


@dataclass(frozen=True, slots=True)
class _Keeper:
    """One chunk on its way into one table."""

    tx: Tx
    shape: TableShape
    places: Places
    partner_id: str
    submission_id: str
    accepted_at: str


def keep_records(
    tx: Tx, shape: TableShape, chunk: RecordChunk, *, partner_id: str, submission_id: str, accepted_at: datetime
) -> KeptChunk:
    """Insert what is new of a chunk, and say of every record whether it was accepted, a repeat, or refused."""
    if not chunk.rows:
        return KeptChunk((), (), ())
    if add_records(tx, shape, [Part(partner_id, submission_id, chunk)], accepted_at=accepted_at):  # (1)
        return KeptChunk(tuple(range(len(chunk.rows))), (), ())
    return _settle(
        _Keeper(tx, shape, places_of(shape), partner_id, submission_id, format_instant(accepted_at)), chunk
    )  # (2)


def add_records(tx: Tx, shape: TableShape, parts: Sequence[Part], *, accepted_at: datetime) -> bool:
    """Insert chunks of additions of any number of submissions.

    False when some key stood before, or a record is no addition; then nothing of them was inserted.
    """
    places, at = places_of(shape), format_instant(accepted_at)
    rows = [row for part in parts for row in _rows(places, part, at)]
    months = frozenset(month_of(str(row[places.id])) for part in parts for row in part.chunk.rows)
    ensure_months(tx, shape, months)
    if not all(_all_add(places, part.chunk) for part in parts) or not _insert_new(tx, shape, rows):
        return False
    _move(tx, shape, list(_moves(parts)))
    return True


def _moves(parts: Sequence[Part]) -> Iterator[Move]:
    """Yield one move for each partner, in the name of its first part: cells that meet are counted once."""
    by_partner: dict[str, list[Part]] = {}
    for part in parts:
        by_partner.setdefault(part.partner_id, []).append(part)
    for partner_id, own in by_partner.items():
        rows = [row for part in own for row in part.chunk.rows]
        yield Move(partner_id, own[0].submission_id, own[0].chunk.lines[0], rows)


@cache
def _month_of_day(day: int) -> int:
    at = datetime.fromtimestamp(day * DAY_MILLISECONDS / 1000, UTC)
    return at.year * 100 + at.month


def month_of(identifier: str) -> int:
    """Return the month inside a UUIDv7 as yyyymm; an identifier of another kind has some month, and always that."""
    return _month_of_day(min(int(identifier[:8] + identifier[9:13], 16) // DAY_MILLISECONDS, DAY_MAX))


def _all_add(places: Places, chunk: RecordChunk) -> bool:
    return places.action < 0 or not {row[places.action] for row in chunk.rows} - {None, "add"}


def _rows(places: Places, part: Part, accepted_at: str) -> Iterator[Stored]:
    """Yield the rows of additions, of the whole width of the table."""
    partner_id, submission_id, chunk = part.partner_id, part.submission_id, part.chunk
    cell_keys = [places.cell_key_of(row) for row in chunk.rows] if places.natural_key else repeat(None)
    of_chunk = zip(chunk.rows, chunk.leaf_hashes, chunk.lines, cell_keys, strict=False)
    for row, leaf_hash, line, cell_key in of_chunk:
        month = month_of(str(row[places.id]))
        yield (partner_id, month, *row, leaf_hash, submission_id, line, accepted_at, 0, None, None, cell_key)


def _insert_new(tx: Tx, shape: TableShape, rows: list[Stored]) -> bool:
    """Insert rows of additions; False when some key stood before, and then nothing of them was inserted."""
    # By hand: SQLAlchemy compiles its own savepoints anew each time, an eighth of a single submission.
    savepoint = tx.connection.exec_driver_sql
    savepoint("SAVEPOINT chunk")
    try:
        _bulk_insert(tx, shape, rows)
    except KeyStands:
        savepoint("ROLLBACK TO SAVEPOINT chunk")
        return False
    savepoint("RELEASE SAVEPOINT chunk")
    return True


def _settle(keeper: _Keeper, chunk: RecordChunk) -> KeptChunk:
    settlement = settle(keeper.shape, chunk, _known(keeper, chunk))
    # The heads first: their cells must be free before the amendments take them.
    _mark_superseded(keeper, settlement.superseded)
    stored = [_stored(keeper, s, chunk.lines[s.position or 0]) for s in settlement.accepted]
    if stored:
        try:
            _bulk_insert(keeper.tx, keeper.shape, stored)
        except KeyStands as error:
            raise WriteConflict from error
    counted = [s.row for s in settlement.accepted if keeper.places.action_of(s.row) != "retract"]
    moved = Move(keeper.partner_id, keeper.submission_id, chunk.lines[0], counted, settlement.withdrawn)
    _move(keeper.tx, keeper.shape, [moved])
    positions = tuple(s.position for s in settlement.accepted if s.position is not None)
    return KeptChunk(positions, tuple(settlement.duplicates), tuple(settlement.refused))


def _move(tx: Tx, shape: TableShape, moves: Sequence[Move]) -> None:
    if shape.cubes:  # (3)
        move_cells(tx, shape, moves)


def _stored(keeper: _Keeper, standing: Standing, line: int) -> Stored:
    return (
        keeper.partner_id,
        month_of(standing.id),
        *standing.row,
        standing.leaf_hash,
        keeper.submission_id,
        line,
        keeper.accepted_at,
        standing.revision,
        standing.superseded_by,
        keeper.accepted_at if standing.superseded_by else None,
        standing.cell_key,
    )


def _bulk_insert(tx: Tx, shape: TableShape, rows: list[Stored]) -> None:
    """Insert rows of the whole width of the table, or raise `KeyStands` when a key objects."""
    # In the order of their ids, so that two submissions of the same records do not deadlock.
    rows.sort(key=itemgetter(places_of(shape).id + 2))
    names = ("partner_id", "month", *shape.column_names, *KEEPING)
    if tx.dialect == "postgresql":
        copy_rows(tx, shape.table_name, names, rows)
        return
    if insert_rows(tx, shape.table_name, names, rows) != len(rows):
        raise KeyStands


def _mark_superseded(keeper: _Keeper, standings: Sequence[Standing]) -> None:
    if not standings:
        return
    # superseded_at and not superseded_by, though both say it: the latter is the condition of the index of heads, and
    # PostgreSQL would walk all heads of the partner for each row (measured: 76 rows/s instead of thousands).
    mark = "%s" if keeper.tx.dialect == "postgresql" else "?"
    statement = (
        f"UPDATE {keeper.shape.table_name} SET superseded_by = {mark}, superseded_at = {mark} "  # noqa: S608 - as above
        f'WHERE partner_id = {mark} AND month = {mark} AND "{keeper.shape.id_column}" = {mark} '
        "AND superseded_at IS NULL"
    )
    rows = [
        (s.superseded_by, keeper.accepted_at, keeper.partner_id, month_of(s.id), s.id)
        for s in sorted(standings, key=lambda s: s.id)
    ]
    if keeper.tx.connection.exec_driver_sql(statement, rows).rowcount != len(rows):
        raise WriteConflict


def _known(keeper: _Keeper, chunk: RecordChunk) -> Iterator[Standing]:
    table = product_table(keeper.shape)
    places = keeper.places
    wanted = {str(row[places.id]) for row in chunk.rows}
    if places.supersedes >= 0:
        wanted |= {str(row[places.supersedes]) for row in chunk.rows if row[places.supersedes]}
    by_month: dict[int, list[str]] = {}
    for identifier in sorted(wanted):
        by_month.setdefault(month_of(identifier), []).append(identifier)
    for month, identifiers in by_month.items():
        for some in _batches(identifiers):
            yield from _select(keeper, table.c.month == month, table.c[keeper.shape.id_column].in_(some))
    if places.natural_key:
        cells = sorted({key for row in chunk.rows if (key := places.cell_key_of(row))})
        for batch in _batches(cells):
            yield from _select(keeper, table.c.cell_key.in_(batch), table.c.superseded_by.is_(None))


def _select(keeper: _Keeper, *conditions: ColumnElement[bool]) -> Iterator[Standing]:
    c = product_table(keeper.shape).c
    fields = [c[name] for name in keeper.shape.column_names]
    statement = select(c.leaf_hash, c.revision, c.cell_key, c.superseded_by, *fields)
    for found in keeper.tx.connection.execute(statement.where(c.partner_id == keeper.partner_id, *conditions)):
        row = tuple(found[4:])
        # A retraction is stored without its cell, and nothing may supersede it, so the key is not missed.
        yield Standing(str(row[keeper.places.id]), row, found[0], found[1], found[2], found[3])


def _batches(keys: Sequence[K]) -> Iterator[Sequence[K]]:
    for start in range(0, len(keys), LOOKUP_KEYS):
        yield keys[start : start + LOOKUP_KEYS]
