# SPDX-License-Identifier: Apache-2.0
"""What was decided; this file is about the events that hold a decision of the policies, in the order of their ids."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from sqlalchemy import select

from gateway.identifiers import first_id
from gateway.storage import tables
from gateway.storage.engine import Tx
from gateway.storage.log import StoredEvent

FETCH_ROWS = 1000
_COLUMNS = tuple(tables.event.c[name] for name in StoredEvent.__slots__)


def events_of(
    tx: Tx, kinds: Collection[str], *, since: datetime, country: str = "", limit: int | None = None
) -> Iterator[StoredEvent]:
    """Yield the events of some kinds since an instant, oldest first; those that a country may see, if one is named."""
    c, audience = tables.event.c, tables.event_audience.c
    query = select(*_COLUMNS).where(c.id >= first_id(since), c.kind.in_(sorted(kinds))).order_by(c.id).limit(limit)
    if country:
        query = query.join(tables.event_audience, audience.event_id == c.id).where(audience.country == country)
    for row in tx.connection.execute(query.execution_options(yield_per=FETCH_ROWS)):
        yield StoredEvent(*row)
