# SPDX-License-Identifier: Apache-2.0
"""The records of the benchmarks; this file is about border events, and about where their ids lie.

An id of version 7 begins with the moment in which its sender made it, and so does the key of a row: where the ids of a
submission lie, its rows lie. A sender that makes ids when it exports sends each submission behind the one before
(`next_lines`). The hard case is one whose every submission is scattered over the forty days before (`scattered_lines`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from gateway.cli.demo.synthetic import border_events
from gateway.identifiers import new_id
from gateway.wire.canonical import canonical_bytes
from tests.running import USA
from tests.synthetic import CELLS

SPAN = timedelta(minutes=1)
HISTORY = timedelta(days=40)
_NOW = datetime.now(UTC)
_HISTORY_END = _NOW - timedelta(days=20)


def next_lines(count: int, *, number: int) -> Iterator[bytes]:
    """Return canonical lines whose ids were made in one minute, a later one for a higher number."""
    return _lines(count, number, _HISTORY_END + number * SPAN, SPAN)


def scattered_lines(count: int, *, number: int) -> Iterator[bytes]:
    """Return canonical lines whose ids lie anywhere in the history."""
    return _lines(count, number, _HISTORY_END - HISTORY, HISTORY)


def history_ids(count: int) -> Iterator[str]:
    """Return the ids of records that stand already, in no order."""
    chance = random.Random(count)
    for _ in range(count):
        yield new_id(_HISTORY_END - chance.random() * HISTORY)


def _lines(count: int, number: int, start: datetime, span: timedelta) -> Iterator[bytes]:
    chance = random.Random(number)
    for event in border_events(CELLS, provider=USA, count=count, now=_NOW, seed=number):
        event["event_id"] = new_id(start + chance.random() * span)
        yield canonical_bytes(event)
