# SPDX-License-Identifier: Apache-2.0
"""The demo as a story; this file is about telling steps, insisting on what each must show, and the summary."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from gateway.cli.demo.stage import Stage
from gateway.cli.demo.synthetic import border_events
from gateway.client.failures import ClientFailure, Refused
from gateway.client.journal import put
from gateway.client.outcome import FileOutcome
from gateway.client.submit import submit_file
from gateway.clock import SystemClock
from gateway.wire.canonical import canonical_bytes

FLOW: Final = ("flow", "1.0.0")
BORDER_EVENT: Final = ("border-event", "1.0.0")


class StoryBroken(Exception):
    """The gateway did something else than the story tells."""


@dataclass(slots=True)
class Story:
    """What the steps share: the stage, each agency's published table, and what earlier steps left for later ones."""

    stage: Stage
    console: Console
    tables: dict[str, Path]
    folder: Path
    lines: dict[str, list[bytes]] = field(default_factory=dict)
    receipts: dict[str, Path] = field(default_factory=dict)
    rows: list[tuple[str, str, float]] = field(default_factory=list)

    def cells(self, agency: str) -> list[dict[str, str]]:
        """Return the published cells of an agency, as its table has them."""
        with self.tables[agency].open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def events(self, agency: str, count: int, *, seed: int = 1) -> list[bytes]:
        """Return lines of synthetic border events of an agency."""
        now = SystemClock().now()
        events = border_events(self.cells(agency), provider=agency, count=count, now=now, seed=seed)
        return [canonical_bytes(event) for event in events]

    def file(self, name: str, lines: Iterable[bytes]) -> Path:
        """Write lines to a file of the agencies' folder."""
        path = self.folder / name
        put(path, (line + b"\n" for line in lines))
        return path

    def submit(self, agency: str, path: Path, contract: tuple[str, str]) -> FileOutcome:
        """Send a file by SDK."""
        with self.stage.client(agency) as client:
            return submit_file(client, path, *contract)

    def tell(self, text: str) -> None:
        """Print one line of a step."""
        self.console.print(f"    {text}", highlight=False, markup=False)

    def expect(self, condition: object, text: str) -> None:
        """Insist on something, or raise StoryBroken."""
        if not condition:
            raise StoryBroken(text)

    def refused(self, reason: str, act: Callable[[], object]) -> Refused:
        """Do what must be refused for a reason, and return the refusal, or raise StoryBroken."""
        try:
            act()
        except Refused as refused:
            self.expect(refused.reason == reason, f"refused with {refused.reason}, not {reason}: {refused.detail}")
            signed = "signed refusal" if refused.signed else "refusal"
            self.tell(f"{signed}: {refused.status} {refused.reason}: {refused.detail}")
            return refused
        raise StoryBroken(f"it was accepted and should be refused with {reason}")


Step = tuple[str, Callable[[Story], str]]


def perform(story: Story, steps: tuple[Step, ...]) -> None:
    """Tell the steps in order and print what was shown, or raise StoryBroken at the first that shows something else."""
    for number, (title, step) in enumerate(steps, start=1):
        story.console.print(f"[bold]{number:2}. {title}[/bold]", highlight=False)
        began = time.monotonic()
        try:
            result = step(story)
        except (StoryBroken, ClientFailure) as broken:
            raise StoryBroken(f"step {number}, {title}: {broken}") from broken
        story.rows.append((title, result, time.monotonic() - began))
    table = Table(title="What was shown", title_justify="left", show_lines=False)
    for name in ("", "step", "result", "seconds"):
        table.add_column(name, overflow="fold", justify="right" if name == "seconds" else "left")
    for number, (title, result, seconds) in enumerate(story.rows, start=1):
        table.add_row(f"{number}", title, result, f"{seconds:.1f}")
    story.console.print(table)
