# SPDX-License-Identifier: Apache-2.0
"""The audit log's rows; this file is about events, their queue, and the leaves, tiles and head of the tree.

Only the head row is ever updated. Pending rows are deleted in the transaction that appends their leaves; all else
is insert and select, so that a database role can be held to just that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, bindparam, delete, func, insert, select, update

from gateway.errors import Fault
from gateway.storage import tables
from gateway.storage.bulk import insert_new
from gateway.storage.engine import Tx

EVENTS_PAGE = 100
EVENTS_PAGE_MAX = 500


class LogMissing(Fault):
    """There is no log in this database; it is made by a command, never by starting up."""


class LogExists(Fault):
    """There is a log in this database already."""


class LogRestored(Fault):
    """This database came from a backup; nothing is signed until it is known not to fork."""


class LogClash(Fault):
    """A row of the log stands already that was to be inserted."""


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
class Standing:
    """How far the log is: what was appended, what was signed, what waits, and whether a restore is unconfirmed."""

    tree_size: int
    signed_at: datetime | None
    pending: int
    restored: bool


@dataclass(frozen=True, slots=True)
class EventQuery:
    """What is looked for; an empty part does not narrow. `after` is the last event id of the page before."""

    kind: str = ""
    partner: str = ""
    outcome: str = ""
    request_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    after: str = ""
    limit: int = EVENTS_PAGE


_ANY_PENDING = select(tables.pending_event.c.event_id).limit(1)
_PENDING = (
    select(tables.pending_event.c.partner_id, tables.pending_event.c.event_id, tables.event.c.entry)
    .join(tables.event, tables.event.c.id == tables.pending_event.c.event_id)
    .order_by(tables.pending_event.c.event_id)
    .limit(bindparam("limit"))
)
_TAKE = delete(tables.pending_event).where(
    tables.pending_event.c.partner_id == bindparam("partner"), tables.pending_event.c.event_id == bindparam("event")
)
_HEAD = select(tables.log_head.c.origin, tables.log_head.c.size, tables.log_head.c.edge, tables.log_head.c.root)
_HEAD_FOR_UPDATE = _HEAD.with_for_update()
_MOVE_HEAD = update(tables.log_head)
_INSERT_CHECKPOINT = insert(tables.checkpoint)
_EVENT_COLUMNS = tuple(tables.event.c[name] for name in StoredEvent.__slots__)
_LEAVES = select(*(tables.leaf.c[name] for name in Leaf.__slots__))
_CHECKPOINTS = select(*(tables.checkpoint.c[name] for name in StoredCheckpoint.__slots__))
_LEAF_OF_EVENT = _LEAVES.where(tables.leaf.c.event_id == bindparam("event"))
_LEAVES_BETWEEN = _LEAVES.where(
    tables.leaf.c.leaf_index >= bindparam("start"), tables.leaf.c.leaf_index < bindparam("end")
).order_by(tables.leaf.c.leaf_index)
_NEWEST = (
    _CHECKPOINTS.where(tables.checkpoint.c.signed)
    .order_by(tables.checkpoint.c.tree_size.desc(), tables.checkpoint.c.at.desc())
    .limit(1)
)


def insert_events(tx: Tx, events: Sequence[tuple[StoredEvent, frozenset[str]]]) -> None:
    """Insert events, each with the countries that may see it, and their pending rows."""
    _insert(tx, tables.event, [{name: getattr(event, name) for name in StoredEvent.__slots__} for event, _ in events])
    audience = [
        {"country": country, "event_id": event.id} for event, countries in events for country in sorted(countries)
    ]
    _insert(tx, tables.event_audience, audience)
    _insert(tx, tables.pending_event, [{"partner_id": e.partner_id, "event_id": e.id} for e, _ in events])


def has_pending(tx: Tx) -> bool:
    """Say whether any visible event waits for its place."""
    return tx.connection.execute(_ANY_PENDING).first() is not None


def take_pending(tx: Tx, limit: int) -> list[PendingEvent]:
    """Remove up to `limit` visible pending rows, the oldest ids first, and return their events."""
    rows = tx.connection.execute(_PENDING, {"limit": limit}).all()
    if rows:
        tx.connection.execute(_TAKE, [{"partner": row.partner_id, "event": row.event_id} for row in rows])
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


def get_head(tx: Tx, *, for_update: bool = False) -> Head:
    """Return the head; `for_update` keeps every other sequencer out until the transaction ends.

    Raises:
        LogMissing: when no log was created.
    """
    # SQLite ignores the clause: its write transactions are one at a time anyway.
    row = tx.connection.execute(_HEAD_FOR_UPDATE if for_update else _HEAD).one_or_none()
    if row is None:
        raise LogMissing("this database has no log: run `gateway log create`")
    return Head(*row)


def set_head(tx: Tx, *, size: int, edge: bytes, root: bytes) -> None:
    """Move the head; the caller holds it for update."""
    tx.connection.execute(_MOVE_HEAD, {"size": size, "edge": edge, "root": root})


def append_leaves(tx: Tx, leaves: Sequence[Leaf]) -> None:
    """Insert leaves in their places."""
    rows = [{name: getattr(leaf, name) for name in Leaf.__slots__} for leaf in leaves]
    _insert(tx, tables.leaf, rows)


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
    rows = tx.connection.execute(_LEAVES_BETWEEN, {"start": start, "end": end})
    return [Leaf(*row) for row in rows]


def leaf_of_event(tx: Tx, event_id: str) -> Leaf | None:
    """Return the leaf of an event, or None while it waits for its place."""
    row = tx.connection.execute(_LEAF_OF_EVENT, {"event": event_id}).one_or_none()
    return None if row is None else Leaf(*row)


def insert_checkpoint(tx: Tx, *, tree_size: int, at: datetime, root: bytes, note: str | None) -> None:
    """Insert a checkpoint: the sequencer's own, without a note, or a signed one."""
    values = {"tree_size": tree_size, "signed": note is not None, "at": at, "root": root, "note": note}
    tx.connection.execute(_INSERT_CHECKPOINT, values)


def latest_checkpoint(tx: Tx) -> StoredCheckpoint | None:
    """Return the newest signed checkpoint, or None before the first."""
    row = tx.connection.execute(_NEWEST).one_or_none()
    return None if row is None else StoredCheckpoint(*row)


def checkpoints(tx: Tx, *, start: int, end: int) -> list[StoredCheckpoint]:
    """Return all checkpoints, signed or not, with `start <= tree_size < end`, by size."""
    c = tables.checkpoint.c
    found = _CHECKPOINTS.where(c.tree_size >= start, c.tree_size < end).order_by(c.tree_size, c.at)
    return [StoredCheckpoint(*row) for row in tx.connection.execute(found)]


def standing(tx: Tx) -> Standing:
    """Return how far the log is.

    Raises:
        LogMissing: when no log was created.
    """
    newest = latest_checkpoint(tx)
    pending = tx.connection.execute(select(func.count()).select_from(tables.pending_event)).scalar_one()
    return Standing(get_head(tx).size, newest.at if newest else None, pending, restored_at(tx) is not None)


def mark_restored(tx: Tx, at: datetime) -> None:
    """Say that this database came from a backup."""
    tx.connection.execute(insert(tables.log_restore), {"restored_at": at})


def restored_at(tx: Tx) -> datetime | None:
    """Return when this database was restored, or None when it was not, or the restore was confirmed."""
    return tx.connection.execute(select(tables.log_restore.c.restored_at)).scalars().first()


def clear_restored(tx: Tx) -> None:
    """Say that the restored log does not fork."""
    tx.connection.execute(delete(tables.log_restore))


def require_confirmed(tx: Tx) -> None:
    """Return when the log may be appended to and signed.

    Raises:
        LogRestored: when it came from a backup and nobody has confirmed the restore.
    """
    if restored_at(tx) is not None:
        raise LogRestored("this database came from a backup: run `gateway log confirm-restore`")


def get_event(tx: Tx, event_id: str) -> StoredEvent | None:
    """Return an event, or None when there is no such id."""
    row = tx.connection.execute(select(*_EVENT_COLUMNS).where(tables.event.c.id == event_id)).one_or_none()
    return None if row is None else StoredEvent(*row)


def audience_of(tx: Tx, event_id: str) -> frozenset[str]:
    """Return the countries whose officers may see an event."""
    audience = tables.event_audience
    rows = tx.connection.execute(select(audience.c.country).where(audience.c.event_id == event_id))
    return frozenset(row.country for row in rows)


def list_events(tx: Tx, country: str, query: EventQuery) -> list[StoredEvent]:
    """Return events that a country's officers may see, oldest first: those behind `after`, else the newest ones."""
    event_id = tables.event_audience.c.event_id
    page = _visible_to(country).where(*_conditions(query)).limit(min(query.limit, EVENTS_PAGE_MAX))
    page = page.where(event_id > query.after).order_by(event_id) if query.after else page.order_by(event_id.desc())
    found = [StoredEvent(*row) for row in tx.connection.execute(page)]
    return found if query.after else found[::-1]


def get_visible_event(tx: Tx, country: str, event_id: str) -> StoredEvent | None:
    """Return an event when that country's officers may see it, else None, as if there were none."""
    row = tx.connection.execute(_visible_to(country).where(tables.event.c.id == event_id)).one_or_none()
    return None if row is None else StoredEvent(*row)


def _insert(tx: Tx, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows, or raise LogClash when one stands: nothing of the log is ever left out."""
    if insert_new(tx, table, rows) != len(rows):
        raise LogClash(table.name)


def _visible_to(country: str) -> Select[*tuple[Any, ...]]:
    audience, event = tables.event_audience, tables.event
    # The audience joins first: what another country has does not even cost a read.
    visible = select(*_EVENT_COLUMNS).join(audience, audience.c.event_id == event.c.id)
    return visible.where(audience.c.country == country)


def _conditions(query: EventQuery) -> list[ColumnElement[bool]]:
    c = tables.event.c
    equal = {c.kind: query.kind, c.partner_id: query.partner, c.outcome: query.outcome, c.request_id: query.request_id}
    conditions = [column == value for column, value in equal.items() if value]
    if query.since is not None:
        conditions.append(c.at >= query.since)
    if query.until is not None:
        conditions.append(c.at < query.until)
    return conditions
