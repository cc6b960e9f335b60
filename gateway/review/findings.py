# SPDX-License-Identifier: Apache-2.0
"""What a check tells; this file is about findings, which name the evidence and no value of a record, and progress."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Defect(StrEnum):
    """The closed list of what fsck finds."""

    NO_LOG = "no-log"
    LEAF_MISSING = "leaf-missing"
    LEAF_BEYOND_HEAD = "leaf-beyond-head"
    LEAF_HASH = "leaf-hash"
    LEAF_ENTRY = "leaf-entry"
    LEAF_WITHOUT_EVENT = "leaf-without-event"
    HEAD = "head"
    TILE_MISSING = "tile-missing"
    TILE_CONTENT = "tile-content"
    TILE_EXTRA = "tile-extra"
    CHECKPOINT_ROOT = "checkpoint-root"
    CHECKPOINT_SIZE = "checkpoint-size"
    CHECKPOINT_SIGNATURE = "checkpoint-signature"
    EVENT_WITHOUT_PLACE = "event-without-place"
    EVENT_PLACED_AND_PENDING = "event-placed-and-pending"
    EVENT_CONTENT = "event-content"
    EVENT_COLUMNS = "event-columns"
    EVENT_AUDIENCE = "event-audience"
    RECORD_LINE = "record-line"
    RECORD_DOUBLE = "record-double"
    RECORD_WITHOUT_SUBMISSION = "record-without-submission"
    CORRECTION = "correction"
    SUBMISSION_COUNT = "submission-count"
    SUBMISSION_ROOT = "submission-root"
    SUBMISSION_EVENT = "submission-event"


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect and where it is."""

    defect: Defect
    where: str
    detail: str = ""

    def __str__(self) -> str:
        """Return one line for a person."""
        return f"{self.defect} at {self.where}" + (f": {self.detail}" if self.detail else "")


class Progress(Protocol):
    """Called now and then with what is being counted and how many there were."""

    def __call__(self, what: str, count: int, /) -> None: ...


def silent(what: str, count: int, /) -> None:
    """Tell nobody."""
    del what, count
