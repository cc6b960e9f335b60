# SPDX-License-Identifier: Apache-2.0
"""`gateway fsck`; this file is about checking that all that is stored is what was signed and logged."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn

from gateway.cli.operating import SettingsOption, log_policy_of, settings_of, storage_of
from gateway.cli.speaker import FINDING, on_terminal, speaker_of

if TYPE_CHECKING:
    from gateway.review.progress import Progress


def fsck(ctx: typer.Context, config: SettingsOption = Path("gateway.toml")) -> None:
    """Fold the log again, open every event and rebuild every record's line; it only reads, beside a running gateway."""
    from gateway.review.fsck import fsck as check

    speaker = speaker_of(ctx)
    settings = settings_of(config)
    verifier = log_policy_of(settings).logs[0].verifier
    counts: dict[str, int] = {}
    found = 0
    with storage_of(settings, read_only=True) as (storage, contracts), ExitStack() as stack:
        for finding in check(storage, contracts, verifier, progress=_progress(stack, counts)):
            found += 1
            speaker.tell("fsck-finding", finding=finding)
    checked = ", ".join(f"{count} {what}" for what, count in counts.items()) or "-"
    if found:
        speaker.tell("fsck-count", count=found)
        raise typer.Exit(FINDING)
    speaker.tell("fsck-clean", checked=checked)


def _progress(stack: ExitStack, counts: dict[str, int]) -> Progress:
    if not on_terminal():

        def count(what: str, number: int, /) -> None:
            counts[what] = number

        return count
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed}"))
    bar = stack.enter_context(Bar(*columns, console=Console(stderr=True)))
    tasks = {}

    def show(what: str, number: int, /) -> None:
        counts[what] = number
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=None)
        bar.update(tasks[what], completed=number)

    return show
