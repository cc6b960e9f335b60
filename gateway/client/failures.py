# SPDX-License-Identifier: Apache-2.0
"""What can keep a request from being accepted, seen by its sender; this file is about the SDK's exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.client.outcome import RefusedLine, refused_lines


class ClientFailure(Exception):
    """Anything for which the SDK does not say "accepted"."""


class ConfigInvalid(ClientFailure):
    """The configuration file has a wrong, missing or unreadable entry."""


class InputUnusable(ClientFailure):
    """A file or argument of the caller, or the contract that it names, cannot be used here."""

    def __init__(self, en: str, es: str = "") -> None:
        self.es = es or en
        super().__init__(en)


class BodyTooLarge(ClientFailure):
    """The lines do not fit into one submission; they belong into several."""


class CannotReach(ClientFailure):
    """No usable answer came from the gateway within the bounds; the same call may be made again."""


class HandshakeRefused(CannotReach):
    """One side refused the other's certificate; trying again does not help."""


class ReceiptPending(CannotReach):
    """The submission is stored, its receipt did not come in time; a repeat of the call takes it up."""

    def __init__(self, event_id: str) -> None:
        self.event_id = event_id
        super().__init__(f"stored as {event_id}, the receipt is still pending")


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
        # The public reason, or `http-<status>` where a proxy answered; then the sentence for people.
        self.reason = str(problem.get("reason") or f"http-{status}")
        self.detail = str(problem.get("detail") or problem.get("title") or "")
        super().__init__(f"{self.reason}: {self.detail}")

    def lines(self, language: str) -> tuple[RefusedLine, ...]:
        """Return the records that the problem blames; none where it has no such list in a form that is known."""
        try:
            return refused_lines(self.problem.get("errors") or [], language)
        except ValueError:
            return ()
