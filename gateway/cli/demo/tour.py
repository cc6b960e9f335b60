# SPDX-License-Identifier: Apache-2.0
"""`gateway demo`; this file is about showing the whole product in one command: the steps, their figures, the end."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.console import Console

from gateway.cli.connecting import existing
from gateway.cli.demo import pushing, reading, refusing
from gateway.cli.demo.stage import AGENCIES, Stage, StageFailed, running
from gateway.cli.demo.story import FLOW, Step, Story, StoryBroken, perform
from gateway.cli.speaker import FINDING
from gateway.client.failures import InputUnusable
from gateway.contracting.load import packaged_root

STEPS: Final[tuple[Step, ...]] = (
    ("Three agencies submit published flow tables", pushing.flows),
    ("Border events, one bad record among good ones", pushing.events),
    ("A batch for another country", refusing.other_country),
    ("A forged signature", refusing.forged_signature),
    ("A forbidden field", refusing.forbidden_field),
    ("A table with one wrong cell", refusing.broken_table),
    ("A byte-identical repeat, and a replay", pushing.repeat),
    ("An amendment", pushing.amendment),
    ("A partner's pull, allowed and denied", reading.pull),
    ("A security officer's review", reading.review),
    ("Offline verification", reading.offline),
    ("Own totals", pushing.own_totals),
    ("fsck of everything", reading.fsck),
)
SOURCES: Final = (
    "Flow figures are published facts: U.S. Customs and Border Protection (encounters), Unidad de Política Migratoria,"
    " Registro e Identidad de Personas, SEGOB (Boletín estadístico), Instituto Guatemalteco de Migración (personas"
    " retornadas). Border events are synthetic."
)
_DESCRIPTION: Final = Path("build/sandbox.json")


def demo(
    data: Annotated[
        Path | None, typer.Option(help="Folder of the agencies' large published tables, in place of the examples.")
    ] = None,
    converter: Annotated[
        Path, typer.Option(help="With --data: a Python file, run as FILE DATA OUT, that writes one CSV an agency.")
    ] = Path("tests/real_data.py"),
    keep: Annotated[bool, typer.Option("--keep", help="Leave the gateway running and print its addresses.")] = False,
    engine: Annotated[Literal["sqlite", "postgresql"], typer.Option(help="Where records are stored.")] = "sqlite",
    database_url: Annotated[
        str, typer.Option(envvar="GATEWAY_DEMO_DATABASE", help="An empty database, for the engine postgresql.")
    ] = "",
) -> None:
    """Make a sandbox, start the gateway, and show what it accepts, refuses, proves and tells.

    Every step insists on what it shows; the command ends with 1 when the gateway does anything else.
    """
    if engine == "postgresql" and not database_url:
        raise InputUnusable("--engine postgresql: --database-url postgresql+psycopg://…")
    if data is not None and not data.is_dir():
        raise InputUnusable(f"{data}: no such folder", f"{data}: no existe la carpeta")
    console = Console(stderr=False, soft_wrap=True, highlight=False)
    folder = Path(tempfile.mkdtemp(prefix="gateway-demo-"))
    kept = False
    try:
        tables = _converted(data, existing(converter), folder / "tables") if data else None
        _tour(console, folder / "sandbox", tables, keep=keep, engine_url=database_url or None)
        kept = keep
    except (StageFailed, StoryBroken) as broken:
        console.print(f"[red]demo failed[/red]: {broken}")
        raise typer.Exit(FINDING) from broken
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def _tour(console: Console, folder: Path, tables: Path | None, *, keep: bool, engine_url: str | None) -> None:
    # The base package has no server; who has it gets it here.
    from gateway.onboarding.sandbox import create_sandbox

    began = time.monotonic()
    found = _tables_in(tables or packaged_root().joinpath(*FLOW, "examples"))
    files = create_sandbox(folder, engine_url=engine_url)
    console.print(f"Sandbox of three countries made in {time.monotonic() - began:.1f} s: {folder}")
    with running(files, keep=keep) as stage:
        console.print(f"Gateway at {files.public_origin}")
        perform(Story(stage, console, found, folder / "agencies"), STEPS)
        console.print(SOURCES)
        console.print(f"Shown in {time.monotonic() - began:.1f} s; every step was checked.")
        if keep:
            _tell_where(console, stage)


def _tables_in(folder: Path) -> dict[str, Path]:
    """Return the flow table of each agency, CSV files with the contract's own column names, or raise StageFailed."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file), {})
        if row.get("provider") in AGENCIES:
            found[row["provider"]] = path
    if missing := set(AGENCIES) - found.keys():
        raise StageFailed(f"there are no tables of {', '.join(sorted(missing))}")
    return found


def _converted(data: Path, converter: Path, output: Path) -> Path:
    """Run the converter, which mends what the published files have wrong and says so."""
    output.mkdir(parents=True)
    done = subprocess.run(  # noqa: S603 - the caller named the program
        [sys.executable, str(converter), str(data), str(output)], check=False
    )
    if done.returncode != 0:
        raise InputUnusable(f"{converter} {data}: exit {done.returncode}")
    return output


def _tell_where(console: Console, stage: Stage) -> None:
    """Say how to go on with a gateway that is kept, and describe it where other programs look."""
    _DESCRIPTION.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(stage.files.description, _DESCRIPTION)
    for name, address in json.loads(_DESCRIPTION.read_bytes())["gateway"].items():
        if address:  # What is not built yet has none.
            console.print(f"  {name:5} {address}")
    for party in AGENCIES:
        console.print(f"  {party}: {stage.config(party)}")
    console.print(f"Running as process {stage.process.pid}: stop it with kill")
    console.print(f"Described in {_DESCRIPTION.resolve()}")
