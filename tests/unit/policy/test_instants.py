# SPDX-License-Identifier: Apache-2.0
"""How long an answer holds; this file is about the instants read off policies, and about answers kept between them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.contracting.strict_yaml import read_yaml
from gateway.errors import DeniedByPolicy
from gateway.policy import requests
from gateway.policy.decide import DecisionPoint
from gateway.policy.instants import instants_of, place_of
from gateway.policy.load import compile_policies, load_rules, newest_of, parsed_policies
from gateway.trip import Partner

ROOT = Path(__file__).parents[3] / "contracts"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MOMENT = timedelta(milliseconds=1)
UPM = Partner("MEX.SEGOB.UPMRIP", "MEX", "active", frozenset({"reader"}), ())


def read_off(condition: str) -> tuple[datetime, ...] | None:
    text = f'@id("x") permit (principal, action, resource) when {{ {condition} }};'
    return instants_of(parsed_policies(text), "at")


@pytest.mark.parametrize(
    ("condition", "instants"),
    [
        ('context.at >= datetime("2026-11-24T12:00:00Z")', (NOON,)),
        ('datetime("2026-11-24T12:00:00.001Z") > context.at', (NOON + MOMENT,)),
        ('context.at == datetime("2026-11-24") || context.purpose == "X"', (datetime(2026, 11, 24, tzinfo=UTC),)),
        ('!(context.at < datetime("2026-11-24T12:00:00Z")) && context has at', (NOON,)),
        ('context.purpose == "at"', ()),
        ("principal.country == resource.owner", ()),
    ],
)
def test_instants_are_read_off_comparisons(condition: str, instants: tuple[datetime, ...]) -> None:
    assert read_off(condition) == instants


@pytest.mark.parametrize(
    "condition",
    [
        'context.at.toDate() == datetime("2026-11-24")',
        'context.at.offset(duration("1h")) > datetime("2026-11-24")',
        'context.at.toTime() < duration("8h")',
        "context.at == resource.since",
        "context.at < context.until",
        "context == resource.context",
        '[context.at].contains(datetime("2026-11-24"))',
    ],
)
def test_of_a_policy_that_does_more_with_the_time_nothing_is_kept(condition: str) -> None:
    """Office hours, for example: between two instants that it names its answer changes."""
    assert read_off(condition) is None


def test_a_time_that_is_an_instant_is_told_from_those_around_it() -> None:
    places = [place_of((NOON,), NOON + shift) for shift in (-MOMENT, timedelta(), timedelta(microseconds=999), MOMENT)]

    assert places == [(0, 0), (0, 1), (0, 1), (1, 1)]


def test_an_answer_that_was_kept_ends_with_the_agreement() -> None:
    """Asked before, at and after each end, again and again, in an order that lets an old answer tempt."""
    agreements = newest_of(ROOT, read_yaml)
    kept = DecisionPoint(
        compile_policies(load_rules(ROOT)[-1], agreements, parties=("GTM", "MEX", "USA"), products=("flow",))
    )
    (clause,) = [one for each in agreements for one in each.clauses if (one.owner, one.reader) == ("USA", "MEX")]
    first, after = (
        datetime(day.year, day.month, day.day, tzinfo=UTC)
        for day in (clause.valid_from, clause.readable_until + timedelta(days=1))
    )
    times = [first - MOMENT, first, after - MOMENT, after, first + timedelta(days=1)] * 3

    said = []
    for at in times:
        try:
            kept.decide(requests.read_flow(UPM, owner="USA", purpose=clause.purposes[0], at=at))
            said.append(True)
        except DeniedByPolicy:
            said.append(False)

    assert said == [False, True, True, False, True] * 3
