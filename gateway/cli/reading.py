# SPDX-License-Identifier: Apache-2.0
"""`gateway pull`, `own`, `receipt` and `verify`; this file is about what a partner gets back, and checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.connecting import (
    CONFIG,
    ConfigOption,
    EventArgument,
    FromOption,
    ToOption,
    client_of,
    existing,
    log_policy_of,
)
from gateway.cli.speaker import speaker_of
from gateway.client.answers import matches_file, proven
from gateway.client.failures import InputUnusable
from gateway.wire.receipt import UNWITNESSED


def pull(
    ctx: typer.Context,
    output: Annotated[Path, typer.Option("-o", "--output", help="The CSV file to write.")],
    key: Annotated[str, typer.Option(help="SDMX key, dimension values joined by dots; * for all.")] = "*",
    where: Annotated[
        list[str] | None, typer.Option(help="A dimension filter such as CITIZENSHIP=GTM; may be repeated.")
    ] = None,
    start: FromOption = "",
    end: ToOption = "",
    purpose: Annotated[str, typer.Option(help="A purpose of the agreement, where it has several.")] = "",
    dataflow: Annotated[str, typer.Option(help="Dataflow: agency/id/version.")] = "",
    config: ConfigOption = CONFIG,
) -> None:
    """Fetch flow cells of a partner's country under an agreement; what the agreement does not open is refused."""
    speaker = speaker_of(ctx)
    filters = {}
    for text in where or []:
        name, _, value = text.partition("=")
        if not name or not value:
            raise InputUnusable(f"--where {text!r}: CITIZENSHIP=GTM")
        filters[name.upper()] = value
    with client_of(config, speaker) as client:
        rows = client.pull(output, dataflow=dataflow, key=key, filters=filters, start=start, end=end, purpose=purpose)
    if rows:
        speaker.tell("pulled", rows=rows, path=output)
    else:
        speaker.tell("pull-empty")


def own(
    ctx: typer.Context,
    product: Annotated[str, typer.Argument(help="The data product: flow or border-event.")],
    by: Annotated[str, typer.Option(help="At most three dimensions, joined by commas.")] = "",
    start: FromOption = "",
    end: ToOption = "",
    config: ConfigOption = CONFIG,
) -> None:
    """Print the exact totals of the caller's own records, for each unit and definition apart."""
    with client_of(config, speaker_of(ctx)) as client:
        totals = client.own(product, start=start, end=end, by=tuple(name for name in by.split(",") if name))
    typer.echo(json.dumps(totals, indent=1, ensure_ascii=False))


def receipt(
    ctx: typer.Context,
    event_id: EventArgument,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to write it; else to stdout.")] = None,
    config: ConfigOption = CONFIG,
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


def verify(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="The receipt, a JSON file.")],
    policy: Annotated[Path, typer.Option(help="The log policy file: which log and witnesses to believe.")],
    data: Annotated[Path | None, typer.Option(help="The lines that were sent, NDJSON, to compare.")] = None,
) -> None:
    """Verify a receipt offline: the event's fields, its leaf, the inclusion proof, the signed checkpoint."""
    speaker = speaker_of(ctx)
    try:
        document = json.loads(existing(file).read_bytes())
    except (OSError, ValueError) as error:
        raise InputUnusable(f"{file}: {error}") from error
    verified = proven(document, log_policy_of(policy))
    speaker.tell_verified(verified)
    for name, value in sorted(verified.fields.items()):
        typer.echo(f"  {name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    speaker.tell(
        "verified-place",
        leaf_index=verified.leaf_index,
        tree_size=verified.tree_size,
        origin=verified.origin,
        status=verified.status,
    )
    if verified.status == UNWITNESSED:
        speaker.tell("unwitnessed")
    if data is not None:
        speaker.tell("data-matches", records=matches_file(verified, existing(data)))
