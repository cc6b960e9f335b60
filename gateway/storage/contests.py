# SPDX-License-Identifier: Apache-2.0
"""Numbers that are said to be wrong; this file is about contests, the records they mark, and who read them.

`contested` is what a reader of statistics needs. Open contests are few, so that it costs the same at any size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, literal, literal_column, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.clock import parse_instant
from gateway.identifiers import first_id
from gateway.storage.corrections import RETRACT
from gateway.storage.engine import Tx, WriteConflict
from gateway.storage.products import product_table
from gateway.storage.records import month_of
from gateway.storage.tables import IS_READ, contest, contested_record, event, event_audience
from gateway.trip import TableShape

FETCH_ROWS = 2000
PAGE_MAX = 100


@dataclass(frozen=True, slots=True)
class StoredContest:
    """A contest as it was opened; only `withdrawn_at` comes later. `since` is when the first number was accepted."""

    partner_id: str
    id: str
    idempotency_key: str
    digest: bytes
    subject: str
    cause: str
    first_period: str
    last_period: str
    since: datetime
    opened_at: datetime
    record_count: int
    event_id: str
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LiveNumber:
    """A record that stands in the statistics now."""

    record_id: str
    period: str
    accepted_at: datetime


@dataclass(frozen=True, slots=True)
class Read:
    """One event of a partner that read a country's statistics."""

    event_id: str
    partner_id: str
    at: datetime
    fields: str


def contested(tx: Tx) -> Mapping[tuple[str, str], datetime]:
    """Return since when numbers are contested, by provider and record id, as long as the contest is open."""
    c = contested_record.c
    rows = tx.connection.execute(select(c.partner_id, c.record_id, c.at))
    return {(row.partner_id, row.record_id): row.at for row in rows}


def insert_contest(tx: Tx, one: StoredContest, records: Sequence[LiveNumber]) -> None:
    """Insert a contest and mark its records."""
    statement: Any = (postgresql if tx.dialect == "postgresql" else sqlite).insert(contest).values(asdict(one))
    if tx.connection.execute(statement.on_conflict_do_nothing().returning(literal(1))).first() is None:
        # The same key came in another request meanwhile: run again, and find it.
        raise WriteConflict
    of = {"partner_id": one.partner_id, "contest_id": one.id, "at": one.opened_at}
    tx.connection.execute(insert(contested_record), [{**of, "record_id": record.record_id} for record in records])


def withdraw_contest(tx: Tx, one: StoredContest, at: datetime) -> None:
    """End a contest: its marks go, it stays."""
    c, marks = contest.c, contested_record.c
    tx.connection.execute(update(contest).where(c.partner_id == one.partner_id, c.id == one.id).values(withdrawn_at=at))
    mine = (marks.partner_id == one.partner_id, marks.contest_id == one.id)
    tx.connection.execute(delete(contested_record).where(*mine))


def find_contest(tx: Tx, partner_id: str, key: str) -> StoredContest | None:
    """Return what a partner's idempotency key was taken for, or None."""
    return _first(tx, contest.c.partner_id == partner_id, contest.c.idempotency_key == key)


def get_contest(tx: Tx, contest_id: str, *, partner_id: str = "", country: str = "") -> StoredContest | None:
    """Return a contest of a partner, or of a country's partners, or None: another's looks like none at all."""
    c = contest.c
    whose = c.partner_id == partner_id if partner_id else c.partner_id.startswith(f"{country}.", autoescape=True)
    return _first(tx, c.id == contest_id, whose)


def contests_of(tx: Tx, partner_id: str, *, after: str = "") -> list[StoredContest]:
    """Return a page of a partner's contests, oldest first, from behind the id `after`."""
    c = contest.c
    statement = select(*_COLUMNS).where(c.partner_id == partner_id, c.id > after).order_by(c.id).limit(PAGE_MAX)
    return [StoredContest(*row) for row in tx.connection.execute(statement)]


def live_numbers(
    tx: Tx,
    shape: TableShape,
    partner_id: str,
    *,
    record_id: str = "",
    submission_id: str = "",
    cell_key: bytes = b"",
    limit: int,
) -> list[LiveNumber]:
    """Return a partner's live records of one kind of subject: a record, a submission or a cell."""
    table = product_table(shape)
    c = table.c
    conditions = [c.partner_id == partner_id, c.superseded_by.is_(None), c.action.is_distinct_from(RETRACT)]
    if record_id:
        conditions += [c.month == month_of(record_id), c[shape.id_column] == record_id]
    elif submission_id:
        conditions.append(c.submission_id == submission_id)
    else:
        conditions.append(c.cell_key == cell_key)
    names = (c[shape.id_column], c[shape.period_column], c.accepted_at)
    rows = tx.connection.execute(select(*names).where(*conditions).order_by(c[shape.id_column]).limit(limit))
    return [LiveNumber(str(row[0]), row[1], parse_instant(row[2])) for row in rows]


def reads_of(tx: Tx, owner: str, since: datetime) -> Iterator[Read]:
    """Yield the reads of statistics since an instant that an owner country's officers may see, oldest first."""
    c = event.c
    statement = (
        select(c.id, c.partner_id, c.at, c.fields)
        .join(event_audience, event_audience.c.event_id == c.id)
        .where(
            event_audience.c.country == owner,
            literal_column(f"event.{IS_READ}"),
            c.id >= first_id(since),
        )
        .order_by(c.id)
    )
    for row in tx.connection.execute(statement.execution_options(yield_per=FETCH_ROWS)):
        yield Read(*row)


_COLUMNS = tuple(contest.c[name] for name in StoredContest.__slots__)


def _first(tx: Tx, *conditions: ColumnElement[bool]) -> StoredContest | None:
    row: Any = tx.connection.execute(select(*_COLUMNS).where(*conditions)).first()
    return None if row is None else StoredContest(*row)
