# SPDX-License-Identifier: Apache-2.0
"""What corrections need around them; this file is about their desk, and what a contest says in its body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gateway.clock import Clock
from gateway.errors import RequestMalformed
from gateway.identifiers import PARTNER_ID, UUID7
from gateway.policy.decide import Decisions
from gateway.storage.engine import Storage
from gateway.trip import TableShape

RECORDS_MAX = 10_000
CELL_FIELDS_MAX = 32
# Closed: the audit log takes no free text.
Cause = Literal["COUNT_WRONG", "COUNTED_TWICE", "DEFINITION_WRONG", "PERIOD_WRONG", "UNIT_WRONG", "OTHER"]
_ID = Field(default="", pattern=f"^{UUID7}$")


@dataclass(frozen=True, slots=True)
class CorrectionsDesk:
    """The parts that a contest needs; `dataflow` is where the numbers are served, `origin` is ours."""

    clock: Clock
    storage: Storage
    policy: Decisions
    shape: TableShape
    dataflow: str
    origin: str


class Said(BaseModel):
    """A contest: one record, one submission or one cell, and why; or the withdrawal of an earlier contest.

    An officer names the provider; a provider speaks for itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cause: Cause | None = None
    record_id: str = _ID
    submission_id: str = _ID
    cell: Mapping[str, str] = Field(default_factory=dict, max_length=CELL_FIELDS_MAX)
    withdraws: str = _ID
    provider: str = Field(default="", pattern=f"^{PARTNER_ID.pattern}$")

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        named = [self.record_id, self.submission_id, self.cell, self.withdraws]
        if sum(map(bool, named)) != 1:
            raise ValueError("exactly one of record_id, submission_id, cell and withdraws")
        if (self.cause is None) != bool(self.withdraws):
            raise ValueError("a cause goes with what is contested")
        return self

    @property
    def subject(self) -> str:
        """Return what kind of thing is contested."""
        return "record" if self.record_id else "submission" if self.submission_id else "cell"


def read_said(body: bytes) -> Said:
    """Read the body of a contest.

    Raises:
        RequestMalformed: when it has not the closed form.
    """
    try:
        return Said.model_validate_json(body)
    except ValidationError as error:
        raise RequestMalformed(what=_where(error.errors()[0])) from error


def _where(first: Any) -> str:
    # The message of our own rule; of any other only the place, because the value is the caller's.
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    known = [str(part) for part in first["loc"] if part in Said.model_fields]
    return f"the body at {known[0]}" if known else "the body"
