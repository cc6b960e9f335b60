# SPDX-License-Identifier: Apache-2.0
"""What can stand in the audit log; this file is about the closed list of event kinds and their typed fields.

Each kind is one class and each field of the class is one salted digest of the entry (docs/AUDIT-EVENTS.md is
compared with this file by a test). Together with the fields that every event has, they answer what NIST SP 800-53
AU-3 asks: what happened (`kind`), when (the entry's `at`), where (`path`), from where (`source`), with what
`outcome`, and by whom (`actor`, `partner`). Nothing here is free text from a caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields

from gateway.auditlog.audit_event import COMMON_FIELDS, NO_PARTNER, OPERATOR, AuditEvent, EventKind
from gateway.auditlog.registry_events import (
    CertificatePinned,
    CertificateRevoked,
    ContractDeprecated,
    ContractPublished,
    ContractRetired,
    KeyAdded,
    LogStarted,
    OfficerEnrolled,
    PartnerEnrolled,
    PartnerResumed,
    PartnerRevoked,
    PartnerSuspended,
    PolicyActivated,
    RecordsDeleted,
)

__all__ = [
    "COMMON_FIELDS",
    "EVENT_CLASSES",
    "NO_PARTNER",
    "OPERATOR",
    "AggregateRead",
    "AggregateRefused",
    "AuditEvent",
    "CertificatePinned",
    "CertificateRevoked",
    "ContractDeprecated",
    "ContractPublished",
    "ContractRetired",
    "EventKind",
    "HandshakeRefused",
    "KeyAdded",
    "LogStarted",
    "OfficerEnrolled",
    "PartnerEnrolled",
    "PartnerResumed",
    "PartnerRevoked",
    "PartnerSuspended",
    "PolicyActivated",
    "RecordsDeleted",
    "RequestRefused",
    "RequestsLimited",
    "SearchRun",
    "SubmissionAccepted",
    "SubmissionRefused",
    "SubmissionValidated",
    "TotalsRead",
    "field_names",
    "required_fields",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionAccepted(AuditEvent):
    """A submission was kept; it commits to all that proves what was sent, by whom and under which rules."""

    kind = EventKind.SUBMISSION_ACCEPTED
    path: str
    source: str
    submission_id: str
    product: str
    version: str
    contract_digest: str
    content_digest: str
    decoded_digest: str
    received_count: int
    accepted_count: int
    duplicate_count: int
    refused_count: int
    quarantined_count: int
    root_received: str
    root_accepted: str
    policy_set: str
    policies: tuple[str, ...]
    decision_digest: str
    signature_base_digest: str
    signature: str
    keyid: str
    algorithm: str
    flags: Mapping[str, int] | None = None
    nil_period: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionRefused(AuditEvent):
    """A submission or dry run was refused; how far it got decides which fields there are."""

    kind = EventKind.SUBMISSION_REFUSED
    outcome = "failure"
    personal = frozenset({"line_hmac"})
    sealed = frozenset({"line_hmac"})
    path: str
    source: str
    reason: str
    product: str | None = None
    version: str | None = None
    contract_digest: str | None = None
    content_digest: str | None = None
    received_count: int | None = None
    refused_count: int | None = None
    codes: Mapping[str, int] | None = None
    policy_set: str | None = None
    policies: tuple[str, ...] | None = None
    signature_base_digest: str | None = None
    signature: str | None = None
    keyid: str | None = None
    # Of a forbidden field: the line's number, the field's name, and an HMAC of the line itself.
    line: int | None = None
    pointer: str | None = None
    line_hmac: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionValidated(AuditEvent):
    """A dry run was judged and nothing of it was kept."""

    kind = EventKind.SUBMISSION_VALIDATED
    path: str
    source: str
    product: str
    version: str
    contract_digest: str
    content_digest: str
    received_count: int
    refused_count: int
    policy_set: str
    policies: tuple[str, ...]
    keyid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefused(AuditEvent):
    """Any other request was refused, for example by a caller whose certificate is not pinned."""

    kind = EventKind.REQUEST_REFUSED
    outcome = "failure"
    path: str
    source: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsLimited(AuditEvent):
    """A burst of requests was turned away for its rate: one event for all of it."""

    kind = EventKind.REQUESTS_LIMITED
    outcome = "failure"
    source: str
    reason: str
    count: int
    since: str
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeRefused(AuditEvent):
    """A TLS handshake was refused with an alert; `count` when many of one kind came in a row."""

    kind = EventKind.HANDSHAKE_REFUSED
    outcome = "failure"
    personal = frozenset({"address"})
    source: str
    reason: str
    count: int = 1
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateRead(AuditEvent):
    """A partner read statistics of one owner under an agreement; each owner of one answer has its own event."""

    kind = EventKind.AGGREGATE_READ
    path: str
    source: str
    dataflow: str
    query_digest: str
    purpose: str
    owner: str
    policy_set: str
    policies: tuple[str, ...]
    cell_count: int
    suppressed_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateRefused(AuditEvent):
    """A partner was not given statistics it asked for; each owner that it named has its own event."""

    kind = EventKind.AGGREGATE_REFUSED
    outcome = "failure"
    path: str
    source: str
    reason: str
    dataflow: str | None = None
    query_digest: str | None = None
    purpose: str | None = None
    owner: str | None = None
    policy_set: str | None = None
    policies: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalsRead(AuditEvent):
    """A partner read the totals of its own records."""

    kind = EventKind.TOTALS_READ
    path: str
    source: str
    product: str
    query_digest: str
    policy_set: str
    policies: tuple[str, ...]
    row_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRun(AuditEvent):
    """An officer searched or opened events of the own country; the query is kept as a digest, not as text."""

    kind = EventKind.SEARCH_RUN
    path: str
    source: str
    query_digest: str
    result_count: int
    policy_set: str | None = None
    policies: tuple[str, ...] | None = None


EVENT_CLASSES: Mapping[EventKind, type[AuditEvent]] = {
    cls.kind: cls
    for cls in (
        SubmissionAccepted,
        SubmissionRefused,
        SubmissionValidated,
        RequestRefused,
        RequestsLimited,
        HandshakeRefused,
        AggregateRead,
        AggregateRefused,
        TotalsRead,
        SearchRun,
        PartnerEnrolled,
        PartnerSuspended,
        PartnerResumed,
        PartnerRevoked,
        OfficerEnrolled,
        CertificatePinned,
        CertificateRevoked,
        KeyAdded,
        ContractPublished,
        ContractDeprecated,
        ContractRetired,
        PolicyActivated,
        RecordsDeleted,
        LogStarted,
    )
}


def required_fields(kind: EventKind) -> frozenset[str]:
    """Return the names that every event of a kind has, beside the common ones."""
    return frozenset(entry.name for entry in fields(EVENT_CLASSES[kind]) if entry.default is MISSING)


def field_names(kind: EventKind) -> tuple[str, ...]:
    """Return all names that an event of a kind may have, beside the common ones."""
    return tuple(entry.name for entry in fields(EVENT_CLASSES[kind]))
