# SPDX-License-Identifier: Apache-2.0
"""`gateway submit`; this file is about sending a file of records and saying what became of it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from gateway.cli.connecting import ConfigOption, ContractOption, ContractsOption, client_of, contract_name, existing
from gateway.cli.speaker import Speaker, on_terminal, speaker_of
from gateway.client.outcome import FileOutcome, SubmitOutcome
from gateway.client.submit import RECORDS_PER_PART, PartDone, submit_file


def submit(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="NDJSON, or CSV with the contract's own column names.")],
    contract: ContractOption,
    config: ConfigOption = Path("client.toml"),
    contracts: ContractsOption = None,
    records_per_part: Annotated[
        int, typer.Option(min=1, max=200_000, help="How many records one submission takes at most.")
    ] = RECORDS_PER_PART,
) -> None:
    """Send a file. "accepted" means: the gateway's signature and the receipt were verified here.

    A second run after a crash or a lost connection repeats what was sent and never doubles it.
    """
    speaker = speaker_of(ctx)
    product, version = contract_name(contract)
    with client_of(config, speaker) as client, ExitStack() as stack:
        outcome = submit_file(
            client,
            existing(file),
            product,
            version,
            contracts=contracts,
            records_per_part=records_per_part,
            progress=_progress(speaker, stack, file),
        )
    report(speaker, file, outcome)


def report(speaker: Speaker, file: Path, outcome: FileOutcome) -> None:
    """Print the end of a submission."""
    if outcome.already:
        speaker.tell("done-before", path=file, folder=file.with_name(file.name + ".receipts"))
    records = outcome.records
    speaker.tell(
        "accepted",
        accepted=records.accepted,
        received=records.received,
        duplicate=records.duplicate,
        refused=records.refused,
    )
    statuses = [part.receipt_status for part in outcome.parts] or [""] * len(outcome.receipts)
    for path, status in zip(outcome.receipts, statuses, strict=True):
        speaker.tell("receipt-saved", status=status, path=path)
    if outcome.refused:
        speaker.tell("refused-saved", count=records.refused, path=outcome.refused)


def _progress(speaker: Speaker, stack: ExitStack, file: Path) -> PartDone:
    if not on_terminal():

        def line(number: int, total: int, part: SubmitOutcome) -> None:
            repeat = " " + speaker.say("repeat") if part.replay else ""
            speaker.complain_text(f"{speaker.say('part', number=number, total=total)}: {part.event_id}{repeat}")

        return line
    bar = stack.enter_context(Progress(console=Console(stderr=True)))
    task = bar.add_task(file.name, total=None)

    def advance(number: int, total: int, part: SubmitOutcome) -> None:  # noqa: ARG001 - the face of a PartDone
        bar.update(task, total=total, completed=number)

    return advance
