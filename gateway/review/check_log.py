# SPDX-License-Identifier: Apache-2.0
"""Does the log hold; this file is about folding the whole tree again and opening every event.

The tree is built anew from the entries alone; tiles, head and every checkpoint are then held against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.auditlog.edge import Edge, FullTile
from gateway.auditlog.receipts import disclosures_of
from gateway.review.findings import Defect, Finding, Progress
from gateway.storage import inspection, log
from gateway.storage.engine import Tx
from gateway.wire.canonical import JSON
from gateway.wire.checkpoint import parse_checkpoint
from gateway.wire.entry import open_event, parse_entry
from gateway.wire.merkle import leaf_hash
from gateway.wire.note import Verifier, open_note

READ_LEAVES = 4096


@dataclass(slots=True)
class _Refold:
    """The tree as the entries give it."""

    tx: Tx
    verifier: Verifier
    edge: Edge = field(default_factory=Edge)
    tile_count: int = 0


def check_tree(tx: Tx, verifier: Verifier, progress: Progress) -> Iterator[Finding]:
    """Yield what is wrong with leaves, tiles, head and checkpoints."""
    try:
        head = log.get_head(tx)
    except log.LogMissing:
        yield Finding(Defect.NO_LOG, "log_head")
        return
    refold = _Refold(tx, verifier)
    yield from _checkpoints_at(refold, 0)
    for start in range(0, head.size, READ_LEAVES):
        end = min(head.size, start + READ_LEAVES)
        yield from _fold(refold, start, end)
        progress("leaves", end)
    if (refold.edge.root(), refold.edge.to_bytes()) != (head.root, head.edge):
        yield Finding(Defect.HEAD, f"size {head.size}", "root or edge are not those of the entries")
    for leaf in log.leaves(tx, head.size, head.size + READ_LEAVES):
        yield Finding(Defect.LEAF_BEYOND_HEAD, f"leaf {leaf.leaf_index}")
    for stored in log.checkpoints(tx, start=head.size + 1, end=1 << 62):
        yield Finding(Defect.CHECKPOINT_SIZE, f"size {stored.tree_size}", f"the tree has {head.size} leaves")
    yield from _extra_tiles(refold)


def check_events(tx: Tx, progress: Progress) -> Iterator[Finding]:
    """Yield what is wrong with events: their places, what they say, and who may see them."""
    count = 0
    for count, placed in enumerate(inspection.stream_events(tx), start=1):
        yield from _check_event(placed)
        if count % READ_LEAVES == 0:
            progress("events", count)
    progress("events", count)
    for index in inspection.leaves_without_event(tx):
        yield Finding(Defect.LEAF_WITHOUT_EVENT, f"leaf {index}")


def _fold(refold: _Refold, start: int, end: int) -> Iterator[Finding]:
    leaves = {leaf.leaf_index: leaf for leaf in log.leaves(refold.tx, start, end)}
    # One query for the checkpoints of the range; they are few next to the leaves.
    sizes = {row.tree_size for row in log.checkpoints(refold.tx, start=start + 1, end=end + 1)}
    for index in range(start, end):
        leaf = leaves.get(index)
        if leaf is None:
            yield Finding(Defect.LEAF_MISSING, f"leaf {index}")
            # Go on with something that has no preimage, so that one gap is one gap.
            hash_ = bytes(32)
        else:
            hash_ = leaf_hash(leaf.entry)
            if hash_ != leaf.leaf_hash:
                yield Finding(Defect.LEAF_HASH, f"leaf {index}")
        for tile in refold.edge.append(hash_):
            yield from _check_tile(refold, tile)
        if index + 1 in sizes:
            yield from _checkpoints_at(refold, index + 1)


def _check_tile(refold: _Refold, tile: FullTile) -> Iterator[Finding]:
    refold.tile_count += 1
    try:
        stored = log.get_tile(refold.tx, level=tile.level, index=tile.index)
    except LookupError:
        yield Finding(Defect.TILE_MISSING, f"tile {tile.level}/{tile.index}")
        return
    if stored != tile.hashes:
        yield Finding(Defect.TILE_CONTENT, f"tile {tile.level}/{tile.index}")


def _extra_tiles(refold: _Refold) -> Iterator[Finding]:
    size = refold.edge.size
    for level, index in inspection.stream_tile_places(refold.tx):
        if index < 0 or index >= size >> (8 * (level + 1)):
            yield Finding(Defect.TILE_EXTRA, f"tile {level}/{index}")


def _checkpoints_at(refold: _Refold, size: int) -> Iterator[Finding]:
    root = refold.edge.root()
    for stored in log.checkpoints(refold.tx, start=size, end=size + 1):
        where = f"size {size}"
        if stored.root != root:
            yield Finding(Defect.CHECKPOINT_ROOT, where)
        if stored.note is None:
            continue
        try:
            text, _ = open_note(stored.note.encode(), [refold.verifier])
            signed = parse_checkpoint(text)
        except ValueError as error:
            yield Finding(Defect.CHECKPOINT_SIGNATURE, where, str(error))
            continue
        if (signed.origin, signed.tree_size, signed.root) != (refold.verifier.name, size, root):
            yield Finding(Defect.CHECKPOINT_ROOT, where, "the signed text says another origin, size or root")


def _check_event(placed: inspection.PlacedEvent) -> Iterator[Finding]:
    event, where = placed.event, f"event {placed.event.id}"
    if placed.leaf_entry is None and not placed.pending:
        yield Finding(Defect.EVENT_WITHOUT_PLACE, where)
    if placed.leaf_entry is not None and placed.pending:
        yield Finding(Defect.EVENT_PLACED_AND_PENDING, where)
    if placed.leaf_entry is not None and placed.leaf_entry != event.entry:
        yield Finding(Defect.LEAF_ENTRY, where, "the leaf holds another entry than the event")
    try:
        fields = open_event(event.entry, event.payload, disclosures_of(event))
        entry = parse_entry(event.entry)
    except ValueError as error:
        yield Finding(Defect.EVENT_CONTENT, where, str(error))
        return
    if (entry.event_id, entry.at) != (event.id, event.at) or not _columns_agree(event, fields):
        yield Finding(Defect.EVENT_COLUMNS, where)
    if fields.get("audience") != sorted(placed.audience):
        yield Finding(Defect.EVENT_AUDIENCE, where)


def _columns_agree(event: log.StoredEvent, fields: dict[str, JSON]) -> bool:
    columns = {
        "kind": event.kind,
        "outcome": event.outcome,
        "partner": event.partner_id,
        "request_id": event.request_id,
        "actor": event.actor,
    }
    # The actor may have been erased; all else is there.
    return all(fields.get(name, value if name == "actor" else None) == value for name, value in columns.items())
