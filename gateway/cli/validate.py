# SPDX-License-Identifier: Apache-2.0
"""`gateway validate`; this file is about trying a file against its contract before it is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.connecting import ConfigOption, ContractOption, ContractsOption, client_of, contract_name, existing
from gateway.cli.speaker import FINDING, Speaker, error_values, speaker_of
from gateway.client.check import check_file
from gateway.client.submit import lines_of_file
from gateway.clock import SystemClock

_ERRORS_SHOWN = 20


def validate(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="NDJSON, or CSV with the contract's own column names.")],
    contract: ContractOption,
    config: ConfigOption = Path("client.toml"),
    contracts: ContractsOption = None,
    remote: Annotated[bool, typer.Option("--remote", help="Ask the gateway too; it stores nothing.")] = False,
) -> None:
    """Check every record of a file against the contract, here and on request at the gateway."""
    speaker = speaker_of(ctx)
    product, version = contract_name(contract)
    found = check_file(existing(file), product, version, at=SystemClock().now(), contracts=contracts)
    lines = list(lines_of_file(file, product, version, contracts=contracts)) if remote else []
    for refused in found.refused[:_ERRORS_SHOWN]:
        detail = refused.es if speaker.language == "es" else refused.en
        speaker.tell("record-error", line=refused.line, pointer=refused.pointer, code=refused.code, detail=detail)
    if len(found.refused) > _ERRORS_SHOWN:
        speaker.tell("more-errors", count=len(found.refused) - _ERRORS_SHOWN)
    if found.refused:
        speaker.tell("invalid", refused=len(found.refused), received=found.received, contract=contract)
    else:
        speaker.tell("valid", count=found.received, contract=contract)
    if remote:
        _ask(speaker, config, product, version, lines)
    if found.refused:
        raise typer.Exit(FINDING)


def _ask(speaker: Speaker, config: Path, product: str, version: str, lines: list[bytes]) -> None:
    with client_of(config, speaker) as client:
        answer = client.validate(product, version, lines)
    records = answer.get("records", {})
    for error in answer.get("refused", [])[:_ERRORS_SHOWN]:
        speaker.tell("record-error", **error_values(error, speaker.language))
    received, refused = records.get("received", 0), records.get("refused", 0)
    speaker.tell("remote-valid", accepted=received - refused, received=received, refused=refused)
    if refused:
        raise typer.Exit(FINDING)
