# SPDX-License-Identifier: Apache-2.0
"""What can stand in the audit log; this file is about the closed list of event kinds and their typed fields.

Each kind is one class and each field of the class is one salted digest of the entry (docs/AUDIT-EVENTS.md is
compared with this file by a test). Together with the fields that every event has, they answer what NIST SP 800-53
AU-3 asks: what happened (`kind`), when (the entry's `at`), where (`path`), from where (`source`), with what
`outcome`, and by whom (`actor`, `partner`). Nothing here is free text from a caller, and no kind is ever renamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields

from gateway.auditlog import event_kinds_exchange, event_kinds_governance, event_kinds_life
from gateway.auditlog.events import OPERATOR, AuditEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEvent(AuditEvent):
    """What every event of a request says: its path or route, without the query, and the SHA-256 of the certificate."""

    path: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionAccepted(RequestEvent):
    """A submission was kept; it commits to all that proves what was sent, by whom and under which rules."""

    kind = "submission.accepted"
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
class SubmissionRefused(RequestEvent):
    """A submission or dry run was refused; how far it got decides which fields there are."""

    kind = "submission.refused"
    outcome = "failure"
    personal = frozenset({"line_hmac"})
    sealed = frozenset({"line_hmac"})
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
class SubmissionValidated(RequestEvent):
    """A dry run was judged and nothing of it was kept."""

    kind = "submission.validated"
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
class RequestRefused(RequestEvent):
    """Any other request was refused, for example by a caller whose certificate is not pinned."""

    kind = "request.refused"
    outcome = "failure"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsLimited(AuditEvent):
    """A burst of requests was turned away, for its rate or as one of many strangers: one event for all of it."""

    kind = "requests.limited"
    outcome = "failure"
    source: str
    reason: str
    count: int
    since: str
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeRefused(AuditEvent):
    """A TLS handshake was refused with an alert; `count` when many of one kind came in a row."""

    kind = "handshake.refused"
    outcome = "failure"
    personal = frozenset({"address"})
    source: str
    reason: str
    count: int = 1
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateRead(RequestEvent):
    """A partner read statistics of one owner under an agreement; each owner of one answer has its own event."""

    kind = "aggregate.read"
    dataflow: str
    query_digest: str
    purpose: str
    owner: str
    policy_set: str
    policies: tuple[str, ...]
    cell_count: int
    suppressed_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateRefused(RequestEvent):
    """A partner was not given statistics it asked for; each owner that it named has its own event."""

    kind = "aggregate.refused"
    outcome = "failure"
    reason: str
    dataflow: str | None = None
    query_digest: str | None = None
    purpose: str | None = None
    owner: str | None = None
    policy_set: str | None = None
    policies: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalsRead(RequestEvent):
    """A partner read the totals of its own records."""

    kind = "totals.read"
    product: str
    query_digest: str
    policy_set: str
    policies: tuple[str, ...]
    row_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRun(RequestEvent):
    """An officer searched or opened events of the own country; the query is kept as a digest, not as text."""

    kind = "search.run"
    query_digest: str
    result_count: int
    policy_set: str | None = None
    policies: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsDeleted(AuditEvent):
    """Records past their retention were deleted; the root is over their leaf hashes, which stay."""

    kind = "records.deleted"
    product: str
    before: str
    deleted_count: int
    deleted_root: str
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStarted(AuditEvent):
    """The log's first entry, which binds its name."""

    kind = "log.started"
    origin: str
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRestored(AuditEvent):
    """The log goes on from a backup; the newest checkpoint that anyone holds is not ahead of it."""

    kind = "log.restored"
    origin: str
    restored_at: str
    tree_size: int
    root: str
    # What it was compared with; without it the operator stated that nobody holds a newer one.
    compared_size: int | None = None
    source: str = OPERATOR


EVENT_CLASSES: Mapping[str, type[AuditEvent]] = {
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
        RecordsDeleted,
        LogStarted,
        LogRestored,
        *event_kinds_exchange.KINDS,
        *event_kinds_life.KINDS,
        *event_kinds_governance.KINDS,
    )
}


def required_fields(kind: str) -> frozenset[str]:
    """Return the names that every event of a kind has, beside the common ones."""
    return frozenset(entry.name for entry in fields(EVENT_CLASSES[kind]) if entry.default is MISSING)


def field_names(kind: str) -> tuple[str, ...]:
    """Return all names that an event of a kind may have, beside the common ones."""
    return tuple(entry.name for entry in fields(EVENT_CLASSES[kind]))
