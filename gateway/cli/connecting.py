# SPDX-License-Identifier: Apache-2.0
"""What the partner's commands share; this file is about options, contract names and the client they open."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.speaker import BadInput, Speaker
from gateway.client.config import load_config
from gateway.client.sdk import GatewayClient

_CONTRACT = re.compile(r"([a-z][a-z0-9-]{1,40})/([0-9]+\.[0-9]+\.[0-9]+)")

ConfigOption = Annotated[Path, typer.Option("--config", envvar="GATEWAY_CONFIG", help="The partner's client.toml.")]
ContractOption = Annotated[str, typer.Option("--contract", help="Product and full version, flow/1.0.0.")]
ContractsOption = Annotated[
    Path | None, typer.Option("--contracts", help="Folder of contracts; by default those of the package.")
]


def client_of(config: Path, speaker: Speaker) -> GatewayClient:
    """Open the client that a configuration describes, speaking the language of the command."""
    return GatewayClient(replace(load_config(config), language=speaker.language))


def contract_name(text: str) -> tuple[str, str]:
    """Split `flow/1.0.0` into product and version.

    Raises:
        BadInput: when the text has another form.
    """
    if match := _CONTRACT.fullmatch(text):
        return match[1], match[2]
    raise BadInput(f"--contract {text!r}: flow/1.0.0")


def existing(path: Path) -> Path:
    """Return a path that is a file.

    Raises:
        BadInput: when it is none.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    return path
