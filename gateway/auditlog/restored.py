# SPDX-License-Identifier: Apache-2.0
"""A log that comes from a backup; this file is about making sure that it goes on and does not fork.

After the backup the log may have signed more. If the restored database signed again from its own, older size, two
trees would stand under one name, which is what a log must never do. So nothing is signed until the newest checkpoint
that anyone holds (a receipt, a partner, a witness, a mirror) is shown to be no newer than the restored tree.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from gateway.auditlog.event_kinds import LogRestored
from gateway.auditlog.events import NO_PARTNER, OPERATOR, record_event
from gateway.auditlog.tiles import TreeReader
from gateway.clock import format_instant
from gateway.errors import Fault
from gateway.storage import log
from gateway.storage.engine import Tx
from gateway.wire.checkpoint import Checkpoint, parse_checkpoint
from gateway.wire.digests import b64
from gateway.wire.merkle import ProofInvalid, tree_root
from gateway.wire.note import NoteInvalid, Verifier, open_note
from gateway.wire.proof import HEADER, parse_proof


class RestoreRefused(Fault):
    """The restore is not confirmed; the text says why, and what to do."""


def confirm_restore(
    tx: Tx, newest: bytes | None, verifiers: Sequence[Verifier], *, audience: frozenset[str], at: datetime
) -> str:
    """Let a restored log go on and return its event; `newest` is None when the operator states nobody holds a newer.

    Raises:
        RestoreRefused: when there is nothing to confirm, or the log would fork.
    """
    marked, head = log.restored_at(tx), log.get_head(tx, for_update=True)
    if marked is None:
        raise RestoreRefused("this database waits for no confirmation")
    shown = None if newest is None else _open(newest, verifiers, head.origin)
    if shown is not None:
        _require_ahead(tx, shown)
    log.clear_restored(tx)
    return record_event(
        tx,
        LogRestored(
            origin=head.origin,
            restored_at=format_instant(marked),
            tree_size=head.size,
            root=b64(head.root),
            compared_size=shown.tree_size if shown else None,
        ),
        at=at,
        partner_id=NO_PARTNER,
        audience=audience,
        actor=OPERATOR,
        request_id=NO_PARTNER,
    )


def _open(newest: bytes, verifiers: Sequence[Verifier], origin: str) -> Checkpoint:
    """Read a checkpoint, or a receipt or proof that ends with one, and check its signature."""
    try:
        receipt = newest.startswith(b"{")
        proof = str(json.loads(newest)["proof"]) if receipt else newest.decode()
        note = parse_proof(proof).checkpoint if proof.startswith(HEADER) else newest
        text, _ = open_note(note, verifiers)
        shown = parse_checkpoint(text)
    except (NoteInvalid, ProofInvalid, KeyError, ValueError) as error:
        raise RestoreRefused(f"that is no checkpoint signed by this log: {error}") from error
    if shown.origin != origin:
        raise RestoreRefused(f"that checkpoint is of {shown.origin}, this log is {origin}")
    return shown


def _require_ahead(tx: Tx, shown: Checkpoint) -> None:
    reader = TreeReader(tx)
    if shown.tree_size > reader.size:
        raise RestoreRefused(
            f"the checkpoint has {shown.tree_size} entries and the restored log {reader.size}: signing would fork it. "
            f"Restore a backup that reaches {shown.tree_size}, or take the missing entries from a copy of the log"
        )
    if tree_root(shown.tree_size, reader.hash_at) != shown.root:
        raise RestoreRefused(f"at {shown.tree_size} entries the restored log has another root: it is forked already")
