# SPDX-License-Identifier: Apache-2.0
"""The order of the demo; this file is about which steps are shown, where their figures come from, and the end."""

from __future__ import annotations

import csv
import time
from pathlib import Path

from rich.console import Console

from gateway.cli.demo import pushing, reading, refusing
from gateway.cli.demo.stage import AGENCIES, FLOW, Stage, StageFailed, make_stage, running, write_description
from gateway.cli.demo.story import Step, Story, perform, summary
from gateway.contracting.load import packaged_root

STEPS: tuple[Step, ...] = (
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
SOURCES = (
    "Flow figures are published facts: U.S. Customs and Border Protection (encounters), Unidad de Política Migratoria,"
    " Registro e Identidad de Personas, SEGOB (Boletín estadístico), Instituto Guatemalteco de Migración (personas"
    " retornadas). Border events are synthetic."
)


def tour(
    console: Console, folder: Path, *, tables: Path | None, keep: bool, engine_url: str | None, description: Path
) -> None:
    """Show everything once, in a sandbox of its own, with the example tables or those of a folder.

    Raises:
        StageFailed: when the sandbox or the gateway does not start.
        StoryBroken: when a step shows something else than it must.
    """
    began = time.monotonic()
    examples = find_tables(tables or packaged_root().joinpath(*FLOW, "examples"))
    stage = make_stage(folder, engine_url=engine_url)
    console.print(f"Sandbox of three countries made in {time.monotonic() - began:.1f} s: {folder}", highlight=False)
    with running(stage, keep=keep):
        console.print(f"Gateway at {stage.sandbox['public_origin']}", highlight=False)
        story = Story(stage, console, examples)
        perform(story, STEPS)
        summary(story)
        console.print(SOURCES, highlight=False)
        console.print(f"Shown in {time.monotonic() - began:.1f} s; every step was checked.", highlight=False)
        if keep:
            write_description(stage, description)
            _addresses(console, stage, description)


def find_tables(folder: Path) -> dict[str, Path]:
    """Return the flow table of each agency: CSV files with the contract's own column names.

    Raises:
        StageFailed: when an agency has none.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file), {})
        if row.get("provider") in AGENCIES:
            found[row["provider"]] = path
    if missing := set(AGENCIES) - found.keys():
        raise StageFailed(f"there are no tables of {', '.join(sorted(missing))}")
    return found


def _addresses(console: Console, stage: Stage, description: Path) -> None:
    gateway = stage.sandbox["gateway"]
    for name in ("api", "log", "sdmx"):
        console.print(f"  {name:5} {gateway[name]}", highlight=False)
    for party in AGENCIES:
        console.print(f"  {party}: {stage.config(party)}", highlight=False)
    console.print(
        f"Running as process {stage.process.pid if stage.process else '?'}: stop it with kill", highlight=False
    )
    console.print(f"Described in {description.resolve()}", highlight=False)
