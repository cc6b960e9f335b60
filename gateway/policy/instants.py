# SPDX-License-Identifier: Apache-2.0
"""Until when an answer holds; this file is about the instants at which what some policies say can change.

Policies that do nothing with the time of a request but compare it with instants that they name answer alike from one
such instant to the next. Whether they do nothing else is read off them; of others no answer is kept.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

_COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "!="})


class TimeUsedOtherwise(ValueError):
    """A policy does something else with a fact of the context than this file understands."""


def instants_of(policies: Iterable[Mapping[str, Any]], fact: str) -> tuple[datetime, ...] | None:
    """Return the instants with which policies (Cedar's JSON form) compare a fact, or None when they do more with it."""
    try:
        return tuple(sorted({found for policy in policies for found in _compared(policy["conditions"], fact)}))
    except TimeUsedOtherwise:
        return None


def place_of(instants: Sequence[datetime], at: datetime) -> tuple[int, int]:
    """Return where a time lies among instants: the same for all times that no comparison tells apart."""
    # Cedar's time has milliseconds.
    moment = at.replace(microsecond=at.microsecond // 1000 * 1000)
    return bisect_left(instants, moment), bisect_right(instants, moment)


def _compared(node: Any, fact: str) -> Iterator[datetime]:
    if isinstance(node, list):
        for item in node:
            yield from _compared(item, fact)
    elif isinstance(node, dict):
        for name, part in node.items():
            if name in _COMPARISONS and (sides := _sides(part, fact)):
                yield from sides
            elif (name == "." and part["attr"] != fact) or name == "has":
                # Another fact of the context, or whether there is one.
                yield from () if part["left"] == {"Var": "context"} else _compared(part["left"], fact)
            elif name == "." or part == "context":
                raise TimeUsedOtherwise(fact)
            else:
                yield from _compared(part, fact)


def _sides(part: Mapping[str, Any], fact: str) -> list[datetime]:
    """Return the instant with which a comparison compares the fact; nothing when it is about something else."""
    asked = {".": {"left": {"Var": "context"}, "attr": fact}}
    match part:
        case {"left": left, "right": {"datetime": [{"Value": str(text)}]}} if left == asked:
            return [_instant(text)]
        case {"left": {"datetime": [{"Value": str(text)}]}, "right": right} if right == asked:
            return [_instant(text)]
    return []


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise TimeUsedOtherwise(text) from error
    return found.replace(tzinfo=found.tzinfo or UTC)
