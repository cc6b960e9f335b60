# SPDX-License-Identifier: Apache-2.0
"""No reason without a test; this file is about the closed lists being provoked, all of them, over a connection."""

from __future__ import annotations

from pathlib import Path

from gateway.errors import Reason
from gateway.wire.record_code import RecordCode

SUITE = "\n".join(
    path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)
)


def test_every_reason_is_provoked_through_a_connection() -> None:
    """A reason that no test provokes may have stopped working long ago."""
    assert [reason for reason in Reason if f"Reason.{reason.name}" not in SUITE] == []


def test_every_record_code_is_provoked_through_a_connection() -> None:
    """The same for the codes of single records."""
    assert [code for code in RecordCode if f"RecordCode.{code.name}" not in SUITE] == []
    assert '"rule:' in SUITE
