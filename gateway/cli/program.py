# SPDX-License-Identifier: Apache-2.0
"""The command `gateway`; this file is about putting its commands together and ending with the right exit code."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gateway.cli import (
    audit,
    contracts,
    governing,
    officers,
    operating,
    operating_backup,
    operating_partners,
    outbox,
    policies,
    pulling,
    reading,
    starting,
    submitting,
)
from gateway.cli.demo import tour
from gateway.cli.speaker import FINDING, USAGE, Speaker, language_of, speaker_of
from gateway.client.config import LANGUAGES
from gateway.client.failures import ClientFailure, InputUnusable
from gateway.errors import Fault, Refusal


class ReportingGroup(TyperGroup):
    """The one place where what a command raises becomes a sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ClientFailure as failure:
            raise typer.Exit(speaker_of(ctx).explain(failure)) from failure
        except Fault as fault:
            speaker_of(ctx).complain("fault", detail=fault)
            raise typer.Exit(FINDING) from fault
        except Refusal as refusal:
            speaker = speaker_of(ctx)
            speaker.complain("refused", reason=refusal.reason.value, detail=refusal.detail(speaker.language))
            raise typer.Exit(FINDING) from refusal
        except ModuleNotFoundError as error:
            # Commands of the operator import the server when they run; the base package installs without it.
            if (error.name or "").partition(".")[0] == "gateway":
                raise
            speaker_of(ctx).complain("server-missing", name=error.name)
            raise typer.Exit(USAGE) from error


app = typer.Typer(
    name="gateway",
    cls=ReportingGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Secure data exchange between governments: signed submissions, receipts that anyone can check.",
)


@app.callback()
def program(
    ctx: typer.Context,
    language: Annotated[str, typer.Option(help="Language of messages, en or es; by default the locale's.")] = "",
) -> None:
    """Exit codes: 0 done, 1 refused or a finding, 2 wrong use, 3 the gateway cannot be reached."""
    ctx.obj = Speaker(language if language in LANGUAGES else language_of(os.environ))
    if language and language not in LANGUAGES:
        raise InputUnusable(f"--language {language}: en, es")


app.command()(starting.init)
app.command()(starting.join)
app.command()(starting.conformance)
app.command()(starting.doctor)
app.command()(submitting.submit)
app.command()(submitting.validate)
app.command()(pulling.pull)
app.command()(pulling.proxy)
app.command()(reading.own)
app.command()(reading.verify)
app.command()(reading.receipt)
app.command()(audit.recall)
app.command()(operating.fsck)
app.command()(operating.serve)
app.command()(operating_partners.status)
app.command()(operating_partners.reload)
app.command()(operating_backup.restore)
app.command()(tour.demo)
app.add_typer(audit.app, name="audit")
app.add_typer(contracts.app, name="contracts")
app.add_typer(officers.app, name="officer")
app.add_typer(outbox.app, name="outbox")
app.add_typer(policies.app, name="policy")
app.add_typer(operating_backup.backup, name="backup")
app.add_typer(operating.config_app, name="config")
app.add_typer(operating_partners.log, name="log")
app.add_typer(operating_partners.partners, name="partners")
app.add_typer(governing.app, name="govern")
app.add_typer(operating.privacy, name="privacy")
app.add_typer(operating.db, name="db")
app.add_typer(operating.sandbox, name="sandbox")
