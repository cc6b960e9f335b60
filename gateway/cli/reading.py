# SPDX-License-Identifier: Apache-2.0
"""`gateway own`, `receipt` and `verify`; this file is about what a partner gets back, and checks."""

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
from gateway.cli.speaker import Speaker, speaker_of
from gateway.client.answers import load_answer_keys, matches_file, proven
from gateway.client.config import load_config
from gateway.client.failures import InputUnusable
from gateway.client.saved import signature_path, verify_saved
from gateway.clock import format_instant
from gateway.wire.receipt import UNWITNESSED


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
    file: Annotated[Path, typer.Argument(help="A receipt, or a file that was pulled.")],
    policy: Annotated[
        Path | None, typer.Option(help="For a receipt: the log policy, which log and witnesses to believe.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="For a receipt: the lines that were sent, NDJSON, to compare.")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(help="For pulled data: the gateway's answer keys; by default client.toml's.")
    ] = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Verify offline: a receipt down to the signed checkpoint, or pulled data with the signature beside it."""
    speaker = speaker_of(ctx)
    if keys is not None or signature_path(file).exists():
        _verify_pulled(speaker, existing(file), keys or load_config(config).needed("answer_keys"))
        return
    try:
        document = json.loads(existing(file).read_bytes())
    except (OSError, ValueError) as error:
        detail = f"{file}: {error}"
        raise InputUnusable(speaker.say("no-proof", path=signature_path(file), detail=detail)) from error
    verified = proven(document, log_policy_of(policy or load_config(config).needed("log_policy")))
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


def _verify_pulled(speaker: Speaker, file: Path, keys: Path) -> None:
    said = verify_saved(file, load_answer_keys(existing(keys)))
    speaker.tell("said", path=file, at=format_instant(said.at), keyid=said.keyid)
    typer.echo(f"  GET {said.target_uri}")
    speaker.tell("said-why", purpose=said.purpose or "-", event=said.event_id)
