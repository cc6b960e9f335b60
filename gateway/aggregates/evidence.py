# SPDX-License-Identifier: Apache-2.0
"""What a pull leaves behind; this file is about its audit event, committed before the answer, given or refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from gateway.aggregates.desk import AggregatesDesk, DataRequest
from gateway.aggregates.query import FlowQuery
from gateway.auditlog.event_kinds import AggregateRead, AggregateRefused, AuditEvent
from gateway.auditlog.events import query_digest, record_event
from gateway.errors import Refusal, StorageUnavailable
from gateway.trip import Partner, Permit


@dataclass(slots=True)
class Reading:
    """One pull while it goes on: who asks for what, and how far it came."""

    desk: AggregatesDesk
    reader: Partner
    request: DataRequest
    query: FlowQuery | None = None
    purpose: str = ""
    named_owners: frozenset[str] = frozenset()
    permits: Mapping[str, Permit] = field(default_factory=dict)
    cell_count: int = 0
    suppressed_count: int = 0


@contextmanager
def refusals_recorded(reading: Reading) -> Iterator[None]:
    """Give every refusal inside the block an audit event in a transaction of its own, and let it go on.

    Raises:
        StorageUnavailable: in the refusal's place when the event cannot be written: no answer without evidence.
    """
    try:
        yield
    except StorageUnavailable:
        # There is nothing to write the event into, and nothing was told.
        raise
    except Refusal as refusal:
        # Who was asked by name may know of it; a wildcard asks nobody in particular.
        refusal.audit_event = _record(reading, _refused(reading, refusal), reading.named_owners)
        raise


def record_read(reading: Reading) -> str:
    """Write down that the cells were read, and return the event's id; the owners' officers see it too."""
    assert reading.query is not None
    policies = {name for permit in reading.permits.values() for name in permit.policies}
    event = AggregateRead(
        path=reading.request.path,
        source=reading.request.source,
        dataflow=reading.desk.flow.reference,
        query_digest=query_digest(reading.query.as_json()),
        purpose=reading.purpose,
        owners=tuple(sorted(reading.permits)),
        policy_set=reading.desk.policy.policies.digest,
        policies=tuple(sorted(policies)),
        cell_count=reading.cell_count,
        suppressed_count=reading.suppressed_count,
    )
    return _record(reading, event, frozenset(reading.permits))


def _record(reading: Reading, event: AuditEvent, owners: frozenset[str]) -> str:
    desk, reader = reading.desk, reading.reader
    return desk.storage.write(
        lambda tx: record_event(
            tx,
            event,
            at=desk.clock.now(),
            partner_id=reader.id,
            audience=owners | {reader.country},
            actor=reader.id,
            request_id=reading.request.request_id,
        )
    )


def _refused(reading: Reading, refusal: Refusal) -> AggregateRefused:
    decision = refusal.extra.get("decision")
    decided = decision if isinstance(decision, dict) else {}
    return AggregateRefused(
        path=reading.request.path,
        source=reading.request.source,
        reason=refusal.reason.value,
        dataflow=reading.desk.flow.reference,
        query_digest=query_digest(reading.query.as_json()) if reading.query else None,
        purpose=reading.purpose or None,
        owners=tuple(sorted(reading.named_owners)) or None,
        policy_set=decided.get("policy_set"),
        policies=tuple(decided["policies"]) if decided.get("policies") else None,
    )
