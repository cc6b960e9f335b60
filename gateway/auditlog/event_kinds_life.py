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


KINDS = (KeyEnded,)
