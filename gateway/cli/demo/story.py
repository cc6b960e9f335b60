# SPDX-License-Identifier: Apache-2.0
"""The demo as a story; this file is about telling steps, insisting on what each must show, and the summary."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gateway.cli.demo.stage import Stage
from gateway.client.failures import ClientFailure, Refused
from gateway.client.outcome import SubmitOutcome
from gateway.clock import SystemClock


class StoryBroken(Exception):
    """The gateway did something else than the story tells."""


@dataclass(slots=True)
class Story:
    """What the steps share: the stage, and what earlier steps left for later ones."""

    stage: Stage
    console: Console
    examples: dict[str, Path]
    lines: dict[str, list[bytes]] = field(default_factory=dict)
    outcomes: dict[str, SubmitOutcome] = field(default_factory=dict)
    receipts: dict[str, Path] = field(default_factory=dict)
    rows: list[tuple[str, str, float]] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        """Return the present instant."""
        return SystemClock().now()

    @property
    def folder(self) -> Path:
        """Return the folder in which the agencies of the story keep their files."""
        folder = self.stage.folder / "agencies"
        folder.mkdir(exist_ok=True)
        return folder

    def examples_of(self, agency: str) -> list[dict[str, str]]:
        """Return the published cells of an agency, as its example file has them."""
        with self.examples[agency].open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def tell(self, text: str) -> None:
        """Print one line of a step."""
        self.console.print(f"    {text}", highlight=False, markup=False)

    def expect(self, condition: object, text: str) -> None:
        """Insist on something.

        Raises:
            StoryBroken: when it does not hold.
        """
        if not condition:
            raise StoryBroken(text)

    def refused(self, reason: str, act: Callable[[], object]) -> Refused:
        """Do what must be refused for a reason, and return the refusal.

        Raises:
            StoryBroken: when it is accepted, or refused otherwise.
        """
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
    """Tell the steps in order and print the summary.

    Raises:
        StoryBroken: at the first step that shows something else.
    """
    for number, (title, step) in enumerate(steps, start=1):
        story.console.print(f"[bold]{number:2}. {title}[/bold]", highlight=False)
        began = time.monotonic()
        try:
            result = step(story)
        except (StoryBroken, ClientFailure) as broken:
            raise StoryBroken(f"step {number}, {title}: {broken}") from broken
        story.rows.append((title, result, time.monotonic() - began))


def summary(story: Story) -> None:
    """Print what was shown."""
    table = Table(title="What was shown", title_justify="left", show_lines=False)
    for name in ("", "step", "result", "seconds"):
        table.add_column(name, overflow="fold", justify="right" if name == "seconds" else "left")
    for number, (title, result, seconds) in enumerate(story.rows, start=1):
        table.add_row(f"{number}", title, result, f"{seconds:.1f}")
    story.console.print(table)
