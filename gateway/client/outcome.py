# SPDX-License-Identifier: Apache-2.0
"""What came of a submission; this file is about the values that the SDK returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from operator import add
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class RecordCounts:
    """How many records of a submission came and what became of them."""

    received: int = 0
    accepted: int = 0
    duplicate: int = 0
    refused: int = 0
    quarantined: int = 0

    def __add__(self, other: RecordCounts) -> RecordCounts:
        return RecordCounts(*map(add, astuple(self), astuple(other)))


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """One record that was not accepted: `line` counts from 1 in what was sent."""

    line: int
    pointer: str
    code: str
    detail: str


def refused_lines(entries: Iterable[Mapping[str, Any]], language: str) -> tuple[RefusedLine, ...]:
    """Return a list of errors, their details in the reader's language; ValueError when it is none."""
    lines = []
    try:
        for entry in entries:
            detail = entry.get("detail", "")
            if isinstance(detail, Mapping):
                detail = detail.get(language) or detail.get("en", "")
            lines.append(
                RefusedLine(int(entry["line"]), str(entry.get("pointer", "")), str(entry["code"]), str(detail))
            )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("no list of errors") from error
    return tuple(lines)


@dataclass(frozen=True, slots=True)
class SubmitOutcome:
    """An accepted submission: the signed answer and the receipt are verified, or this value does not exist."""

    submission_id: str
    event_id: str
    replay: bool
    records: RecordCounts
    refused: tuple[RefusedLine, ...]
    receipt: Mapping[str, Any]
    receipt_status: str
    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """A file of which every part is accepted; `receipt_status` is what the pinned policy says of all its receipts.

    `already` says that an earlier run had finished it.
    """

    records: RecordCounts
    receipts: tuple[Path, ...]
    receipt_status: str
    refused: Path | None = None
    already: bool = False
