# SPDX-License-Identifier: Apache-2.0
"""How the commands talk and end; this file is about language, output streams and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import typer

from gateway.cli.texts import TEXTS
from gateway.client.failures import (
    AnswerNotTrusted,
    CannotReach,
    ClientFailure,
    ConfigInvalid,
    HandshakeRefused,
    ReceiptNotTrusted,
    Refused,
)
from gateway.client.submit import InputUnusable

OK: Final = 0
FINDING: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
_ERRORS_SHOWN = 10


class BadInput(ClientFailure):
    """A file or argument of the caller cannot be used."""


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
        """Print what is wrong."""
        typer.echo(self.say(key, **values), err=True)

    def complain_text(self, text: str) -> None:
        """Print a line that is no sentence, such as progress, beside the results."""
        typer.echo(text, err=True)

    def explain(self, failure: ClientFailure) -> int:
        """Print a failure and return the exit code that belongs to it."""
        for kind, key, code in _FAILURES:
            if isinstance(failure, kind):
                self.complain(key, detail=self._words_of(failure))
                return code
        assert isinstance(failure, Refused)
        self._explain_refusal(failure)
        return FINDING

    def _words_of(self, failure: ClientFailure) -> str:
        return failure.es if isinstance(failure, InputUnusable) and self.language == "es" else str(failure)

    def _explain_refusal(self, refused: Refused) -> None:
        self.complain("refused", reason=refused.reason, detail=refused.detail)
        errors = refused.problem.get("errors")
        if isinstance(errors, list):
            for error in errors[:_ERRORS_SHOWN]:
                self.complain("record-error", **error_values(error, self.language))
            if len(errors) > _ERRORS_SHOWN:
                self.complain("more-errors", count=len(errors) - _ERRORS_SHOWN)
        if hint := refused.problem.get("hint"):
            self.complain("hint", hint=hint)
        if refused.audit_event:
            self.complain("audit-event", event=refused.audit_event)
        if not refused.signed:
            self.complain("refused-unsigned")


_FAILURES: Final = (
    (HandshakeRefused, "handshake", UNREACHABLE),
    (CannotReach, "cannot-reach", UNREACHABLE),
    (ConfigInvalid, "config", USAGE),
    (BadInput, "bad-input", USAGE),
    (InputUnusable, "bad-input", USAGE),
    (AnswerNotTrusted, "not-trusted", FINDING),
    (ReceiptNotTrusted, "receipt-not-trusted", FINDING),
)


def error_values(error: Mapping[str, object], language: str) -> dict[str, object]:
    """Return the values of one record's error for printing."""
    detail = error.get("detail", "")
    if isinstance(detail, Mapping):
        detail = detail.get(language, "")
    return {**{name: error.get(name, "") for name in ("line", "pointer", "code")}, "detail": detail}


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
