# SPDX-License-Identifier: Apache-2.0
"""A large file in several submissions; this file is about where it may be cut.

Under an atomic contract a table is whole or not at all, so that a period is never cut in two; under a partial one
any number of records will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import orjson

from gateway.contracting.contract import Contract

_MONTH_CHARACTERS = 7


@dataclass(frozen=True, slots=True)
class Part:
    """The lines of one submission, and which records of the file they were, counted from 1."""

    lines: tuple[bytes, ...]
    numbers: tuple[int, ...]


def parts_of(lines: Iterable[bytes], contract: Contract, *, records_max: int) -> Iterator[Part]:
    """Yield the submissions of a file, in order, with as many records as fit.

    A period with more records than that is a part of its own: it is not cut.
    """
    numbered = enumerate(lines, 1)
    if contract.acceptance.mode == "partial":
        while chunk := list(islice(numbered, records_max)):
            yield _part(chunk)
        return
    periods: dict[str, list[tuple[int, bytes]]] = {}
    for number, line in numbered:
        periods.setdefault(_period(line, contract.shape.period_column), []).append((number, line))
    waiting: list[tuple[int, bytes]] = []
    for period in sorted(periods):
        if waiting and len(waiting) + len(periods[period]) > records_max:
            yield _part(waiting)
            waiting = []
        waiting.extend(periods[period])
    if waiting:
        yield _part(waiting)


def _part(chunk: list[tuple[int, bytes]]) -> Part:
    return Part(tuple(line for _, line in chunk), tuple(number for number, _ in chunk))


def _period(line: bytes, column: str) -> str:
    """Return a record's month; what has none goes along with the first and is refused with its reason."""
    try:
        return str(orjson.loads(line)[column])[:_MONTH_CHARACTERS]
    except (ValueError, KeyError, TypeError):
        return ""
