# SPDX-License-Identifier: Apache-2.0
"""What officers signed; this file is about changes as rows: a document, its signatures, and how far it came."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import insert, select, update

from gateway.storage.engine import Tx
from gateway.storage.governance_tables import change

PAGE_MAX = 500


class Status(StrEnum):
    """How far a change came."""

    WAITING = "waiting"
    # Everyone signed; it takes effect once the log has that under a published checkpoint.
    APPROVED = "approved"
    IN_FORCE = "in-force"
    REJECTED = "rejected"
    EXPIRED = "expired"
    # Approved, and then what it was about had become another.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StoredChange:
    """A change; `event_id` is its newest event, `envelope` the document with every signature so far, JSON."""

    id: str
    act: str
    proposer: str
    status: str
    envelope: str
    proposed_at: datetime
    expires_at: datetime
    event_id: str


def insert_change(tx: Tx, one: StoredChange) -> None:
    """Insert a change; its id is its own and no other's."""
    tx.connection.execute(insert(change).values(asdict(one)))


def get_change(tx: Tx, change_id: str, *, to_change: bool = False) -> StoredChange | None:
    """Return a change, or None when there is none; `to_change` lets nobody else move it until the commit."""
    statement = select(change).where(change.c.id == change_id)
    row = tx.connection.execute(statement.with_for_update() if to_change else statement).mappings().first()
    return None if row is None else StoredChange(**row)


def move_change(tx: Tx, one: StoredChange, status: Status, *, event_id: str, envelope: str = "") -> StoredChange:
    """Let a change come further."""
    moved = replace(one, status=str(status), event_id=event_id, envelope=envelope or one.envelope)
    values = {"status": moved.status, "event_id": moved.event_id, "envelope": moved.envelope}
    tx.connection.execute(update(change).where(change.c.id == one.id).values(values))
    return moved


def list_changes(tx: Tx, statuses: Collection[str], *, before: str = "", limit: int = PAGE_MAX) -> list[StoredChange]:
    """Return changes of some statuses, the newest first, those with an id before one."""
    statement = select(change).where(change.c.status.in_(sorted(statuses)))
    if before:
        statement = statement.where(change.c.id < before)
    rows = tx.connection.execute(statement.order_by(change.c.id.desc()).limit(limit)).mappings()
    return [StoredChange(**row) for row in rows]


def due_changes(tx: Tx, at: datetime) -> list[StoredChange]:
    """Return what everyone signed and what waited too long, the oldest first."""
    c = change.c
    waited = (c.status == Status.WAITING) & (c.expires_at <= at)
    due = select(change).where((c.status == Status.APPROVED) | waited).order_by(c.proposed_at).limit(PAGE_MAX)
    return [StoredChange(**row) for row in tx.connection.execute(due).mappings()]


def changes_of(tx: Tx, ids: Collection[str]) -> list[StoredChange]:
    """Return some changes by their ids."""
    rows = tx.connection.execute(select(change).where(change.c.id.in_(sorted(ids)))).mappings()
    return [StoredChange(**row) for row in rows]
