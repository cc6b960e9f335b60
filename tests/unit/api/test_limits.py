# SPDX-License-Identifier: Apache-2.0
"""Rates and bursts; this file is about a flood being bounded and counted, not recorded a million times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.api.limits import BURST_SPAN, Bursts, RateLimit
from gateway.errors import RateLimited

AT = datetime(2026, 11, 24, 2, tzinfo=UTC)


def test_a_burst_passes_and_one_more_does_not() -> None:
    """Just inside, just outside, and inside again after the wait that was named."""
    limit = RateLimit(per_second=0.5, burst=2)
    limit.take("a", at=AT)
    limit.take("a", at=AT)

    with pytest.raises(RateLimited) as caught:
        limit.take("a", at=AT)

    assert caught.value.retry_after_seconds == 2
    limit.take("a", at=AT + timedelta(seconds=2))


def test_one_caller_does_not_spend_another_s_tokens() -> None:
    """Each partner has a bucket of its own."""
    limit = RateLimit(per_second=1, burst=1)
    limit.take("a", at=AT)

    limit.take("b", at=AT)


def test_a_clock_that_steps_back_gives_nothing_away() -> None:
    """Tokens never come from a clock that was set."""
    limit = RateLimit(per_second=1, burst=1)
    limit.take("a", at=AT)

    with pytest.raises(RateLimited):
        limit.take("a", at=AT - timedelta(hours=1))


def test_refusals_in_a_row_are_told_twice_first_and_together() -> None:
    """The first is evidence at once; the others are one number."""
    bursts = Bursts()

    first = bursts.count(("request", "a"), at=AT)
    others = [bursts.count(("request", "a"), at=AT + timedelta(seconds=second)) for second in (1, 2, 3)]

    assert first is not None
    assert first.count == 1
    assert others == [None, None, None]
    assert bursts.over(at=AT + timedelta(seconds=4)) == []
    ((key, burst),) = bursts.over(at=AT + BURST_SPAN)
    assert (key, burst.count, burst.until) == (("request", "a"), 3, AT + timedelta(seconds=3))


def test_a_single_refusal_is_not_told_again() -> None:
    """Its event stands already."""
    bursts = Bursts()
    bursts.count(("request", "a"), at=AT)

    assert bursts.over(at=AT + BURST_SPAN) == []
    assert bursts.count(("request", "a"), at=AT + BURST_SPAN) is not None
