# SPDX-License-Identifier: Apache-2.0
"""Rates and bursts; this file is about a flood being bounded and counted, not recorded a million times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from gateway.aggregates.quota import Allowance
from gateway.api.limits import (
    BURST_SPAN,
    CALLERS_MAX,
    NOBODY,
    STRANGER_EVENTS_BURST,
    Admission,
    Bursts,
    Key,
    RateLimit,
    Turns,
    network_of,
)
from gateway.errors import RateLimited

AT = datetime(2026, 11, 24, 2, tzinfo=UTC)
KEY = Key("request", "rate-limited", "a")


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

    first = bursts.count(KEY, at=AT)
    others = [bursts.count(KEY, at=AT + timedelta(seconds=second)) for second in (1, 2, 3)]

    assert first is not None
    assert first.count == 1
    assert others == [None, None, None]
    assert bursts.over(at=AT + timedelta(seconds=4)) == []
    ((key, burst),) = bursts.over(at=AT + BURST_SPAN)
    assert (key, burst.count, burst.until) == (KEY, 3, AT + timedelta(seconds=3))


def test_a_single_refusal_is_not_told_again() -> None:
    """Its event stands already."""
    bursts = Bursts()
    bursts.count(KEY, at=AT)

    assert bursts.over(at=AT + BURST_SPAN) == []
    assert bursts.count(KEY, at=AT + BURST_SPAN) is not None


def test_a_certificate_that_is_not_known_to_be_pinned_has_a_far_lower_rate() -> None:
    """Whoever a trusted authority gave a certificate could else fill the log as fast as a partner may submit."""
    limit = Admission(per_second=100, burst=100)
    for _ in range(10):
        limit.take("stranger", at=AT)

    with pytest.raises(RateLimited) as caught:
        limit.take("stranger", at=AT + timedelta(milliseconds=900))

    assert caught.value.retry_after_seconds == 1
    limit.know("stranger", "MEX.SEGOB.UPMRIP")
    for _ in range(90):
        limit.take("stranger", at=AT + timedelta(milliseconds=900))
    limit.forget("stranger")
    with pytest.raises(RateLimited):
        limit.take("stranger", at=AT + timedelta(milliseconds=900))


def test_a_caller_who_is_known_still_has_a_partner_s_rate_and_no_more() -> None:
    """From then on its requests are the partner's, whichever certificate they come with."""
    limit = Admission(per_second=1, burst=10)
    limit.take("a", at=AT)
    limit.know("a", "MEX.SEGOB.UPMRIP")
    for _ in range(10):
        limit.take("a", at=AT)

    with pytest.raises(RateLimited):
        limit.take("a", at=AT)


def test_strangers_share_the_events_that_they_may_leave() -> None:
    """A thousand networks are one flood: what is over the bound is counted as nobody's, and told twice."""
    bursts = Bursts()

    told = [
        bursts.count(Key("handshake", "certificate-required", f"10.0.{n}.1"), at=AT, stranger=True)
        for n in range(STRANGER_EVENTS_BURST + 50)
    ]

    assert sum(one is not None for one in told) == STRANGER_EVENTS_BURST + 1
    ((key, burst),) = bursts.over(at=AT + BURST_SPAN)
    assert (key, burst.count) == (Key("handshake", "certificate-required", NOBODY), 49)


def test_when_no_more_callers_can_be_told_apart_they_are_counted_together() -> None:
    """A full table never means that each refusal becomes an event."""
    bursts = Bursts()
    for n in range(CALLERS_MAX):
        bursts.count(Key("request", "rate-limited", str(n)), at=AT)

    told = [bursts.count(Key("request", "rate-limited", f"late{n}"), at=AT) for n in range(100)]

    assert [one is not None for one in told] == [True] + [False] * 99


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7:443", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6:443", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9:1", "2001:db8:1:2::/64"), ("::ffff:192.0.2.7:443", "192.0.2.7"),
        ("fe80::1%eth0:443", "fe80::/64"), ("unknown", "unknown"),
    ],
)  # fmt: skip
def test_a_network_is_what_one_caller_has_to_itself(address: str, network: str) -> None:
    """A host of IPv6 has 18 million million million addresses."""
    assert network_of(address) == network


def test_a_partner_has_its_turns_and_no_more() -> None:
    """Slow bodies of one partner hold threads of that partner's share only, and the others notice nothing."""

    async def main() -> None:
        turns = Turns(2, seconds=0.01)
        async with turns.of("a"), turns.of("a"):
            with pytest.raises(RateLimited) as caught:
                async with turns.of("a"):
                    raise AssertionError("a third turn")
            assert caught.value.retry_after_seconds == 1
            async with turns.of("b"):
                pass
        async with turns.of("a"):
            pass
        assert turns._turns == {}

    anyio.run(main)


def test_two_certificates_of_one_partner_share_what_it_may_ask() -> None:
    """A rotation doubles nothing."""
    limit = Admission(per_second=1, burst=2)
    limit.know("old", "MEX.INM")
    limit.know("new", "MEX.INM")

    left = [limit.take(source, at=AT).remaining for source in ("old", "new")]

    assert left == [1, 0]
    with pytest.raises(RateLimited):
        limit.take("old", at=AT)


def test_each_action_has_a_limit_of_its_own() -> None:
    """Who has read too much is still let in to submit."""
    limit = Admission(per_second=1, burst=1)
    limit.know("a", "MEX.INM")
    limit.take("a", "read", at=AT)

    with pytest.raises(RateLimited):
        limit.take("a", "read", at=AT)
    assert limit.take("a", "submit", at=AT) == Allowance("", 1, 1, 0, 1)
