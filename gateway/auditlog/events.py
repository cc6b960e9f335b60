# SPDX-License-Identifier: Apache-2.0
"""How an event comes to be; this file is about building one and putting it into the caller's own transaction.

The event, who may see it, and its place in the queue to the tree commit with the business rows or not at all.
A crash before the commit leaves neither; after it the sequencer finds the pending row and does the rest.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import ClassVar

from gateway.identifiers import new_id
from gateway.storage import log
from gateway.storage.engine import Tx
from gateway.wire.canonical import JSON, canonical_bytes
from gateway.wire.digests import b64url
from gateway.wire.entry import Event, build_event

# The partner of an event that no partner caused: the operator's acts, and callers that nobody knows.
NO_PARTNER = "-"
OPERATOR = "operator"
# In every event. The actor moves to the personal fields when it is a person.
COMMON_FIELDS = ("kind", "outcome", "partner", "actor", "audience", "request_id")
KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """What one event says; `personal` names the fields that lie under the erasable key.

    `sealed` values are never kept: an HMAC of them under the erasable key is, so that who holds the original can
    prove it was the one, and nobody can once the key is gone.
    """

    kind: ClassVar[str]
    outcome: ClassVar[str] = "success"
    personal: ClassVar[frozenset[str]] = frozenset()
    sealed: ClassVar[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that is made and not written yet; `audience` are the countries whose officers may see it."""

    row: log.StoredEvent
    audience: frozenset[str]
    built: Event


def record_event(
    tx: Tx,
    event: AuditEvent,
    *,
    at: datetime,
    partner_id: str,
    audience: frozenset[str],
    actor: str,
    request_id: str,
) -> str:
    """Insert an event with its audience and its pending row, and return its id."""
    made = new_event(event, at=at, partner_id=partner_id, audience=audience, actor=actor, request_id=request_id)
    record_events(tx, [made])
    return made.row.id


def record_events(tx: Tx, made: Sequence[NewEvent]) -> None:
    """Insert events with their audiences and their pending rows."""
    log.insert_events(tx, [(each.row, each.audience) for each in made])


def new_event(
    event: AuditEvent, *, at: datetime, partner_id: str, audience: frozenset[str], actor: str, request_id: str
) -> NewEvent:
    """Return an event with its keys and its leaf; an empty audience means the operator alone."""
    # Every salt is an HMAC under one of these two; without them no value can be guessed from its digest.
    key, personal_key = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(KEY_BYTES)
    plain: dict[str, JSON] = {
        "kind": event.kind,
        "outcome": event.outcome,
        "partner": partner_id,
        "audience": sorted(audience),
        "request_id": request_id,
    }
    values = _values_of(event)
    personal: dict[str, JSON] = {name: values.pop(name) for name in event.personal & set(values)}
    personal |= {name: _seal(personal_key, value) for name, value in _sealed_of(event).items()}
    # A person acts here when the actor is neither the partner itself nor the operator's own process.
    (plain if actor in {partner_id, OPERATOR, NO_PARTNER} else personal)["actor"] = actor
    plain |= values
    event_id = new_id(at)
    built = build_event(
        event_id=event_id,
        at=at,
        fields=plain,
        key=key,
        personal=personal,
        personal_key=personal_key if personal else b"",
    )
    stored = log.StoredEvent(
        id=event_id,
        partner_id=partner_id,
        at=at,
        kind=event.kind,
        outcome=event.outcome,
        request_id=request_id,
        actor=actor,
        entry=built.entry,
        payload=built.payload,
        fields=canonical_bytes(plain).decode(),
        key=key,
        personal=canonical_bytes(personal).decode() if personal else None,
        personal_key=personal_key if personal else None,
    )
    return NewEvent(stored, audience, built)


def query_digest(query: Mapping[str, JSON]) -> str:
    """Return the digest of a query's canonical form: it shows that two queries were the same, not what they said."""
    return hashlib.sha256(canonical_bytes(dict(query))).hexdigest()


def _values_of(event: AuditEvent) -> dict[str, JSON]:
    """Return the present fields of an event as JSON, without the sealed ones."""
    values: dict[str, JSON] = {}
    for entry in fields(event):
        value: JSON | None = getattr(event, entry.name)
        if value is not None and entry.name not in event.sealed:
            values[entry.name] = list(value) if isinstance(value, tuple) else value
    return values


def _sealed_of(event: AuditEvent) -> dict[str, bytes]:
    """Return the present sealed values of an event."""
    present = {name: getattr(event, name) for name in event.sealed}
    return {name: value for name, value in present.items() if value is not None}


def _seal(personal_key: bytes, value: bytes) -> str:
    return b64url(hmac.new(personal_key, b"sealed\x00" + value, hashlib.sha256).digest())
