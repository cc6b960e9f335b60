# SPDX-License-Identifier: Apache-2.0
"""`gateway outbox`; this file is about files that are put down once and sent when the gateway can be reached."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.cli.connecting import (
    CONFIG,
    ConfigOption,
    ContractOption,
    ContractsOption,
    FileArgument,
    client_of,
    existing,
)
from gateway.cli.speaker import FINDING, UNREACHABLE, Speaker, speaker_of
from gateway.client.failures import ClientFailure
from gateway.client.journal import held
from gateway.client.outbox import FAILED, WAITING, Outbox
from gateway.clock import SystemClock

WATCH_SECONDS: Final = 1.0
_FOLDER = Path("outbox")
FolderOption = Annotated[Path, typer.Option("--outbox", envvar="GATEWAY_OUTBOX", help="The folder of the outbox.")]

app = typer.Typer(no_args_is_help=True, help="Files that are sent when the gateway can be reached, each once.")


@app.command("add")
def add(
    ctx: typer.Context,
    file: FileArgument,
    contract: ContractOption,
    outbox: FolderOption = _FOLDER,
    contracts: ContractsOption = None,
) -> None:
    """Copy a file into the outbox. A file that is there already is not added again; one that failed waits again."""
    entry = Outbox(outbox, contracts=contracts).add(existing(file), contract, at=SystemClock().now())
    speaker_of(ctx).tell("outbox-entry", id=entry.id, state=entry.state, name=entry.name, contract=entry.contract)


@app.command("run")
def run(
    ctx: typer.Context,
    outbox: FolderOption = _FOLDER,
    config: ConfigOption = CONFIG,
    contracts: ContractsOption = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and try again what waits, at growing intervals.")
    ] = False,
) -> None:
    """Send what waits. Ends with 0 when all is accepted, 1 when one there failed for good, 3 when one waits.

    It may be killed at any moment and started again; nothing is sent twice.
    """
    speaker, box = speaker_of(ctx), Outbox(outbox, contracts=contracts)
    with client_of(config, speaker), held(box.folder):  # A configuration that cannot be used is said at once.
        box.resume()
        _round(speaker, box, config, due_only=False)
        while watch:
            time.sleep(WATCH_SECONDS)
            _round(speaker, box, config, due_only=True)
    states = {entry.state for entry in box.entries()}
    if FAILED in states or WAITING in states:
        raise typer.Exit(FINDING if FAILED in states else UNREACHABLE)


@app.command("list")
def show(ctx: typer.Context, outbox: FolderOption = _FOLDER) -> None:
    """List the files in the outbox: waiting, done or failed, and why."""
    speaker = speaker_of(ctx)
    for entry in Outbox(outbox).entries():
        speaker.tell("outbox-entry", id=entry.id, state=entry.state, name=entry.name, contract=entry.contract)
        if entry.problem:
            speaker.tell("outbox-problem", attempts=entry.attempts, next=entry.next_at, problem=entry.problem)


@app.command("drop")
def drop(
    ctx: typer.Context,
    entry: Annotated[str, typer.Argument(help="The id that `list` shows.")],
    outbox: FolderOption = _FOLDER,
) -> None:
    """Remove a file from the outbox with its receipts. What the gateway accepted of it stays accepted."""
    dropped = Outbox(outbox).drop(entry)
    speaker_of(ctx).tell("outbox-dropped", id=dropped.id, name=dropped.name)


def _round(speaker: Speaker, box: Outbox, config: Path, *, due_only: bool) -> None:
    """Try every file that is due, with a client of its own each: keys and certificate may be renewed meanwhile."""
    for entry in box.entries():
        now = SystemClock().now()
        if entry.state != WAITING or (due_only and not entry.is_due(now)):
            continue
        try:
            with client_of(config, speaker) as client:
                done = box.attempt(client, entry, at=now)
        except ClientFailure as failure:
            speaker.complain("outbox-tried", id=entry.id, name=entry.name)
            speaker.explain(failure)
            continue
        records = {name: getattr(done.records, name) for name in ("accepted", "received", "duplicate", "refused")}
        speaker.tell("outbox-entry", id=done.id, state=done.state, name=done.name, contract=done.contract)
        speaker.tell("accepted", **records)
        speaker.tell("outbox-receipts", folder=box.input_path(done).parent)
