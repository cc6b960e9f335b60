# SPDX-License-Identifier: Apache-2.0
"""An auditor from outside; this file is about checking the whole log through what it serves, after every step."""

from __future__ import annotations

from gateway.auditlog import tiles
from gateway.storage import log
from gateway.storage.engine import Storage
from gateway.wire.checkpoint import Checkpoint, parse_checkpoint
from gateway.wire.merkle import consistency_proof, leaf_hash, root_of, tree_root, verify_consistency
from gateway.wire.note import Verifier, open_note
from gateway.wire.tiles import hash_reader, split_bundle, split_tile, tile_width


class Auditor:
    """Knows the log's verifier key and what it saw last; believes nothing else."""

    def __init__(self, storage: Storage, verifier: Verifier) -> None:
        self._storage = storage
        self._verifier = verifier
        self._seen: Checkpoint | None = None

    def audit(self) -> Checkpoint:
        """Fetch everything, fold it again, and hold it against the checkpoint and the one before."""
        text, _ = open_note(self._storage.read(tiles.checkpoint_bytes), [self._verifier])
        checkpoint = parse_checkpoint(text)
        size = checkpoint.tree_size
        hashes = [leaf_hash(entry) for entry in self.entries(size)]
        assert len(hashes) == size
        assert root_of(hashes) == checkpoint.root
        hash_at = hash_reader(lambda level, index: self.tile(level, index, size))
        assert tree_root(size, hash_at) == checkpoint.root
        for index in range(-(-size // 256)):
            assert list(split_tile(self.tile(0, index, size))) == hashes[index * 256 : (index + 1) * 256]
        if self._seen is not None:
            verify_consistency(
                old_size=self._seen.tree_size,
                old_root=self._seen.root,
                new_size=size,
                new_root=checkpoint.root,
                proof=consistency_proof(self._seen.tree_size, size, hash_at),
            )
        self._seen = checkpoint
        return checkpoint

    def entries(self, size: int) -> list[bytes]:
        """Fetch all entries of a size."""
        entries: list[bytes] = []
        for index in range(-(-size // 256)):
            width = min(256, size - 256 * index)
            bundle = self._storage.read(lambda tx, i=index, w=width: tiles.entries_bytes(tx, index=i, width=w))
            entries += split_bundle(bundle)
        return entries

    def tile(self, level: int, index: int, size: int) -> bytes:
        """Fetch the widest form of a tile at a size."""
        width = tile_width(level, index, size)
        return self._storage.read(lambda tx: tiles.tile_bytes(tx, level=level, index=index, width=width))

    def untouched_rows(self) -> list[object]:
        """Return every row but the head, to show that none of them ever changes."""
        return self._storage.read(lambda tx: [*log.leaves(tx, 0, 1 << 40), *log.checkpoints(tx, start=0, end=1 << 40)])
