# SPDX-License-Identifier: Apache-2.0
"""Clocks that are wrong; this file is about an hour's difference between an agency and the gateway, on either side."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.clock import parse_instant
from gateway.errors import Reason
from tests.api.asking import line, refused, signed
from tests.faults.machine import clean, works_again
from tests.programs import program
from tests.running import USA, Running, parse_answer, problem_of, running

HOUR = timedelta(hours=1)
SECONDS_OFF_MAX = 60


def told_time(text: str) -> datetime:
    """Return the gateway's time from the sentence of a refusal."""
    word = next(word.rstrip(".") for word in text.split() if word[:4].isdigit())
    return parse_instant(word) if "." in word else datetime.fromisoformat(word)


@pytest.mark.parametrize(("off", "reason"), [(HOUR, Reason.SIGNATURE_NOT_YET_VALID), (-HOUR, Reason.SIGNATURE_EXPIRED)])
def test_an_agency_whose_clock_is_off_is_told_the_time(tmp_path: Path, off: timedelta, reason: Reason) -> None:
    """What it signs holds for minutes; the refusal says what time it is, and the right clock is accepted."""
    with running(tmp_path / "sandbox") as gateway:
        answer = refused(gateway, signed(gateway, [line()], at=datetime.now(UTC) + off), reason)

        assert abs(told_time(answer.document["detail"]) - datetime.now(UTC)) < timedelta(seconds=SECONDS_OFF_MAX)
        works_again(gateway, [])


@pytest.mark.conformance
@pytest.mark.parametrize("hours", ["+1h", "-1h"])
def test_a_gateway_whose_clock_is_off_breaks_nothing(tmp_path: Path, hours: str) -> None:
    """It refuses and tells its own time, so that the agency sees whose clock is wrong; set right, it goes on."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    program("faketime")
    assert library is not None
    off = HOUR if hours == "+1h" else -HOUR
    with running(tmp_path / "sandbox", valid_from=datetime.now(UTC) - 5 * HOUR) as gateway:
        works_again(gateway, [])
        gateway.stop()
        gateway.environment = {"LD_PRELOAD": str(library), "FAKETIME": hours, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        gateway.start()
        wrong_clock(gateway, off)
        gateway.stop()
        gateway.environment = {}
        gateway.start()

        works_again(gateway, [])


def wrong_clock(gateway: Running, off: timedelta) -> None:
    reason = Reason.SIGNATURE_EXPIRED if off > timedelta() else Reason.SIGNATURE_NOT_YET_VALID
    # Not by way of `send`, which holds the time of the answer's signature against ours.
    _, _, body = parse_answer(gateway.exchange(USA, signed(gateway, [line()]).wire()))
    problem = problem_of(body)
    assert problem["reason"] == reason
    told = told_time(problem["detail"])
    assert abs(told - datetime.now(UTC) - off) < timedelta(seconds=SECONDS_OFF_MAX)
    assert gateway.ready()
    clean(gateway)
