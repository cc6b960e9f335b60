# SPDX-License-Identifier: Apache-2.0
"""The audit log's rows; this file is about events, their queue, and the leaves, tiles and head of the tree.

Only the head row is ever updated. Pending rows are deleted in the transaction that appends their leaves; all else
is insert and select, so that a database role can be held to just that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select, tuple_, update
from sqlalchemy import Row as SqlRow

from gateway.errors import Fault
from gateway.storage import tables
from gateway.storage.engine import Tx

EVENTS_PAGE_MAX = 500


class LogMissing(Fault):
    """There is no log in this database; it is made by a command, never by starting up."""


class LogExists(Fault):
    """There is a log in this database already."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event with its values and the keys that salt them; see `wire/entry.py`."""

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
class PendingEvent:
    """An event that waits for its place in the tree."""

    event_id: str
    entry: bytes


@dataclass(frozen=True, slots=True)
class Leaf:
    """An entry in its place."""

    leaf_index: int
    event_id: str
    entry: bytes
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The tree as far as it was appended: its name, size, right edge and root."""

    origin: str
    size: int
    edge: bytes
    root: bytes


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A size and root at a time; `note` is the signed text, None for the sequencer's own row."""

    tree_size: int
    at: datetime
    root: bytes
    note: str | None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What an officer looks for; an empty part does not narrow."""

    kinds: frozenset[str] = frozenset()
    partner_id: str = ""
    outcome: str = ""
    request_id: str = ""
    since: datetime | None = None
    until: datetime | None = None


_EVENT_COLUMNS = tuple(tables.event.c[name] for name in StoredEvent.__slots__)


def insert_event(tx: Tx, event: StoredEvent, *, audience: frozenset[str]) -> None:
    """Insert an event, who may see it, and its pending row."""
    values = {name: getattr(event, name) for name in StoredEvent.__slots__}
    tx.connection.execute(insert(tables.event), values)
    if audience:
        rows = [{"country": country, "event_id": event.id} for country in sorted(audience)]
        tx.connection.execute(insert(tables.event_audience), rows)
    tx.connection.execute(insert(tables.pending_event), {"partner_id": event.partner_id, "event_id": event.id})


def has_pending(tx: Tx) -> bool:
    """Say whether any visible event waits for its place."""
    return tx.connection.execute(select(tables.pending_event.c.event_id).limit(1)).first() is not None


def take_pending(tx: Tx, limit: int) -> list[PendingEvent]:
    """Remove up to `limit` visible pending rows, the oldest ids first, and return their events."""
    pending, event = tables.pending_event, tables.event
    rows = tx.connection.execute(
        select(pending.c.partner_id, pending.c.event_id, event.c.entry)
        .join(event, event.c.id == pending.c.event_id)
        .order_by(pending.c.event_id)
        .limit(limit)
    ).all()
    if rows:
        keys = [(row.partner_id, row.event_id) for row in rows]
        tx.connection.execute(delete(pending).where(tuple_(pending.c.partner_id, pending.c.event_id).in_(keys)))
    return [PendingEvent(event_id=row.event_id, entry=row.entry) for row in rows]


def create_head(tx: Tx, *, origin: str, root: bytes, at: datetime) -> None:
    """Insert the head of an empty tree.

    Raises:
        LogExists: when there is a head already.
    """
    if tx.connection.execute(select(tables.log_head.c.origin)).first() is not None:
        raise LogExists(origin)
    values = {"origin": origin, "size": 0, "edge": b"", "root": root, "created_at": at}
    tx.connection.execute(insert(tables.log_head), values)


def get_head(tx: Tx) -> Head:
    """Return the head.

    Raises:
        LogMissing: when no log was created.
    """
    return _head(tx, lock=False)


def head_for_update(tx: Tx) -> Head:
    """Return the head and keep every other sequencer out until the transaction ends.

    Raises:
        LogMissing: when no log was created.
    """
    return _head(tx, lock=True)


def set_head(tx: Tx, *, size: int, edge: bytes, root: bytes) -> None:
    """Move the head; the caller holds it for update."""
    tx.connection.execute(update(tables.log_head).values(size=size, edge=edge, root=root))


def append_leaves(tx: Tx, leaves: Sequence[Leaf]) -> None:
    """Insert leaves in their places."""
    tx.connection.execute(
        insert(tables.leaf),
        [
            {"leaf_index": leaf.leaf_index, "event_id": leaf.event_id, "entry": leaf.entry, "leaf_hash": leaf.leaf_hash}
            for leaf in leaves
        ],
    )


def put_tile(tx: Tx, *, level: int, index: int, hashes: bytes) -> None:
    """Insert a full tile."""
    tx.connection.execute(insert(tables.tile), {"level": level, "tile_index": index, "hashes": hashes})


def get_tile(tx: Tx, *, level: int, index: int) -> bytes:
    """Return the hashes of a full tile.

    Raises:
        LookupError: when there is no such row.
    """
    found = tx.connection.execute(
        select(tables.tile.c.hashes).where(tables.tile.c.level == level, tables.tile.c.tile_index == index)
    ).scalar_one_or_none()
    if found is None:
        raise LookupError(f"there is no full tile {level}/{index}")
    return bytes(found)


def leaves(tx: Tx, start: int, end: int) -> list[Leaf]:
    """Return the leaves with `start <= leaf_index < end`, in order."""
    leaf = tables.leaf
    rows = tx.connection.execute(
        select(leaf.c.leaf_index, leaf.c.event_id, leaf.c.entry, leaf.c.leaf_hash)
        .where(leaf.c.leaf_index >= start, leaf.c.leaf_index < end)
        .order_by(leaf.c.leaf_index)
    )
    return [Leaf(*row) for row in rows]


def leaf_of_event(tx: Tx, event_id: str) -> Leaf | None:
    """Return the leaf of an event, or None while it waits for its place."""
    leaf = tables.leaf
    row = tx.connection.execute(
        select(leaf.c.leaf_index, leaf.c.event_id, leaf.c.entry, leaf.c.leaf_hash).where(leaf.c.event_id == event_id)
    ).one_or_none()
    return None if row is None else Leaf(*row)


def insert_checkpoint(tx: Tx, *, tree_size: int, at: datetime, root: bytes, note: str | None) -> None:
    """Insert a checkpoint: the sequencer's own, without a note, or a signed one."""
    values = {"tree_size": tree_size, "signed": note is not None, "at": at, "root": root, "note": note}
    tx.connection.execute(insert(tables.checkpoint), values)


def latest_checkpoint(tx: Tx) -> StoredCheckpoint | None:
    """Return the newest signed checkpoint, or None before the first."""
    checkpoint = tables.checkpoint
    row = tx.connection.execute(
        select(checkpoint.c.tree_size, checkpoint.c.at, checkpoint.c.root, checkpoint.c.note)
        .where(checkpoint.c.signed)
        .order_by(checkpoint.c.tree_size.desc(), checkpoint.c.at.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else StoredCheckpoint(*row)


def checkpoints(tx: Tx, *, start: int, end: int) -> list[StoredCheckpoint]:
    """Return all checkpoints, signed or not, with `start <= tree_size < end`, by size."""
    checkpoint = tables.checkpoint
    rows = tx.connection.execute(
        select(checkpoint.c.tree_size, checkpoint.c.at, checkpoint.c.root, checkpoint.c.note)
        .where(checkpoint.c.tree_size >= start, checkpoint.c.tree_size < end)
        .order_by(checkpoint.c.tree_size, checkpoint.c.at)
    )
    return [StoredCheckpoint(*row) for row in rows]


def get_event(tx: Tx, event_id: str) -> StoredEvent | None:
    """Return an event, or None when there is no such id."""
    row = tx.connection.execute(select(*_EVENT_COLUMNS).where(tables.event.c.id == event_id)).one_or_none()
    return None if row is None else _stored(row)


def audience_of(tx: Tx, event_id: str) -> frozenset[str]:
    """Return the countries whose officers may see an event."""
    audience = tables.event_audience
    rows = tx.connection.execute(select(audience.c.country).where(audience.c.event_id == event_id))
    return frozenset(row.country for row in rows)


def list_events(
    tx: Tx, country: str, *, after: str = "", limit: int = EVENTS_PAGE_MAX, filters: EventFilter | None = None
) -> list[StoredEvent]:
    """Return events that a country's officers may see, oldest first: those behind `after`, else the newest ones."""
    audience, event = tables.event_audience, tables.event
    # The audience joins first: what another country has does not even cost a read.
    query = (
        select(*_EVENT_COLUMNS)
        .join(audience, audience.c.event_id == event.c.id)
        .where(audience.c.country == country, *_conditions(filters or EventFilter()))
        .limit(min(limit, EVENTS_PAGE_MAX))
    )
    if after:
        query = query.where(audience.c.event_id > after).order_by(audience.c.event_id)
        return [_stored(row) for row in tx.connection.execute(query)]
    newest = [_stored(row) for row in tx.connection.execute(query.order_by(audience.c.event_id.desc()))]
    return newest[::-1]


def get_visible_event(tx: Tx, country: str, event_id: str) -> StoredEvent | None:
    """Return an event when that country's officers may see it, else None, as if there were none."""
    audience, event = tables.event_audience, tables.event
    row = tx.connection.execute(
        select(*_EVENT_COLUMNS)
        .join(audience, audience.c.event_id == event.c.id)
        .where(audience.c.country == country, audience.c.event_id == event_id)
    ).one_or_none()
    return None if row is None else _stored(row)


def _conditions(filters: EventFilter) -> list[ColumnElement[bool]]:
    event = tables.event.c
    equal = {"partner_id": filters.partner_id, "outcome": filters.outcome, "request_id": filters.request_id}
    conditions = [event[name] == value for name, value in equal.items() if value]
    if filters.kinds:
        conditions.append(event.kind.in_(sorted(filters.kinds)))
    if filters.since is not None:
        conditions.append(event.at >= filters.since)
    if filters.until is not None:
        conditions.append(event.at < filters.until)
    return conditions


def _stored(row: SqlRow[*tuple[Any, ...]]) -> StoredEvent:
    return StoredEvent(*row)


def _head(tx: Tx, *, lock: bool) -> Head:
    head = tables.log_head
    query = select(head.c.origin, head.c.size, head.c.edge, head.c.root)
    # SQLite ignores the clause: its write transactions are one at a time anyway.
    row = tx.connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise LogMissing("this database has no log: run `gateway log create`")
    return Head(*row)
