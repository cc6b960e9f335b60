# SPDX-License-Identifier: Apache-2.0
"""What time it is and how it is written; this file is about instants, always in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from; handed in, so that tests can set it."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        return datetime.now(UTC)


def format_instant(at: datetime) -> str:
    """Write an instant as RFC 3339 in UTC with exactly six decimals, `2026-11-24T02:00:00.123456Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_instant(text: str) -> datetime:
    """Read what `format_instant` writes.

    Raises:
        ValueError: when the text has any other form.
    """
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
