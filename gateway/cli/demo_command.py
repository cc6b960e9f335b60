# SPDX-License-Identifier: Apache-2.0
"""`gateway demo`; this file is about showing the whole product in one command."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from gateway.cli.connecting import existing
from gateway.cli.speaker import FINDING
from gateway.client.failures import InputUnusable

_DESCRIPTION = Path("build/sandbox.json")


def demo(
    ctx: typer.Context,
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
    del ctx
    # The demo is the whole product, so its parts are imported only when it is asked for.
    from gateway.cli.demo.stage import StageFailed
    from gateway.cli.demo.story import StoryBroken
    from gateway.cli.demo.tour import tour

    if engine == "postgresql" and not database_url:
        raise InputUnusable("--engine postgresql: --database-url postgresql+psycopg://…")
    if data is not None and not data.is_dir():
        raise InputUnusable(f"{data}: no such folder")
    if data is not None:
        existing(converter)
    console = Console(stderr=False, soft_wrap=True)
    folder = Path(tempfile.mkdtemp(prefix="gateway-demo-"))
    kept = False
    try:
        tour(
            console,
            folder / "sandbox",
            tables=_converted(data, converter, folder / "tables") if data else None,
            keep=keep,
            engine_url=database_url or None,
            description=_DESCRIPTION,
        )
        kept = keep
    except (StageFailed, StoryBroken) as broken:
        console.print(f"[red]demo failed[/red]: {broken}", highlight=False)
        raise typer.Exit(FINDING) from broken
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def _converted(data: Path, converter: Path, output: Path) -> Path:
    """Run the converter, which mends what the published files have wrong and says so."""
    output.mkdir(parents=True)
    done = subprocess.run(  # noqa: S603 - the caller named the program
        [sys.executable, str(converter), str(data), str(output)], check=False
    )
    if done.returncode != 0:
        raise InputUnusable(f"{converter} {data}: exit {done.returncode}")
    return output
