# SPDX-License-Identifier: Apache-2.0
"""`gateway audit`; this file is about a security officer's look at the own country's audit events."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gateway.cli.connecting import CONFIG, ConfigOption, EventArgument, client_of
from gateway.cli.speaker import speaker_of

app = typer.Typer(no_args_is_help=True, help="A security officer's view of the own country's audit log.")


@app.command("list")
def list_events(
    ctx: typer.Context,
    kind: Annotated[str, typer.Option(help="Only events of this kind, submission.refused.")] = "",
    partner: Annotated[str, typer.Option(help="Only events of this partner.")] = "",
    after: Annotated[str, typer.Option(help="Go on after this event id.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many events at most.")] = 100,
    config: ConfigOption = CONFIG,
) -> None:
    """List events, oldest first. The search itself becomes an event."""
    speaker = speaker_of(ctx)
    with client_of(config, speaker) as client:
        events = client.audit_list(kind=kind, partner=partner, after=after, limit=limit)
    if not events:
        speaker.tell("no-events")
    for event in events:
        parts = [event.get(name) for name in ("at", "event_id", "kind", "outcome", "partner", "reason")]
        typer.echo("  ".join(str(part) for part in parts if part))


@app.command("show")
def show(ctx: typer.Context, event_id: EventArgument, config: ConfigOption = CONFIG) -> None:
    """Show one event with all its fields, and verify its receipt here."""
    speaker = speaker_of(ctx)
    with client_of(config, speaker) as client:
        document, verified = client.audit_show(event_id)
    typer.echo(json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True))
    speaker.tell_verified(verified)


def recall(
    ctx: typer.Context,
    correction_id: Annotated[str, typer.Argument(help="The contest, as POST /v1/corrections named it.")],
    config: ConfigOption = CONFIG,
) -> None:
    """List who read contested numbers of your country, from the audit log. The look itself becomes an event."""
    with client_of(config, speaker_of(ctx)) as client:
        readers = client.recall(correction_id)["readers"]
    for one in readers:
        parts = ("partner", "first_read_at", "last_read_at", "read_count", "notice")
        typer.echo("  ".join(str(one[name]) for name in parts))
