# SPDX-License-Identifier: Apache-2.0
"""Bounded retries; this file is about how long a client waits, and when it gives up."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.client.failures import CannotReach
from gateway.client.retry import Pace, seconds_of


def test_ten_thousand_attempts_wait_no_longer_than_the_bound() -> None:
    """A power of two grows out of every float: a client that retried for long died of it in the kill test."""
    waits: list[float] = []
    attempts = Pace(float("inf"), attempts_max=10_000, sleep=waits.append).started()

    for _ in range(9_999):
        attempts.wait(retry_after=None, failure=CannotReach("away"))

    assert max(waits) <= 20
    with pytest.raises(CannotReach):
        attempts.wait(retry_after=None, failure=CannotReach("away"))


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("120", 120),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30),
        ("Tue, 24 Nov 2026 12:00:30 -0000", 30),
        ("Tue, 24 Nov 2026 11:59:59 GMT", 0),
        ("-3", 0),
        ("soon", 0),
        ("", 0),
        (None, 0),
    ],
)
def test_a_wait_is_asked_for_in_seconds_or_until_a_date(retry_after: str | None, seconds: float) -> None:
    """RFC 9110, section 10.2.3: both forms; what is neither asks for nothing."""
    assert seconds_of(retry_after, at=datetime(2026, 11, 24, 12, 0, tzinfo=UTC)) == seconds
