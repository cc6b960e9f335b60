# SPDX-License-Identifier: Apache-2.0
"""`gateway sandbox`; this file is about making a complete test deployment in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.speaker import BadInput, speaker_of

app = typer.Typer(no_args_is_help=True, help="A test deployment: three countries, their agencies and officers.")


@app.command("init")
def init(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8443,
    database_url: Annotated[str, typer.Option(help="postgresql+psycopg://…; by default SQLite in the folder.")] = "",
) -> None:
    """Make CAs, certificates, keys, officers, approvals, agreements, a log and a database. All keys are test keys."""
    from gateway.onboarding.sandbox import create_sandbox

    speaker = speaker_of(ctx)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(speaker.say("exists", path=folder))
    files = create_sandbox(folder, port=port, engine_url=database_url or None)
    speaker.tell("sandbox-made", folder=folder)
    speaker.tell("sandbox-serve", path=files.settings)
