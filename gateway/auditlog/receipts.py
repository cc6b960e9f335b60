# SPDX-License-Identifier: Apache-2.0
"""What proves an event; this file is about the receipt, made from what was committed and published.

Its proof leads to the newest signed checkpoint. Whoever may ask for it is decided by the caller; the receipt opens
every field that still has its key.
"""

from __future__ import annotations

from gateway.auditlog.tiles import TreeReader
from gateway.errors import NotFound
from gateway.storage import log
from gateway.storage.engine import Tx
from gateway.wire.canonical import JSON, parse_canonical
from gateway.wire.entry import Event, build_event
from gateway.wire.merkle import inclusion_proof
from gateway.wire.proof import format_proof
from gateway.wire.receipt import format_receipt


class ReceiptPending(Exception):
    """The event is committed, and no signed checkpoint covers it yet."""


def receipt_of(tx: Tx, event_id: str) -> dict[str, JSON]:
    """Return the receipt of an event under the newest signed checkpoint.

    Raises:
        NotFound: when there is no such event.
        ReceiptPending: before a signed checkpoint covers it.
    """
    event = log.get_event(tx, event_id)
    if event is None:
        raise NotFound
    built = open_stored(event)
    proof, origin = proof_of(tx, event_id)
    return format_receipt(event=built, proof=proof, origin=origin)


def proof_of(tx: Tx, event_id: str) -> tuple[str, str]:
    """Return the tlog-proof of an event as text, and the origin of the log.

    Raises:
        ReceiptPending: before a signed checkpoint covers it.
    """
    newest, leaf = log.latest_checkpoint(tx), log.leaf_of_event(tx, event_id)
    if newest is None or newest.note is None or leaf is None or leaf.leaf_index >= newest.tree_size:
        raise ReceiptPending(event_id)
    path = inclusion_proof(leaf.leaf_index, newest.tree_size, TreeReader(tx).hash_at)
    return format_proof(leaf_index=leaf.leaf_index, path=path, checkpoint=newest.note.encode())


def open_stored(event: log.EventRow) -> Event:
    """Return an event's entry, payload and the disclosures that its remaining keys open, made again from its values.

    A value that was changed behind our back no longer gives the stored entry, and the receipt is not made.
    """
    built = build_event(
        event_id=event.id,
        at=event.at,
        fields=_fields(event.fields),
        key=event.key,
        personal=_fields(event.personal or "{}"),
        personal_key=event.personal_key or b"",
    )
    if event.personal_key is not None:
        assert (built.entry, built.payload) == (event.entry, event.payload)
    return Event(entry=event.entry, payload=event.payload, disclosures=built.disclosures)


def _fields(text: str) -> dict[str, JSON]:
    value = parse_canonical(text.encode())
    assert isinstance(value, dict)
    return value
