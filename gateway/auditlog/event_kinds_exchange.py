# SPDX-License-Identifier: Apache-2.0
"""More that can stand in the audit log; this file is about the kinds of tokens, contested numbers and notices.

They follow the rules of `event_kinds.py`, which takes them into its closed list.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.auditlog.events import OPERATOR, AuditEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIssued(AuditEvent):
    """A partner got an access token, bound to the certificate that asked; the token itself is not kept."""

    kind = "token.issued"
    path: str
    source: str
    token_id: str
    scopes: tuple[str, ...]
    method: str
    expires_at: str
    policy_set: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionOpened(AuditEvent):
    """Published numbers are contested by their provider, or by an officer of its country."""

    kind = "correction.opened"
    path: str
    source: str
    correction_id: str
    provider: str
    subject: str
    cause: str
    record_count: int
    since: str
    notified_count: int
    policy_set: str
    policies: tuple[str, ...]
    # Of a provider, who signs.
    content_digest: str | None = None
    signature: str | None = None
    keyid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionWithdrawn(AuditEvent):
    """Numbers are not contested any more."""

    kind = "correction.withdrawn"
    path: str
    source: str
    correction_id: str
    provider: str
    notified_count: int
    policy_set: str
    policies: tuple[str, ...]
    content_digest: str | None = None
    signature: str | None = None
    keyid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallRead(AuditEvent):
    """An officer of the owner saw who had read numbers that are contested."""

    kind = "recall.read"
    path: str
    source: str
    correction_id: str
    reader_count: int
    policy_set: str
    policies: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeDelivered(AuditEvent):
    """A partner's webhook took a notice about contested numbers that it had read."""

    kind = "notice.delivered"
    correction_id: str
    number: int
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRegistered(AuditEvent):
    """A partner's notices go to another place from now on."""

    kind = "webhook.registered"
    subject: str
    url_digest: str
    source: str = OPERATOR


KINDS = (TokenIssued, CorrectionOpened, CorrectionWithdrawn, RecallRead, NoticeDelivered, WebhookRegistered)
