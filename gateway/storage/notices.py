# SPDX-License-Identifier: Apache-2.0
"""What partners are to be told; this file is about the outbox of notices, and how far each subscriber came.

A subscriber's row is locked when a notice is numbered, so that numbers appear in their order and a cursor misses none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.storage.engine import Tx
from gateway.storage.tables import notice, subscriber

PAGE_MAX = 100
DUE_MAX = 200


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A partner with a webhook that has not taken all its notices."""

    partner_id: str
    url: str
    delivered_number: int
    attempts: int
    next_at: datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice as it is sent."""

    partner_id: str
    number: int
    contest_id: str
    body: str


def add_notice(tx: Tx, partner_id: str, *, contest_id: str, at: datetime, compose: Callable[[int], str]) -> None:
    """Keep a partner's next notice under its number; the caller goes through partners in order, so that none locks."""
    new = {"partner_id": partner_id, "url": None, "last_number": 1, "delivered_number": 0, "attempts": 0, "next_at": at}
    number = _upsert(tx, new, {"last_number": subscriber.c.last_number + 1})
    row = {"partner_id": partner_id, "number": number, "contest_id": contest_id, "body": compose(number)}
    tx.connection.execute(insert(notice), row)


def set_webhook(tx: Tx, partner_id: str, url: str | None, *, at: datetime) -> None:
    """Tell where a partner's notices go; those that it has not taken yet go there too."""
    new = {"partner_id": partner_id, "url": url, "last_number": 0, "delivered_number": 0, "attempts": 0, "next_at": at}
    _upsert(tx, new, {"url": url, "attempts": 0, "next_at": at})


def notices_after(tx: Tx, partner_id: str, after: int, *, limit: int = PAGE_MAX) -> list[Notice]:
    """Return a partner's notices behind a number, in order."""
    c = notice.c
    statement = select(*_COLUMNS).where(c.partner_id == partner_id, c.number > after).order_by(c.number).limit(limit)
    return [Notice(*row) for row in tx.connection.execute(statement)]


def due(tx: Tx, at: datetime) -> list[Subscriber]:
    """Return the subscribers that something is to be sent to now, whoever waits longest first."""
    c = subscriber.c
    statement = (
        select(*(c[name] for name in Subscriber.__slots__))
        .where(c.url.is_not(None), c.delivered_number < c.last_number, c.next_at <= at)
        .order_by(c.next_at, c.partner_id)
        .limit(DUE_MAX)
    )
    return [Subscriber(*row) for row in tx.connection.execute(statement)]


def claim(tx: Tx, one: Subscriber, until: datetime) -> bool:
    """Take a subscriber for this process; when it dies, another takes it after that time. False: somebody else did."""
    c = subscriber.c
    taken = update(subscriber).where(c.partner_id == one.partner_id, c.next_at == one.next_at).values(next_at=until)
    return tx.connection.execute(taken).rowcount == 1


def note_outcome(tx: Tx, one: Subscriber, *, delivered_number: int, attempts: int, next_at: datetime) -> None:
    """Note how far a subscriber came and when it is to be tried again."""
    c = subscriber.c
    values = {"delivered_number": delivered_number, "attempts": attempts, "next_at": next_at}
    # Never back: whoever is so slow that its claim ran out finds that another went on.
    whose = (c.partner_id == one.partner_id, c.delivered_number <= delivered_number)
    tx.connection.execute(update(subscriber).where(*whose).values(values))


def told_of(tx: Tx, contest_id: str) -> dict[str, bool]:
    """Return which partners were to be told of a contest, and whether a webhook has taken the last notice of it."""
    n, s = notice.c, subscriber.c
    statement = (
        select(n.partner_id, n.number, s.delivered_number)
        .join(subscriber, s.partner_id == n.partner_id)
        .where(n.contest_id == contest_id)
        .order_by(n.partner_id, n.number)
    )
    return {row.partner_id: row.number <= row.delivered_number for row in tx.connection.execute(statement)}


def _upsert(tx: Tx, new: dict[str, Any], changed: dict[str, Any]) -> int:
    statement: Any = (postgresql if tx.dialect == "postgresql" else sqlite).insert(subscriber).values(new)
    statement = statement.on_conflict_do_update(index_elements=["partner_id"], set_=changed)
    return int(tx.connection.execute(statement.returning(subscriber.c.last_number)).scalar_one())


_COLUMNS = tuple(notice.c[name] for name in Notice.__slots__)
