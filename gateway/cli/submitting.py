# SPDX-License-Identifier: Apache-2.0
"""`gateway submit` and `gateway validate`; this file is about sending a file of records, and trying it before."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from gateway.cli.connecting import (
    CONFIG,
    ConfigOption,
    ContractOption,
    ContractsOption,
    FileArgument,
    client_of,
    existing,
    product_and_version,
)
from gateway.cli.speaker import FINDING, Speaker, on_terminal, speaker_of
from gateway.client.check import check_file
from gateway.client.outcome import FileOutcome, refused_lines
from gateway.client.records import RECORDS_PER_PART, lines_of, local_contract
from gateway.client.submit import PartDone, submit_file
from gateway.clock import SystemClock


def submit(
    ctx: typer.Context,
    file: FileArgument,
    contract: ContractOption,
    config: ConfigOption = CONFIG,
    contracts: ContractsOption = None,
    records_per_part: Annotated[
        int, typer.Option(min=1, max=200_000, help="How many records one submission takes at most.")
    ] = RECORDS_PER_PART,
) -> None:
    """Send a file. "accepted" means: the gateway's signature and the receipt were verified here.

    A second run after a crash or a lost connection repeats what was sent and never doubles it.
    """
    speaker = speaker_of(ctx)
    with client_of(config, speaker) as client, ExitStack() as stack:
        outcome = submit_file(
            client,
            existing(file),
            *product_and_version(contract),
            contracts=contracts,
            records_per_part=records_per_part,
            progress=_progress(speaker, stack, file),
        )
    _report(speaker, file, outcome)


def validate(
    ctx: typer.Context,
    file: FileArgument,
    contract: ContractOption,
    config: ConfigOption = CONFIG,
    contracts: ContractsOption = None,
    remote: Annotated[bool, typer.Option("--remote", help="Ask the gateway too; it stores nothing.")] = False,
) -> None:
    """Check every record of a file against the contract, here and on request at the gateway."""
    speaker = speaker_of(ctx)
    product, version = product_and_version(contract)
    now, language = SystemClock().now(), speaker.language
    found = check_file(existing(file), product, version, at=now, language=language, contracts=contracts)
    speaker.list_refused(found.refused, found.refused_count)
    if found.refused_count:
        speaker.tell("invalid", refused=found.refused_count, received=found.received_count, contract=contract)
    else:
        speaker.tell("valid", count=found.received_count, contract=contract)
    refused_there = _ask(speaker, config, file, product, version, contracts) if remote else 0
    if found.refused_count or refused_there:
        raise typer.Exit(FINDING)


def _report(speaker: Speaker, file: Path, outcome: FileOutcome) -> None:
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
    for path in outcome.receipts:
        speaker.tell("receipt-saved", status=outcome.receipt_status, path=path)
    if outcome.refused:
        speaker.tell("refused-saved", count=records.refused, path=outcome.refused)


def _progress(speaker: Speaker, stack: ExitStack, file: Path) -> PartDone:
    if not on_terminal():

        def line(number: int, total: int, event_id: str, replay: bool) -> None:
            repeat = speaker.say("repeat") if replay else ""
            speaker.complain("part", number=number, total=total, event=event_id, repeat=repeat)

        return line
    bar = stack.enter_context(Progress(console=Console(stderr=True)))
    task = bar.add_task(file.name, total=None)
    return lambda number, total, _event_id, _replay: bar.update(task, total=total, completed=number)


def _ask(speaker: Speaker, config: Path, file: Path, product: str, version: str, contracts: Path | None) -> int:
    """Ask the gateway, and return how many records it would refuse."""
    lines = lines_of(file, local_contract(product, version, contracts))
    with client_of(config, speaker) as client:
        answer = client.validate(product, version, lines)
    records = answer.get("records", {})
    received, refused = int(records.get("received", 0)), int(records.get("refused", 0))
    speaker.list_refused(refused_lines(answer.get("refused", []), speaker.language), refused)
    speaker.tell("remote-valid", accepted=received - refused, received=received, refused=refused)
    return refused
