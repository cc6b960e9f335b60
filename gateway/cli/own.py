# SPDX-License-Identifier: Apache-2.0
"""`gateway own`; this file is about an agency's exact totals of what it sent itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.connecting import ConfigOption, client_of
from gateway.cli.speaker import speaker_of


def own(
    ctx: typer.Context,
    product: Annotated[str, typer.Argument(help="The data product: flow or border-event.")],
    by: Annotated[str, typer.Option(help="At most three dimensions, joined by commas.")] = "",
    start: Annotated[str, typer.Option("--from", help="First period, 2024-01.")] = "",
    end: Annotated[str, typer.Option("--to", help="Last period, 2024-12.")] = "",
    config: ConfigOption = Path("client.toml"),
) -> None:
    """Print the exact totals of the caller's own records, for each unit and definition apart."""
    speaker = speaker_of(ctx)
    with client_of(config, speaker) as client:
        totals = client.own(product, start=start, end=end, by=tuple(name for name in by.split(",") if name))
    typer.echo(json.dumps(totals, indent=1, ensure_ascii=False))
