# SPDX-License-Identifier: Apache-2.0
"""`gateway receipt`; this file is about fetching a receipt that was pending, or again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.connecting import ConfigOption, client_of
from gateway.cli.speaker import speaker_of


def receipt(
    ctx: typer.Context,
    event_id: Annotated[str, typer.Argument(help="The id of the audit event.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to write it; else to stdout.")] = None,
    config: ConfigOption = Path("client.toml"),
) -> None:
    """Fetch and verify the receipt of one of the caller's own events, waiting until it is published."""
    speaker = speaker_of(ctx)
    with client_of(config, speaker) as client:
        document, verified = client.receipt(event_id)
    text = json.dumps(document, indent=1, sort_keys=True)
    if output is None:
        typer.echo(text)
        return
    output.write_text(text + "\n", encoding="utf-8")
    speaker.tell("receipt-saved", status=verified.status, path=output)
