# SPDX-License-Identifier: Apache-2.0
"""A large file in several submissions; this file is about where it may be cut.

Under an atomic contract a table is whole or not at all, so that a period is never cut in two; under a partial one
any number of records will do. The lines stay in the file: of each only its number and place are kept in memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import orjson

from gateway.contracting.contract import Contract

_MONTH_CHARACTERS = 7


@dataclass(frozen=True, slots=True)
class Cut:
    """Which lines of a file make one submission: their numbers, counted from 1, and where each begins."""

    numbers: array[int] = field(default_factory=lambda: array("Q"))
    places: array[int] = field(default_factory=lambda: array("Q"))

    def add(self, other: Cut) -> None:
        """Put another's lines behind."""
        self.numbers.extend(other.numbers)
        self.places.extend(other.places)


@dataclass(frozen=True, slots=True)
class Part:
    """The lines of one submission, and which records of the file they were, counted from 1."""

    lines: tuple[bytes, ...]
    numbers: array[int]


def cuts_of(file: BinaryIO, contract: Contract, *, records_max: int) -> list[Cut]:
    """Return the submissions of a file of canonical lines, in order, with as many records as fit.

    A period with more records than that is a part of its own: it is not cut.
    """
    whole = contract.acceptance.mode != "partial"
    groups: dict[str | int, Cut] = {}
    place = 0
    for count, line in enumerate(file):
        group = _period(line, contract.shape.period_column) if whole else count // records_max
        cut = groups.setdefault(group, Cut())
        cut.numbers.append(count + 1)
        cut.places.append(place)
        place += len(line)
    return list(_joined(groups, records_max)) if whole else list(groups.values())


def part_of(file: BinaryIO, cut: Cut) -> Part:
    """Read the lines of one submission."""
    lines = []
    for place in cut.places:
        file.seek(place)
        lines.append(file.readline().removesuffix(b"\n"))
    return Part(tuple(lines), cut.numbers)


def _joined(periods: dict[str | int, Cut], records_max: int) -> Iterator[Cut]:
    waiting = Cut()
    for period in sorted(periods, key=str):
        if waiting.numbers and len(waiting.numbers) + len(periods[period].numbers) > records_max:
            yield waiting
            waiting = Cut()
        waiting.add(periods[period])
    if waiting.numbers:
        yield waiting


def _period(line: bytes, column: str) -> str:
    """Return a record's month; what has none goes along with the first and is refused with its reason."""
    try:
        return str(orjson.loads(line)[column])[:_MONTH_CHARACTERS]
    except (ValueError, KeyError, TypeError):
        return ""
