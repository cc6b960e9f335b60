# SPDX-License-Identifier: Apache-2.0
"""`gateway contracts`; this file is about listing contract versions, and generating and checking what they yield."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.connecting import ContractsOption
from gateway.cli.speaker import FINDING, speaker_of
from gateway.client.failures import InputUnusable
from gateway.contracting.build import ContractDrift
from gateway.contracting.build import build as build_folder
from gateway.contracting.build import check as check_all
from gateway.contracting.load import load_contracts, packaged_root
from gateway.contracting.strict_yaml import ContractInvalid

app = typer.Typer(no_args_is_help=True, help="Data contracts: what a record must look like.")


@app.command("list")
def list_contracts(ctx: typer.Context, contracts: ContractsOption = None) -> None:
    """List the contract versions with their digests, which is what governments sign."""
    spanish = speaker_of(ctx).language == "es"
    try:
        loaded = load_contracts(contracts or packaged_root())
    except ContractInvalid as error:
        raise InputUnusable(str(error)) from error
    for contract in loaded.contracts:
        title = contract.title.es if spanish else contract.title.en
        ref = contract.ref
        typer.echo(f"{ref.product}/{ref.version}  {contract.acceptance.mode}  {ref.digest}  {title}")


@app.command("build")
def build(
    ctx: typer.Context, folder: Annotated[Path, typer.Argument(help="One version: contracts/flow/1.0.0.")]
) -> None:
    """Generate contract.json, JSON Schema, template and pages from contract.yaml."""
    try:
        build_folder(folder)
    except (ContractInvalid, OSError) as error:
        raise InputUnusable(str(error)) from error
    speaker_of(ctx).tell("contract-built", path=folder)


@app.command("check")
def check(ctx: typer.Context, contracts: ContractsOption = None) -> None:
    """Fail when a generated file is not what its contract yields."""
    speaker = speaker_of(ctx)
    root = contracts or packaged_root()
    try:
        check_all(root)
        loaded = load_contracts(root)
    except ContractDrift as drift:
        speaker.complain("drift", detail=drift)
        raise typer.Exit(FINDING) from drift
    except (ContractInvalid, OSError) as error:
        raise InputUnusable(str(error)) from error
    for contract in loaded.contracts:
        ref = contract.ref
        speaker.tell("contract-ok", contract=f"{ref.product}/{ref.version}", digest=ref.digest)
