# SPDX-License-Identifier: Apache-2.0
"""How the commands talk and end; this file is about language, output streams and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import typer

from gateway.cli.texts import TEXTS
from gateway.client.failures import (
    AnswerNotTrusted,
    BodyTooLarge,
    CannotReach,
    ClientFailure,
    ConfigInvalid,
    HandshakeRefused,
    InputUnusable,
    ReceiptNotTrusted,
    ReceiptPending,
    Refused,
)
from gateway.client.outcome import RefusedLine
from gateway.clock import format_instant
from gateway.wire.receipt import VerifiedReceipt

FINDING: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
_REFUSED_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Speaker:
    """Says the sentences of `texts.py` in one language: results on stdout, complaints on stderr."""

    language: str = "en"

    def say(self, key: str, **values: object) -> str:
        """Return a sentence."""
        return TEXTS[key][self.language == "es"].format(**values)

    def tell(self, key: str, **values: object) -> None:
        """Print a result."""
        typer.echo(self.say(key, **values))

    def complain(self, key: str, **values: object) -> None:
        """Print what is wrong, or how far a command is, beside the results."""
        typer.echo(self.say(key, **values).rstrip(), err=True)

    def tell_verified(self, verified: VerifiedReceipt) -> None:
        """Print that a receipt was verified."""
        self.tell("verified", event=verified.event_id, at=format_instant(verified.at))

    def list_refused(self, lines: Sequence[RefusedLine], count: int, *, err: bool = False) -> None:
        """Print the first refused records, and how many more there are."""
        speak = self.complain if err else self.tell
        for line in lines[:_REFUSED_SHOWN]:
            speak("record-error", **asdict(line))
        if (more := max(count, len(lines)) - _REFUSED_SHOWN) > 0:
            speak("more-errors", count=more)

    def explain(self, failure: ClientFailure) -> int:
        """Print a failure and return the exit code that belongs to it."""
        if isinstance(failure, Refused):
            return self._explain_refusal(failure)
        if isinstance(failure, ReceiptPending):
            self.complain("pending", event=failure.event_id)
            return UNREACHABLE
        key, code = next((key, code) for kind, key, code in _FAILURES if isinstance(failure, kind))
        spanish = failure.es if isinstance(failure, InputUnusable) and self.language == "es" else ""
        self.complain(key, detail=spanish or failure)
        return code

    def _explain_refusal(self, refused: Refused) -> int:
        self.complain("refused", reason=refused.reason, detail=refused.detail)
        lines = refused.lines(self.language)
        self.list_refused(lines, len(lines), err=True)
        if policies := refused.problem.get("decision", {}).get("policies"):
            self.complain("decided-by", policies=", ".join(policies))
        if hint := refused.problem.get("hint"):
            self.complain("hint", hint=hint)
        if event := refused.problem.get("audit_event"):
            self.complain("audit-event", event=event)
        if not refused.signed:
            self.complain("refused-unsigned")
        return FINDING


_FAILURES: Final = (
    (HandshakeRefused, "handshake", UNREACHABLE),
    (CannotReach, "cannot-reach", UNREACHABLE),
    (ConfigInvalid, "config", USAGE),
    (InputUnusable, "bad-input", USAGE),
    (BodyTooLarge, "bad-input", USAGE),
    (AnswerNotTrusted, "not-trusted", FINDING),
    (ReceiptNotTrusted, "receipt-not-trusted", FINDING),
)


def speaker_of(ctx: typer.Context) -> Speaker:
    """Return the speaker that the program's callback made."""
    speaker = ctx.find_root().obj
    assert isinstance(speaker, Speaker)
    return speaker


def language_of(environment: Mapping[str, str]) -> str:
    """Return es when the environment's locale is Spanish, else en; the order is that of POSIX."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environment.get(name):
            return "es" if value.lower().startswith("es") else "en"
    return "en"


def on_terminal() -> bool:
    """Say whether stderr is a terminal, where a progress bar makes sense."""
    return sys.stderr.isatty()
