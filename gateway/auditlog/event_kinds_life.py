# SPDX-License-Identifier: Apache-2.0
"""More that can stand in the audit log; this file is about the kinds of a partner's life.

They follow the rules of `event_kinds.py`, which takes them into its closed list.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.auditlog.events import OPERATOR, AuditEvent


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeStopped(AuditEvent):
    """An agreement, a data product or a direction was stopped; nothing of it is permitted until it is resumed."""

    kind = "exchange.stopped"
    what: str
    subject: str
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeResumed(ExchangeStopped):
    """What was stopped is permitted again, as far as rules and agreements permit it."""

    kind = "exchange.resumed"


KINDS = (KeyEnded, PartnerInvited, InvitationAnswered, PartnerActivated, ExpiryWarned, ExchangeStopped, ExchangeResumed)
