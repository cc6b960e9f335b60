# SPDX-License-Identifier: Apache-2.0
"""Deleting what may not be kept longer; this file is about the daily job over records and spent nonces."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from gateway.auditlog.event_kinds import RecordsDeleted
from gateway.auditlog.events import OPERATOR, record_event
from gateway.clock import Clock
from gateway.identifiers import country_of, new_id
from gateway.storage import retention
from gateway.storage.engine import Storage, Tx
from gateway.storage.submissions import forget_nonces
from gateway.trip import TableShape
from gateway.wire.digests import b64
from gateway.wire.merkle import RunningRoot


def delete_expired(storage: Storage, shapes: Sequence[TableShape], *, clock: Clock) -> int:
    """Delete every record whose `retention_until` has passed, and return how many there were.

    Each batch is one transaction: rows go, tombstones and the event come. The files forget the bytes at the end;
    after a crash before that, the next run sees to it, because it always cleans.
    """
    day = clock.now().date().isoformat()
    deleted_count = 0
    for shape in shapes:
        for partner_id in storage.read(partial(retention.partners_with_due_records, shape=shape, day=day)):
            batch = partial(_batch, shape=shape, partner_id=partner_id, day=day, clock=clock)
            while count := storage.write(batch):
                deleted_count += count
    storage.write(lambda tx: forget_nonces(tx, before=clock.now()))
    storage.vacuum(_touched(storage, shapes))
    return deleted_count


def _batch(tx: Tx, *, shape: TableShape, partner_id: str, day: str, clock: Clock) -> int:
    deleted = retention.delete_due(tx, shape, day=day, partner_id=partner_id)
    if not deleted:
        return 0
    root = RunningRoot()
    for record in deleted:
        root.append(record.leaf_hash)
    now = clock.now()
    event_id = record_event(
        tx,
        RecordsDeleted(product=shape.product, before=day, deleted_count=len(deleted), deleted_root=b64(root.root())),
        at=now,
        partner_id=partner_id,
        audience=frozenset({country_of(partner_id)}),
        actor=OPERATOR,
        request_id=new_id(now),
    )
    retention.bury(tx, shape, deleted, partner_id=partner_id, at=now, event_id=event_id)
    return len(deleted)


def _touched(storage: Storage, shapes: Sequence[TableShape]) -> list[str]:
    with_retention = [shape for shape in shapes if shape.retention_column is not None]
    return storage.read(lambda tx: [name for shape in with_retention for name in retention.tables_to_vacuum(tx, shape)])
