# SPDX-License-Identifier: Apache-2.0
"""How the tree becomes a promise; this file is about the publisher, the only one that holds the log's key.

It trusts nothing that the sequencer computed. (1) At its start it rebuilds the right edge of the newest signed
checkpoint and holds it against that checkpoint's own root and signature. (2) It reads every new entry, hashes it
again and grows its own tree, so that what it signs extends what it signed before, by construction. (3) It signs
only when its root and the head's are one, and (4) stores the note as a row of its own. A flipped bit, a lost or
doubled leaf, or a head that went back stops it (`TreeInconsistent`) before there is a signature over it.
A crash between (3) and (4) loses a note that nobody has seen; the next pass signs again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial

from gateway.auditlog.tiles import TreeReader
from gateway.clock import Clock
from gateway.errors import Fault
from gateway.storage import log
from gateway.storage.engine import Storage, Tx
from gateway.wire.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from gateway.wire.keys import Signer
from gateway.wire.merkle import RunningRoot, inclusion_proof, leaf_hash
from gateway.wire.note import NoteInvalid, open_note, sign_note, verifier_of
from gateway.wire.proof import Proof

READ_LEAVES_MAX = 4096
PROOFS_MAX = 1024


class TreeInconsistent(Fault):
    """The stored tree does not extend what was signed; nothing is signed until a person has looked."""


@dataclass(frozen=True, slots=True)
class Published:
    """A signed checkpoint, and the proofs under it of the events that it is the first to cover, by event id."""

    checkpoint: Checkpoint
    at: datetime
    proofs: dict[str, Proof]


class Publisher:
    """Re-reads, recomputes and signs; used by one thread at a time."""

    def __init__(self, storage: Storage, signer: Signer, origin: str, clock: Clock) -> None:
        self._storage = storage
        self._signer = signer
        self._origin = origin
        self._clock = clock
        self._verifier = verifier_of(signer, origin)
        self._tree: RunningRoot | None = None

    def publish(self, *, again: bool = False) -> Published | None:
        """Sign the tree as it stands, or return None when that is signed already and `again` is not asked for.

        Raises:
            TreeInconsistent: when the tree is smaller than, or does not extend, what was signed.
            LogRestored: when the database came from a backup and nobody has confirmed that it does not fork.
        """
        newest, head, leaves = self._storage.read(self._look)
        if newest is not None and newest.tree_size == head.size and not again:
            return None
        if head.origin != self._origin:
            raise TreeInconsistent(f"the log is {head.origin}, the key signs for {self._origin}")
        try:
            tree = self._tree or self._storage.read(lambda tx: self._rebuild(tx, newest))
            # Kept only after all went well: a half-grown tree must not meet the next attempt.
            self._tree = None
            event_ids = self._grow(tree, newest, head, leaves)
        except (LookupError, ValueError) as error:
            raise TreeInconsistent(str(error)) from error
        if tree.root() != head.root:
            raise TreeInconsistent(f"the entries do not have the root that the head names at size {head.size}")
        checkpoint = Checkpoint(origin=self._origin, tree_size=head.size, root=head.root)
        note = sign_note(format_checkpoint(self._origin, head.size, head.root), self._signer, self._origin)
        at = self._clock.now()
        proofs = self._storage.write(lambda tx: _store(tx, checkpoint, at=at, note=note, event_ids=event_ids))
        self._tree = tree
        return Published(checkpoint, at, proofs)

    def _look(self, tx: Tx) -> tuple[log.StoredCheckpoint | None, log.Head, Sequence[log.Leaf]]:
        """Return what was signed, the head, and the first leaves that are new, in one view."""
        newest, head = log.latest_checkpoint(tx), log.get_head(tx)
        size = self._tree.size if self._tree else head.size
        end = min(head.size, size + READ_LEAVES_MAX)
        return newest, head, log.leaves(tx, start=size, end=end) if size < end else ()

    def _rebuild(self, tx: Tx, newest: log.StoredCheckpoint | None) -> RunningRoot:
        log.require_confirmed(tx)
        if newest is None:
            return RunningRoot()
        signed = self._open(newest)
        reader = TreeReader(tx)
        if reader.size < signed.tree_size:
            raise TreeInconsistent(f"the tree has {reader.size} leaves, {signed.tree_size} were signed")
        # The edge of a tree is one perfect subtree for each bit set in its size, the widest first.
        levels = [level for level in reversed(range(signed.tree_size.bit_length())) if signed.tree_size >> level & 1]
        peaks = [reader.hash_at(level, (signed.tree_size >> level) - 1) for level in levels]
        tree = RunningRoot(signed.tree_size, b"".join(peaks))
        if tree.root() != signed.root:
            raise TreeInconsistent(f"the stored tree does not have the root that was signed at size {signed.tree_size}")
        return tree

    def _open(self, stored: log.StoredCheckpoint) -> Checkpoint:
        assert stored.note is not None
        try:
            text, _ = open_note(stored.note.encode(), [self._verifier])
            signed = parse_checkpoint(text)
        except (NoteInvalid, ValueError) as error:
            raise TreeInconsistent("the newest checkpoint is not signed by this log's key") from error
        if (signed.origin, signed.tree_size, signed.root) != (self._origin, stored.tree_size, stored.root):
            raise TreeInconsistent("the newest checkpoint's row and its note differ")
        return signed

    def _grow(
        self, tree: RunningRoot, newest: log.StoredCheckpoint | None, head: log.Head, leaves: Sequence[log.Leaf]
    ) -> tuple[str, ...]:
        event_ids: list[str] = []
        # Another publisher may have signed since; then this one re-reads what it has not seen itself.
        if head.size < tree.size or (newest is not None and head.size < newest.tree_size):
            raise TreeInconsistent(f"the head went back to {head.size} leaves")
        while tree.size < head.size:
            start, end = tree.size, min(head.size, tree.size + READ_LEAVES_MAX)
            leaves = leaves or self._storage.read(partial(log.leaves, start=start, end=end))
            if [leaf.leaf_index for leaf in leaves] != list(range(start, end)):
                raise TreeInconsistent(f"there is a gap between the leaves {start} and {end}")
            for leaf in leaves:
                hash_ = leaf_hash(leaf.entry)
                if hash_ != leaf.leaf_hash:
                    raise TreeInconsistent(f"leaf {leaf.leaf_index} does not have its stored hash")
                tree.append(hash_)
            event_ids += [leaf.event_id for leaf in leaves]
            leaves = ()
        return tuple(event_ids)


def _proofs(tx: Tx, checkpoint: Checkpoint, note: bytes, event_ids: Sequence[str]) -> dict[str, Proof]:
    """Return the proofs of the last leaves under a checkpoint; those that crowd a start-up are left to who asks."""
    # Many neighbours share all but the lowest steps of their paths.
    hash_at, first = cache(TreeReader(tx).hash_at), checkpoint.tree_size - len(event_ids)
    return {
        event_id: Proof(index, inclusion_proof(index, checkpoint.tree_size, hash_at), note)
        for index, event_id in enumerate(event_ids[-PROOFS_MAX:], first + max(0, len(event_ids) - PROOFS_MAX))
    }


def _store(tx: Tx, checkpoint: Checkpoint, *, at: datetime, note: bytes, event_ids: Sequence[str]) -> dict[str, Proof]:
    """Keep a signed checkpoint, unless another publisher was quicker with more, and return the proofs under it."""
    newest = log.latest_checkpoint(tx)
    if newest is None or newest.tree_size <= checkpoint.tree_size:
        log.insert_checkpoint(tx, tree_size=checkpoint.tree_size, at=at, root=checkpoint.root, note=note.decode())
    return _proofs(tx, checkpoint, note, event_ids)
