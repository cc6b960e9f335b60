# SPDX-License-Identifier: Apache-2.0
"""What the operator does; this file is about the events of acts on the registry, contracts, policies and the log."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.auditlog.audit_event import OPERATOR, AuditEvent, EventKind


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerChange(AuditEvent):
    """What all changes of a partner's status say."""

    subject: str
    country: str
    status: str
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerEnrolled(PartnerChange):
    """A government body became a partner."""

    kind = EventKind.PARTNER_ENROLLED
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerSuspended(PartnerChange):
    """A partner may do nothing until it is resumed."""

    kind = EventKind.PARTNER_SUSPENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerResumed(PartnerChange):
    """A suspended partner may act again."""

    kind = EventKind.PARTNER_RESUMED


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerRevoked(PartnerChange):
    """A partner has ended."""

    kind = EventKind.PARTNER_REVOKED


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficerEnrolled(AuditEvent):
    """A person got a role of a government."""

    kind = EventKind.OFFICER_ENROLLED
    personal = frozenset({"subject"})
    subject: str
    country: str
    roles: tuple[str, ...]
    approval_keyid: str
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatePinned(AuditEvent):
    """A client certificate was tied to a partner or officer."""

    kind = EventKind.CERTIFICATE_PINNED
    subject: str
    certificate: str
    not_after: str
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRevoked(AuditEvent):
    """A pinned client certificate opens nothing any more."""

    kind = EventKind.CERTIFICATE_REVOKED
    subject: str
    certificate: str
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAdded(AuditEvent):
    """A partner got a signing key."""

    kind = EventKind.KEY_ADDED
    subject: str
    keyid: str
    algorithm: str
    not_before: str
    not_after: str | None = None
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractChange(AuditEvent):
    """What all changes of a contract version's state say."""

    product: str
    version: str
    contract_digest: str
    approved_by: tuple[str, ...]
    sunset: str | None = None
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractPublished(ContractChange):
    """A contract version that all parties approved came into force."""

    kind = EventKind.CONTRACT_PUBLISHED


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractDeprecated(ContractChange):
    """A contract version has a day after which it is not accepted."""

    kind = EventKind.CONTRACT_DEPRECATED


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractRetired(ContractChange):
    """A contract version is not accepted any more."""

    kind = EventKind.CONTRACT_RETIRED


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyActivated(AuditEvent):
    """A set of policies and agreements decides from now on."""

    kind = EventKind.POLICY_ACTIVATED
    policy_set: str
    agreements: tuple[str, ...]
    approved_by: tuple[str, ...]
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsDeleted(AuditEvent):
    """Records past their retention were deleted; the root is over their leaf hashes, which stay."""

    kind = EventKind.RECORDS_DELETED
    product: str
    before: str
    deleted_count: int
    deleted_root: str
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStarted(AuditEvent):
    """The log's first entry, which binds its name."""

    kind = EventKind.LOG_STARTED
    origin: str
    source: str = OPERATOR
