# SPDX-License-Identifier: Apache-2.0
"""`gateway pull`; this file is about fetching the flow cells that an agreement opens, as SDMX-CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.connecting import ConfigOption, client_of
from gateway.cli.speaker import BadInput, speaker_of


def pull(
    ctx: typer.Context,
    output: Annotated[Path, typer.Option("-o", "--output", help="The CSV file to write.")],
    key: Annotated[str, typer.Option(help="SDMX key, dimension values joined by dots; * for all.")] = "*",
    where: Annotated[
        list[str] | None, typer.Option(help="A dimension filter such as CITIZENSHIP=GTM; may be repeated.")
    ] = None,
    start: Annotated[str, typer.Option("--from", help="First period, 2024-01.")] = "",
    end: Annotated[str, typer.Option("--to", help="Last period, 2024-12.")] = "",
    purpose: Annotated[str, typer.Option(help="A purpose of the agreement, where it has several.")] = "",
    dataflow: Annotated[str, typer.Option(help="Dataflow: agency/id/version.")] = "",
    config: ConfigOption = Path("client.toml"),
) -> None:
    """Fetch flow cells of a partner's country under an agreement; what the agreement does not open is refused."""
    speaker = speaker_of(ctx)
    filters = {}
    for text in where or []:
        name, sign, value = text.partition("=")
        if not sign or not name or not value:
            raise BadInput(f"--where {text!r}: CITIZENSHIP=GTM")
        filters[name.upper()] = value
    with client_of(config, speaker) as client:
        rows = client.pull(output, key=key, filters=filters, start=start, end=end, purpose=purpose, **_flow(dataflow))
    if rows:
        speaker.tell("pulled", rows=rows, path=output)
    else:
        speaker.tell("pull-empty")


def _flow(text: str) -> dict[str, str]:
    return {"dataflow": text} if text else {}
