# SPDX-License-Identifier: Apache-2.0
"""Bounded retries; this file is about how long a client waits, and when it gives up."""

from __future__ import annotations

import pytest

from gateway.client.failures import CannotReach
from gateway.client.retry import Pace


def test_ten_thousand_attempts_wait_no_longer_than_the_bound() -> None:
    """A power of two grows out of every float: a client that retried for long died of it in the kill test."""
    waits: list[float] = []
    attempts = Pace(float("inf"), attempts_max=10_000, sleep=waits.append).started()

    for _ in range(9_999):
        attempts.wait(retry_after=None, failure=CannotReach("away"))

    assert max(waits) <= 20
    with pytest.raises(CannotReach):
        attempts.wait(retry_after=None, failure=CannotReach("away"))
