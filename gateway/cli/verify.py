# SPDX-License-Identifier: Apache-2.0
"""`gateway verify`; this file is about checking a receipt without asking anybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.connecting import existing
from gateway.cli.speaker import BadInput, speaker_of
from gateway.client.answers import proven
from gateway.client.evidence import matches_file
from gateway.clock import format_instant
from gateway.wire.policy_file import parse_policy


def verify(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="The receipt, a JSON file.")],
    policy: Annotated[Path, typer.Option(help="The log policy file: which log and witnesses to believe.")],
    data: Annotated[Path | None, typer.Option(help="The lines that were sent, NDJSON, to compare.")] = None,
) -> None:
    """Verify a receipt offline: the event's fields, its leaf, the inclusion proof, the signed checkpoint."""
    speaker = speaker_of(ctx)
    try:
        receipt = json.loads(existing(file).read_bytes())
        log_policy = parse_policy(existing(policy).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(str(error)) from error
    if not isinstance(receipt, dict):
        raise BadInput(f"{file}: not a receipt")
    verified = proven(receipt, log_policy)
    speaker.tell("verified", event=verified.event_id, at=format_instant(verified.at))
    for name, value in sorted(verified.fields.items()):
        typer.echo(f"  {name}: {json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value}")
    speaker.tell(
        "verified-place",
        leaf_index=verified.leaf_index,
        tree_size=verified.tree_size,
        origin=verified.origin,
        status=verified.status,
    )
    if verified.status == "unwitnessed":
        speaker.tell("unwitnessed")
    if data is not None:
        speaker.tell("data-matches", records=matches_file(verified, existing(data)))
