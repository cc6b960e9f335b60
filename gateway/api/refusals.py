# SPDX-License-Identifier: Apache-2.0
"""What the edge itself refuses; this file is about the audit events of refusals that no use case has recorded."""

from __future__ import annotations

from datetime import datetime

from gateway.api.desk import Desk
from gateway.api.limits import Burst
from gateway.api.visit import Visit
from gateway.auditlog.event_kinds import HandshakeRefused, RequestRefused, RequestsLimited
from gateway.auditlog.events import NO_PARTNER, AuditEvent, record_event
from gateway.clock import format_instant
from gateway.errors import RateLimited, Reason, Refusal, StorageUnavailable
from gateway.identifiers import new_id


def record_refusal(desk: Desk, visit: Visit, refusal: Refusal) -> str | None:
    """Commit the audit event of a refusal before it is answered, and return its id.

    A refusal for the rate is recorded when a burst begins and once more, with its count, when the burst is over.
    When the database is away there is nowhere to write to, and nothing happened.
    """
    if refusal.audit_event or isinstance(refusal, StorageUnavailable):
        return refusal.audit_event
    if isinstance(refusal, RateLimited):
        burst = desk.bursts.count(("request", visit.source), at=visit.at)
        return _record(desk, _limited(visit.source, burst), visit=visit) if burst else None
    event = RequestRefused(path=visit.path, source=visit.source, reason=refusal.reason.value)
    return _record(desk, event, visit=visit)


def record_handshake(desk: Desk, reason: Reason, address: str, *, at: datetime) -> None:
    """Commit the audit event of a refused handshake; many of one kind from one host are one event more."""
    host = address.rpartition(":")[0] or address
    if desk.bursts.count((reason.value, host), at=at):
        _record(desk, HandshakeRefused(source=NO_PARTNER, reason=reason.value, address=host))


def record_bursts(desk: Desk, *, at: datetime) -> None:
    """Commit one event for each burst of refusals that is over."""
    for key, burst in desk.bursts.over(at=at):
        kind, caller = key
        if kind == "request":
            _record(desk, _limited(caller, burst))
        else:
            _record(desk, HandshakeRefused(source=NO_PARTNER, reason=kind, count=burst.count, address=caller))


def _limited(source: str, burst: Burst) -> RequestsLimited:
    return RequestsLimited(
        source=source,
        reason=Reason.RATE_LIMITED.value,
        count=burst.count,
        since=format_instant(burst.since),
        until=format_instant(burst.until),
    )


def _record(desk: Desk, event: AuditEvent, *, visit: Visit | None = None) -> str:
    now = desk.intake.clock.now()
    caller = visit.caller if visit else None
    event_id = desk.intake.storage.write(
        lambda tx: record_event(
            tx,
            event,
            at=now,
            partner_id=caller.id if caller else NO_PARTNER,
            audience=frozenset({caller.country}) if caller else frozenset(),
            actor=caller.id if caller else NO_PARTNER,
            request_id=visit.request_id if visit else new_id(now),
        )
    )
    desk.keeper.wake()
    return event_id
