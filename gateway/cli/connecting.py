# SPDX-License-Identifier: Apache-2.0
"""What the partner's commands share; this file is about their options, their files and the client they open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.speaker import Speaker
from gateway.client.config import load_config
from gateway.client.failures import InputUnusable
from gateway.client.sdk import GatewayClient
from gateway.wire.policy_file import LogPolicy, parse_policy

CONFIG = Path("client.toml")
ConfigOption = Annotated[Path, typer.Option("--config", envvar="GATEWAY_CONFIG", help="The partner's client.toml.")]
FileArgument = Annotated[Path, typer.Argument(help="NDJSON, or CSV with the contract's own column names.")]
ContractOption = Annotated[str, typer.Option("--contract", help="Product and full version, flow/1.0.0.")]
ContractsOption = Annotated[
    Path | None, typer.Option("--contracts", help="Folder of contracts; by default those of the package.")
]
FromOption = Annotated[str, typer.Option("--from", help="First period, 2024-01.")]
ToOption = Annotated[str, typer.Option("--to", help="Last period, 2024-12.")]
EventArgument = Annotated[str, typer.Argument(help="The id of the audit event.")]


def client_of(config: Path, speaker: Speaker) -> GatewayClient:
    """Open the client that a configuration describes, speaking the language of the command."""
    return GatewayClient(replace(load_config(config), language=speaker.language))


def product_and_version(contract: str) -> tuple[str, str]:
    """Split `flow/1.0.0`; who loads the contract refuses every other form."""
    product, _, version = contract.partition("/")
    return product, version


def existing(path: Path) -> Path:
    """Return a path that is a file, or raise InputUnusable."""
    if not path.is_file():
        raise InputUnusable(f"{path}: no such file", f"{path}: no existe el archivo")
    return path


def log_policy_of(path: Path) -> LogPolicy:
    """Read a log policy, or raise InputUnusable."""
    try:
        return parse_policy(existing(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputUnusable(f"{path}: {error}") from error
