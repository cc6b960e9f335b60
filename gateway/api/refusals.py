# SPDX-License-Identifier: Apache-2.0
"""What the edge itself refuses; this file is about the audit events of refusals that no use case has recorded."""

from __future__ import annotations

from datetime import datetime

from gateway.api.desk import Desk
from gateway.api.limits import NOBODY, Burst, Key, network_of
from gateway.api.visit import Visit
from gateway.auditlog.event_kinds import HandshakeRefused, RequestRefused, RequestsLimited
from gateway.auditlog.events import NO_PARTNER, AuditEvent, record_event
from gateway.clock import format_instant
from gateway.errors import CertificateRefused, RateLimited, Reason, Refusal, StorageUnavailable, UnknownPartner
from gateway.identifiers import new_id

REQUEST = "request"
HANDSHAKE = "handshake"


def record_refusal(desk: Desk, visit: Visit, refusal: Refusal) -> str | None:
    """Commit the audit event of a refusal before it is answered, and return its id.

    A refusal for the rate is recorded when a burst begins and once more, with its count, when the burst is over; so
    are the refusals of strangers, once they have left more events than strangers may.
    When the database is away there is nowhere to write to, and nothing happened.
    """
    if isinstance(refusal, UnknownPartner | CertificateRefused):
        desk.rate.forget(visit.source)
    if refusal.audit_event or isinstance(refusal, StorageUnavailable):
        return refusal.audit_event
    stranger = visit.caller is None and desk.rate.name_of(visit.source) is None
    if isinstance(refusal, RateLimited):
        return _count(desk, visit, refusal, stranger=stranger)
    try:
        if stranger:
            desk.bursts.spend(at=visit.at)
    except RateLimited:
        return _count(desk, visit, refusal, stranger=True)
    event = RequestRefused(path=visit.place, source=visit.source, reason=refusal.reason.value)
    return _record(desk, event, visit=visit)


def record_handshake(desk: Desk, reason: Reason, address: str, *, at: datetime) -> None:
    """Commit the audit event of a refused handshake; many of one kind from one network are one event more."""
    key = Key(HANDSHAKE, reason.value, network_of(address))
    if burst := desk.bursts.count(key, at=at, stranger=True):
        _record(desk, _burst_event(key, burst))


def record_bursts(desk: Desk, *, at: datetime) -> None:
    """Commit one event for each burst of refusals that is over."""
    for key, burst in desk.bursts.over(at=at):
        _record(desk, _burst_event(key, burst))


def _count(desk: Desk, visit: Visit, refusal: Refusal, *, stranger: bool) -> str | None:
    key = Key(REQUEST, refusal.reason.value, visit.source)
    burst = desk.bursts.count(key, at=visit.at, stranger=stranger)
    return _record(desk, _burst_event(key, burst), visit=visit) if burst else None


def _burst_event(key: Key, burst: Burst) -> AuditEvent:
    if key.kind == HANDSHAKE:
        address = None if key.caller == NOBODY else key.caller
        return HandshakeRefused(source=NO_PARTNER, reason=key.reason, count=burst.count, address=address)
    return RequestsLimited(
        source=key.caller,
        reason=key.reason,
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
