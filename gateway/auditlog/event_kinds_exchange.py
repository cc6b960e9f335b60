# SPDX-License-Identifier: Apache-2.0
"""More that can stand in the audit log; this file is about the kinds of tokens, contested numbers and notices.

They follow the rules of `event_kinds.py`, which takes them into its closed list.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.auditlog.events import AuditEvent


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


KINDS = (TokenIssued,)
