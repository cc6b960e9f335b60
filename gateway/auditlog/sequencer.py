# SPDX-License-Identifier: Apache-2.0
"""How events get their place; this file is about the sequencer, which moves pending events into the tree.

One pass is one transaction:
(1) lock the head row, so that of any number of sequencers one works at a time;
(2) take the visible pending rows: never "those with a later id", because a late commit would be lost;
(3) append their leaves and the tiles that they fill;
(4) move the head, which is the only row that is ever updated, and store an unsigned checkpoint.
A crash anywhere leaves the events pending and the tree as it was; the next pass starts again.
"""

from __future__ import annotations

from datetime import datetime

from gateway.auditlog.edge import FullTile, parse_edge
from gateway.clock import Clock
from gateway.storage import log
from gateway.storage.engine import Storage, Tx
from gateway.wire.merkle import leaf_hash

BATCH_EVENTS_MAX = 1024


def sequence(storage: Storage, clock: Clock) -> int:
    """Append one batch of pending events to the tree and return how many there were."""
    # Look before locking: an idle pass must not write.
    if not storage.read(log.has_pending):
        return 0
    return storage.write(lambda tx: append_pending(tx, at=clock.now()))


def append_pending(tx: Tx, *, at: datetime) -> int:
    """Move up to `BATCH_EVENTS_MAX` visible pending events into the tree, in the caller's transaction."""
    head = log.get_head(tx, for_update=True)  # (1)
    pending = log.take_pending(tx, BATCH_EVENTS_MAX)  # (2)
    if not pending:
        return 0
    edge = parse_edge(head.size, head.edge)
    leaves: list[log.Leaf] = []
    full: list[FullTile] = []
    for event in pending:
        hash_ = leaf_hash(event.entry)
        leaves.append(log.Leaf(leaf_index=edge.size, event_id=event.event_id, entry=event.entry, leaf_hash=hash_))
        full += edge.append(hash_)
    log.append_leaves(tx, leaves)  # (3)
    for tile in full:
        log.put_tile(tx, level=tile.level, index=tile.index, hashes=tile.hashes)
    root = edge.root()
    log.set_head(tx, size=edge.size, edge=edge.to_bytes(), root=root)  # (4)
    log.insert_checkpoint(tx, tree_size=edge.size, at=at, root=root, note=None)
    return len(pending)
