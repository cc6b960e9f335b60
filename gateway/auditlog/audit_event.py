# SPDX-License-Identifier: Apache-2.0
"""What all events have in common; this file is about the names of the kinds and the value that each kind is made of."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import ClassVar

from gateway.wire.canonical import JSON

# In every event, added by `events.record_event`. The actor moves to the personal fields when it is a person.
COMMON_FIELDS = ("kind", "outcome", "partner", "actor", "audience", "request_id")
# The partner of an event that no partner caused: the operator's acts, and callers that nobody knows.
NO_PARTNER = "-"
OPERATOR = "operator"


class EventKind(StrEnum):
    """The closed list of event kinds; a name is never changed or used again."""

    SUBMISSION_ACCEPTED = "submission.accepted"
    SUBMISSION_REFUSED = "submission.refused"
    SUBMISSION_VALIDATED = "submission.validated"
    REQUEST_REFUSED = "request.refused"
    REQUESTS_LIMITED = "requests.limited"
    HANDSHAKE_REFUSED = "handshake.refused"
    AGGREGATE_READ = "aggregate.read"
    AGGREGATE_REFUSED = "aggregate.refused"
    TOTALS_READ = "totals.read"
    SEARCH_RUN = "search.run"
    PARTNER_ENROLLED = "partner.enrolled"
    PARTNER_SUSPENDED = "partner.suspended"
    PARTNER_RESUMED = "partner.resumed"
    PARTNER_REVOKED = "partner.revoked"
    OFFICER_ENROLLED = "officer.enrolled"
    CERTIFICATE_PINNED = "certificate.pinned"
    CERTIFICATE_REVOKED = "certificate.revoked"
    KEY_ADDED = "key.added"
    CONTRACT_PUBLISHED = "contract.published"
    CONTRACT_DEPRECATED = "contract.deprecated"
    CONTRACT_RETIRED = "contract.retired"
    POLICY_ACTIVATED = "policy.activated"
    RECORDS_DELETED = "records.deleted"
    LOG_STARTED = "log.started"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """What one event says; `personal` names the fields that lie under the erasable key.

    `sealed` values are never kept: an HMAC of them under the erasable key is, so that who holds the original can
    prove it was the one, and nobody can once the key is gone.
    """

    kind: ClassVar[EventKind]
    outcome: ClassVar[str] = "success"
    personal: ClassVar[frozenset[str]] = frozenset()
    sealed: ClassVar[frozenset[str]] = frozenset()


def values_of(event: AuditEvent) -> dict[str, JSON]:
    """Return the present fields of an event as JSON, without the sealed ones."""
    values: dict[str, JSON] = {}
    for entry in fields(event):
        value: JSON | None = getattr(event, entry.name)
        if value is not None and entry.name not in event.sealed:
            values[entry.name] = list(value) if isinstance(value, tuple) else value
    return values


def sealed_of(event: AuditEvent) -> dict[str, bytes]:
    """Return the present sealed values of an event."""
    present = {name: getattr(event, name) for name in event.sealed}
    return {name: value for name, value in present.items() if value is not None}
