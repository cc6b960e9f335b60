# SPDX-License-Identifier: Apache-2.0
"""What came of a submission; this file is about the values that the SDK returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class RecordCounts:
    """How many records of a submission came and what became of them."""

    received: int
    accepted: int
    duplicate: int
    refused: int
    quarantined: int = 0

    def plus(self, other: RecordCounts) -> RecordCounts:
        """Return the sum of two parts."""
        return RecordCounts(
            self.received + other.received,
            self.accepted + other.accepted,
            self.duplicate + other.duplicate,
            self.refused + other.refused,
            self.quarantined + other.quarantined,
        )


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """One record that was not accepted: `line` counts from 1 in what was sent."""

    line: int
    pointer: str
    code: str
    detail: str


def refused_line(entry: Mapping[str, Any], language: str) -> RefusedLine:
    """Return one entry of a list of errors, its detail in the reader's language.

    Raises:
        KeyError, ValueError, TypeError: when it is none.
    """
    detail = entry.get("detail", "")
    if isinstance(detail, Mapping):
        detail = detail.get(language) or detail.get("en", "")
    return RefusedLine(int(entry["line"]), str(entry.get("pointer", "")), str(entry["code"]), str(detail))


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
    """A file of which every part is accepted. `already` says that an earlier run had finished it."""

    records: RecordCounts
    receipts: tuple[Path, ...]
    refused: Path | None
    parts: tuple[SubmitOutcome, ...]
    already: bool = False


NO_RECORDS = RecordCounts(0, 0, 0, 0)
