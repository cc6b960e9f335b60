# SPDX-License-Identifier: Apache-2.0
"""What proves an event; this file is about the receipt, made from what was committed and published.

Its proof leads to the newest signed checkpoint. Whoever may ask for it is decided by the caller; the receipt opens
every field that still has its key.
"""

from __future__ import annotations

from typing import Any

from gateway.auditlog.tiles import TreeReader
from gateway.errors import NotFound
from gateway.storage import log
from gateway.storage.engine import Tx
from gateway.wire.canonical import JSON, parse_canonical
from gateway.wire.entry import Event, disclose, open_event
from gateway.wire.merkle import inclusion_proof
from gateway.wire.note import format_vkey
from gateway.wire.policy_file import LogPolicy
from gateway.wire.proof import Proof, format_proof
from gateway.wire.receipt import format_receipt, status_under


class ReceiptPending(Exception):
    """The event is committed, and no signed checkpoint covers it yet."""


def receipt_of(tx: Tx, event_id: str, *, policy: LogPolicy) -> dict[str, Any]:
    """Return the receipt of an event under the newest signed checkpoint; `policy` is what readers check it against.

    Raises:
        NotFound: when there is no such event.
        ReceiptPending: before a signed checkpoint covers it.
    """
    event = log.get_event(tx, event_id)
    if event is None:
        raise NotFound
    disclosures = disclosures_of(event)
    # Sent only when it opens: a value that was changed behind our back must not leave as evidence.
    open_event(event.entry, event.payload, disclosures)
    return receipt_under(proof_of(tx, event_id), Event(event.entry, event.payload, disclosures), policy=policy)


def receipt_under(proof: Proof, event: Event, *, policy: LogPolicy) -> dict[str, Any]:
    """Return the receipt of an event whose proof is known."""
    verifier = policy.logs[0].verifier
    return format_receipt(
        entry=event.entry,
        payload=event.payload,
        disclosures=event.disclosures,
        proof=format_proof(proof),
        origin=verifier.name,
        vkey=format_vkey(verifier),
        policy_digest=policy.digest,
        status=status_under(policy),
    )


def proof_of(tx: Tx, event_id: str) -> Proof:
    """Return the proof that an event is in the log.

    Raises:
        ReceiptPending: before a signed checkpoint covers it.
    """
    newest, leaf = log.latest_checkpoint(tx), log.leaf_of_event(tx, event_id)
    if newest is None or newest.note is None or leaf is None or leaf.leaf_index >= newest.tree_size:
        raise ReceiptPending(event_id)
    path = inclusion_proof(leaf.leaf_index, newest.tree_size, TreeReader(tx).hash_at)
    return Proof(leaf_index=leaf.leaf_index, hashes=path, checkpoint=newest.note.encode())


def disclosures_of(event: log.StoredEvent) -> tuple[str, ...]:
    """Return the disclosures of all fields whose values and key were not erased."""
    disclosures = disclose(fields_of(event.fields), event.key)
    if event.personal is not None and event.personal_key is not None:
        disclosures += disclose(fields_of(event.personal), event.personal_key)
    return disclosures


def fields_of(text: str) -> dict[str, JSON]:
    """Read the stored fields of an event.

    Raises:
        ValueError: when they are not as they were written.
    """
    value = parse_canonical(text.encode())
    return dict(value) if isinstance(value, dict) else {}
