# SPDX-License-Identifier: Apache-2.0
"""More that can stand in the audit log; this file is about the kinds of a partner's and an officer's life.

They follow the rules of `event_kinds.py`, which takes them into its closed list.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.auditlog.events import OPERATOR, AuditEvent


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

    kind = "partner.enrolled"
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerSuspended(PartnerChange):
    """A partner may do nothing until it is resumed."""

    kind = "partner.suspended"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerResumed(PartnerChange):
    """A suspended partner may act again."""

    kind = "partner.resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerRevoked(PartnerChange):
    """A partner has ended."""

    kind = "partner.revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficerEnrolled(AuditEvent):
    """A person got a role of a government."""

    kind = "officer.enrolled"
    personal = frozenset({"subject"})
    subject: str
    country: str
    roles: tuple[str, ...]
    approval_keyid: str
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficerChange(AuditEvent):
    """What all changes of an officer's status say."""

    personal = frozenset({"subject"})
    subject: str
    country: str
    status: str
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficerSuspended(OfficerChange):
    """An officer may do nothing until resumed, and what they signed and waits counts for nothing."""

    kind = "officer.suspended"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficerResumed(OfficerChange):
    """A suspended officer may act again."""

    kind = "officer.resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficerRevoked(OfficerChange):
    """An officer has ended; what is in force with their signature stays, until their government withdraws it."""

    kind = "officer.revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatePinned(AuditEvent):
    """A client certificate was tied to a partner or officer."""

    kind = "certificate.pinned"
    subject: str
    certificate: str
    not_after: str
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRevoked(AuditEvent):
    """A pinned client certificate opens nothing any more."""

    kind = "certificate.revoked"
    subject: str
    certificate: str
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAdded(AuditEvent):
    """A partner got a signing key."""

    kind = "key.added"
    subject: str
    keyid: str
    algorithm: str
    not_before: str
    not_after: str | None = None
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEnded(AuditEvent):
    """A partner's signing key signs nothing from a time on; what it signed before stays proven."""

    kind = "key.ended"
    subject: str
    keyid: str
    not_after: str
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerInvited(AuditEvent):
    """A government body may answer an invitation once, until a time."""

    kind = "partner.invited"
    subject: str
    country: str
    roles: tuple[str, ...]
    expires_at: str
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationAnswered(AuditEvent):
    """An invited body named its certificate, its key and the contracts that it accepts; it may do nothing yet."""

    kind = "invitation.answered"
    path: str
    source: str
    subject: str
    certificate: str
    keyid: str
    contracts: tuple[str, ...]
    statement_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerActivated(AuditEvent):
    """What an invited body said of itself counts: it is a partner."""

    kind = "partner.activated"
    subject: str
    country: str
    contracts: tuple[str, ...]
    statement_digest: str
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryWarned(AuditEvent):
    """Something ends within so many days: a partner's last certificate or key, an agreement, a country's anchors."""

    kind = "expiry.warned"
    subject: str
    what: str
    not_after: str
    days: int
    source: str = OPERATOR


KINDS = (
    PartnerEnrolled,
    PartnerSuspended,
    PartnerResumed,
    PartnerRevoked,
    OfficerEnrolled,
    OfficerSuspended,
    OfficerResumed,
    OfficerRevoked,
    CertificatePinned,
    CertificateRevoked,
    KeyAdded,
    KeyEnded,
    PartnerInvited,
    InvitationAnswered,
    PartnerActivated,
    ExpiryWarned,
)
