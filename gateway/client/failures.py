# SPDX-License-Identifier: Apache-2.0
"""What can keep a request from being accepted, seen by its sender; this file is about the SDK's exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ClientFailure(Exception):
    """Anything for which the SDK does not say "accepted"."""


class ConfigInvalid(ClientFailure):
    """The configuration file has a wrong, missing or unreadable entry."""


class CannotReach(ClientFailure):
    """No usable answer came from the gateway within the bounds; the same call may be made again."""


class HandshakeRefused(CannotReach):
    """One side refused the other's certificate; trying again does not help."""


class AnswerNotTrusted(ClientFailure):
    """An answer came that is not signed by the gateway as it must be, or does not belong to the request."""


class ReceiptNotTrusted(ClientFailure):
    """The receipt does not prove that what was sent is in the audit log."""


class Refused(ClientFailure):
    """The gateway understood the request and did not accept it; `problem` is its RFC 9457 document."""

    def __init__(
        self, status: int, problem: Mapping[str, Any], *, signed: bool, retry_after: str | None = None
    ) -> None:
        self.status = status
        self.problem = problem
        self.signed = signed
        self.retry_after = retry_after
        super().__init__(f"{self.reason}: {self.detail}")

    @property
    def reason(self) -> str:
        """Return the public reason, or `http-<status>` where the answer has none."""
        return str(self.problem.get("reason") or f"http-{self.status}")

    @property
    def detail(self) -> str:
        """Return the sentence for people."""
        return str(self.problem.get("detail") or self.problem.get("title") or "")

    @property
    def audit_event(self) -> str:
        """Return the id of the refusal's audit event, empty where the answer names none."""
        return str(self.problem.get("audit_event") or "")
