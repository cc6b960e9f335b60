# SPDX-License-Identifier: Apache-2.0
"""`gateway privacy`; this file is about where personal data may lie, and deleting what is past its time."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from gateway.cli.operating import SettingsOption, settings_of, storage_of
from gateway.cli.speaker import speaker_of
from gateway.clock import SystemClock

app = typer.Typer(no_args_is_help=True, help="Where personal data may lie, and its deletion.")


@app.command("inventory")
def inventory(ctx: typer.Context, config: SettingsOption = Path("gateway.toml")) -> None:
    """Print what may concern a person: counts and oldest dates, never a row."""
    del ctx
    from gateway.review.inventory import ELSEWHERE
    from gateway.review.inventory import inventory as take

    table = Table(show_lines=False)
    for name in ("where", "count", "oldest", "what and how long"):
        table.add_column(name, overflow="fold", justify="right" if name == "count" else "left")
    with storage_of(settings_of(config), read_only=True) as (storage, contracts):
        for kept in take(storage, contracts.shapes):
            table.add_row(kept.table, f"{kept.count}", kept.oldest or "-", kept.why)
    for place, why in ELSEWHERE.items():
        table.add_row(place, "-", "-", why)
    Console(soft_wrap=True).print(table)


@app.command("delete-expired")
def delete_expired(ctx: typer.Context, config: SettingsOption = Path("gateway.toml")) -> None:
    """Delete records whose last day has passed, as the running gateway does each day; their proofs stay."""
    from gateway.intake.retention import delete_expired as delete

    with storage_of(settings_of(config)) as (storage, contracts):
        count = delete(storage, contracts.shapes, clock=SystemClock())
    speaker_of(ctx).tell("expired-deleted", count=count)
