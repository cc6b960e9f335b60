# SPDX-License-Identifier: Apache-2.0
"""Where the audit log rests; this file is about events, leaves, tiles, the head and checkpoints as rows.

It stores and finds; what a leaf, a tile or a note means is decided in `auditlog`. Only the head row is ever
updated, and only pending rows are deleted, so that a database role can be held to just that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, delete, func, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.storage.engine import Tx
from gateway.storage.tables import checkpoint, event, event_audience, leaf, log_head, pending_event, tile

PAGE_MAX = 1000
FETCH_ROWS = 2000


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event with its values, and the keys that salt their digests."""

    id: str
    partner_id: str
    at: datetime
    kind: str
    outcome: str
    request_id: str
    actor: str
    entry: bytes
    payload: bytes
    fields: str
    key: bytes
    personal: str | None
    personal_key: bytes | None


@dataclass(frozen=True, slots=True)
class PendingRow:
    """An event that has no place in the tree yet."""

    partner_id: str
    event_id: str
    entry: bytes


@dataclass(frozen=True, slots=True)
class LeafRow:
    """An event's place in the tree."""

    leaf_index: int
    event_id: str
    entry: bytes
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class HeadRow:
    """The tree as the sequencer left it; `edge` are the hashes of its partial tiles."""

    origin: str
    size: int
    edge: bytes
    root: bytes
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A size and root of the tree; `note` is the publisher's signed text, None in the sequencer's own row."""

    tree_size: int
    at: datetime
    root: bytes
    note: str | None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What an officer asks for; every field that is set must match."""

    partner_id: str | None = None
    kind: str | None = None
    outcome: str | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


NO_FILTER = EventFilter()


def insert_event(tx: Tx, row: EventRow, *, audience: frozenset[str]) -> None:
    """Insert an event, who may see it, and its pending row."""
    tx.connection.execute(insert(event).values(asdict(row)))
    if audience:
        seers = [{"country": country, "event_id": row.id} for country in sorted(audience)]
        tx.connection.execute(insert(event_audience), seers)
    tx.connection.execute(insert(pending_event).values(partner_id=row.partner_id, event_id=row.id))


def peek_pending(tx: Tx) -> bool:
    """Say whether any event waits for its place."""
    return tx.connection.execute(select(pending_event.c.event_id).limit(1)).first() is not None


def is_pending(tx: Tx, event_id: str) -> bool:
    """Say whether this event waits for its place."""
    return tx.connection.execute(select(1).where(pending_event.c.event_id == event_id)).first() is not None


def oldest_pending(tx: Tx) -> datetime | None:
    """Return since when the oldest event waits, or None when none does."""
    statement = select(event.c.at).join(pending_event, pending_event.c.event_id == event.c.id)
    return tx.connection.execute(statement.order_by(pending_event.c.event_id).limit(1)).scalar_one_or_none()


def take_pending(tx: Tx, limit: int) -> list[PendingRow]:
    """Remove up to `limit` visible pending rows, oldest event id first, and return them with their entries.

    The caller has locked the head: two takers at once would take the same rows.
    """
    statement = (
        select(pending_event.c.partner_id, pending_event.c.event_id, event.c.entry)
        .join(event, event.c.id == pending_event.c.event_id)
        .order_by(pending_event.c.event_id)
        .limit(limit)
    )
    rows = [PendingRow(*row) for row in tx.connection.execute(statement)]
    if rows:
        keys = [(row.partner_id, row.event_id) for row in rows]
        where = tuple_(pending_event.c.partner_id, pending_event.c.event_id).in_(keys)
        tx.connection.execute(delete(pending_event).where(where))
    return rows


def create_head(tx: Tx, *, origin: str, root: bytes, at: datetime) -> None:
    """Insert the head of an empty tree; an error when there is a log already."""
    if tx.connection.execute(select(log_head.c.origin)).first() is not None:
        raise ValueError("this database has a log already")
    tx.connection.execute(insert(log_head).values(origin=origin, size=0, edge=b"", root=root, created_at=at))


def get_head(tx: Tx) -> HeadRow:
    """Return the head.

    Raises:
        LookupError: when no log was created.
    """
    return _head(tx, select(log_head))


def head_for_update(tx: Tx) -> HeadRow:
    """Return the head and hold it until the transaction ends; lock it last, after every other row."""
    return _head(tx, select(log_head).with_for_update())


def set_head(tx: Tx, *, size: int, edge: bytes, root: bytes) -> None:
    """Move the head; it never goes back."""
    result = tx.connection.execute(
        update(log_head).where(log_head.c.size <= size).values(size=size, edge=edge, root=root)
    )
    assert result.rowcount == 1, "the head moved back, or there is none"


def append_leaves(tx: Tx, rows: Sequence[LeafRow]) -> None:
    """Insert leaves; the keys refuse a second leaf at an index and a second place for an event."""
    tx.connection.execute(insert(leaf), [asdict(row) for row in rows])


def leaves(tx: Tx, start: int, end: int) -> list[LeafRow]:
    """Return the leaves with `start <= leaf_index < end`, in order."""
    where = (leaf.c.leaf_index >= start) & (leaf.c.leaf_index < end)
    statement = select(leaf.c.leaf_index, leaf.c.event_id, leaf.c.entry, leaf.c.leaf_hash)
    return [LeafRow(*row) for row in tx.connection.execute(statement.where(where).order_by(leaf.c.leaf_index))]


def leaf_of_event(tx: Tx, event_id: str) -> LeafRow | None:
    """Return an event's place, or None while it has none."""
    statement = select(leaf.c.leaf_index, leaf.c.event_id, leaf.c.entry, leaf.c.leaf_hash)
    row = tx.connection.execute(statement.where(leaf.c.event_id == event_id)).first()
    return None if row is None else LeafRow(*row)


def put_tile(tx: Tx, *, level: int, index: int, hashes: bytes) -> None:
    """Insert a full tile; the key refuses a second one."""
    tx.connection.execute(insert(tile).values(level=level, tile_index=index, hashes=hashes))


def get_tile(tx: Tx, *, level: int, index: int) -> bytes:
    """Return the hashes of a full tile.

    Raises:
        LookupError: when it is not full yet.
    """
    where = (tile.c.level == level) & (tile.c.tile_index == index)
    hashes = tx.connection.execute(select(tile.c.hashes).where(where)).scalar_one_or_none()
    if hashes is None:
        raise LookupError(f"tile {level}/{index} is not full")
    return bytes(hashes)


def tiles(tx: Tx) -> Iterator[tuple[int, int, bytes]]:
    """Yield every full tile as level, index and hashes, in order."""
    statement = select(tile.c.level, tile.c.tile_index, tile.c.hashes).order_by(tile.c.level, tile.c.tile_index)
    for row in tx.connection.execute(statement.execution_options(yield_per=FETCH_ROWS)):
        yield row[0], row[1], row[2]


def insert_checkpoint(tx: Tx, *, tree_size: int, at: datetime, root: bytes, note: str | None) -> None:
    """Insert a checkpoint: the sequencer's, without a note, or a signed one; a repeat at one instant adds nothing."""
    values = {"tree_size": tree_size, "signed": note is not None, "at": at, "root": root, "note": note}
    dialect = postgresql if tx.dialect == "postgresql" else sqlite
    tx.connection.execute(dialect.insert(checkpoint).values(values).on_conflict_do_nothing())


def latest_checkpoint(tx: Tx) -> CheckpointRow | None:
    """Return the newest signed checkpoint, or None before the first."""
    newest = _checkpoints().where(checkpoint.c.signed).order_by(checkpoint.c.tree_size.desc(), checkpoint.c.at.desc())
    row = tx.connection.execute(newest.limit(1)).first()
    return None if row is None else CheckpointRow(*row)


def checkpoints(tx: Tx) -> Iterator[CheckpointRow]:
    """Yield every checkpoint, signed or not, smallest tree first."""
    statement = _checkpoints().order_by(checkpoint.c.tree_size, checkpoint.c.at)
    for row in tx.connection.execute(statement.execution_options(yield_per=FETCH_ROWS)):
        yield CheckpointRow(*row)


def get_event(tx: Tx, event_id: str) -> EventRow | None:
    """Return an event, or None."""
    row = tx.connection.execute(_events().where(event.c.id == event_id)).first()
    return None if row is None else _event(row)


def event_for(tx: Tx, *, country: str, event_id: str) -> EventRow | None:
    """Return an event that this country's officers may see, or None: not there and not theirs look the same."""
    row = tx.connection.execute(_seen_by(country).where(event.c.id == event_id)).first()
    return None if row is None else _event(row)


def list_events(
    tx: Tx, *, country: str, after: str | None = None, limit: int = 100, filters: EventFilter = NO_FILTER
) -> list[EventRow]:
    """Return a page of what a country's officers may see, newest first, from behind the event `after`."""
    statement = _seen_by(country)
    if after is not None:
        statement = statement.where(event_audience.c.event_id < after)
    for column in ("partner_id", "kind", "outcome", "request_id"):
        value = getattr(filters, column)
        if value is not None:
            statement = statement.where(event.c[column] == value)
    if filters.since is not None:
        statement = statement.where(event.c.at >= filters.since)
    if filters.until is not None:
        statement = statement.where(event.c.at < filters.until)
    page = statement.order_by(event_audience.c.event_id.desc()).limit(min(limit, PAGE_MAX))
    return [_event(row) for row in tx.connection.execute(page)]


def audience_of(tx: Tx, event_id: str) -> frozenset[str]:
    """Return the countries whose officers may see an event."""
    statement = select(event_audience.c.country).where(event_audience.c.event_id == event_id)
    return frozenset(tx.connection.execute(statement).scalars())


def all_events(tx: Tx) -> Iterator[EventRow]:
    """Yield every event, by id; for fsck."""
    statement = _events().order_by(event.c.id)
    for row in tx.connection.execute(statement.execution_options(yield_per=FETCH_ROWS)):
        yield _event(row)


def unplaced_events(tx: Tx) -> list[str]:
    """Return the ids of events that are neither in the tree nor pending: there must be none."""
    statement = (
        select(event.c.id)
        .outerjoin(leaf, leaf.c.event_id == event.c.id)
        .outerjoin(pending_event, pending_event.c.event_id == event.c.id)
        .where(leaf.c.event_id.is_(None), pending_event.c.event_id.is_(None))
    )
    return list(tx.connection.execute(statement.limit(PAGE_MAX)).scalars())


def count_events(tx: Tx) -> int:
    """Return how many events there are."""
    return int(tx.connection.execute(select(func.count()).select_from(event)).scalar_one())


def _head(tx: Tx, statement: Select[*tuple[Any, ...]]) -> HeadRow:
    row = tx.connection.execute(statement).first()
    if row is None:
        raise LookupError("no log was created in this database")
    return HeadRow(row.origin, row.size, row.edge, row.root, row.created_at)


def _checkpoints() -> Select[*tuple[Any, ...]]:
    return select(checkpoint.c.tree_size, checkpoint.c.at, checkpoint.c.root, checkpoint.c.note)


def _events() -> Select[*tuple[Any, ...]]:
    return select(*(event.c[name] for name in EventRow.__dataclass_fields__))


def _seen_by(country: str) -> Select[*tuple[Any, ...]]:
    joined = _events().join(event_audience, event_audience.c.event_id == event.c.id)
    return joined.where(event_audience.c.country == country)


def _event(row: Row[*tuple[Any, ...]]) -> EventRow:
    return EventRow(*row)
