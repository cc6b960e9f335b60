# SPDX-License-Identifier: Apache-2.0
"""How often and how long to try; this file is about bounded retries with jitter."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from gateway.client.failures import CannotReach, HandshakeRefused, Refused
from gateway.clock import Clock, SystemClock

ATTEMPTS_MAX = 12
RETRY_STATUSES = frozenset({429, 502, 503, 504})
_FIRST_SECONDS = 0.4
_WAIT_SECONDS_MAX = 20.0
_POLL_SECONDS_MIN = 0.1
_DOUBLINGS_MAX = 10
_SYSTEM_RANDOM = random.SystemRandom()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pace:
    """The bounds, and where time and chance come from (handed in, so that tests need not wait)."""

    seconds_total_max: float
    attempts_max: int = ATTEMPTS_MAX
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = field(default=_SYSTEM_RANDOM.random)
    clock: Clock = field(default_factory=SystemClock)

    def started(self) -> Attempts:
        """Return the attempts of one call, beginning now."""
        return Attempts(self, self.monotonic() + self.seconds_total_max)

    def tried(self, act: Callable[[], T]) -> T:
        """Do something until it ends otherwise than in a failure that passes, or raise `CannotReach` at a bound."""
        attempts = self.started()
        while True:
            try:
                return act()
            except HandshakeRefused:
                raise
            except CannotReach as failure:
                attempts.wait(retry_after=None, failure=failure)
            except Refused as refused:
                if refused.status not in RETRY_STATUSES:
                    raise
                attempts.wait(retry_after=refused.retry_after, failure=CannotReach(str(refused)))


@dataclass(slots=True)
class Attempts:
    """The attempts of one call: each failed one waits, until a bound is met."""

    pace: Pace
    deadline: float
    count: int = 0

    def wait(self, *, retry_after: str | None, failure: Exception) -> None:
        """Wait before the next attempt; at a bound, raise the failure instead.

        The wait is the larger of a random part of the growing back-off (so that many senders do not return
        together after an outage) and what `Retry-After` asks.
        """
        self.count += 1
        if self.count >= self.pace.attempts_max:
            raise failure
        grown = _FIRST_SECONDS * 2 ** min(self.count, _DOUBLINGS_MAX)
        backoff = min(_WAIT_SECONDS_MAX, grown) * (0.5 + self.pace.chance() / 2)
        self._sleep(backoff, retry_after, failure)

    def poll(self, *, retry_after: str | None, failure: Exception) -> None:
        """Wait before asking again for something promised; at the time bound, raise the failure instead."""
        self._sleep(_POLL_SECONDS_MIN, retry_after, failure)

    def _sleep(self, seconds_min: float, retry_after: str | None, failure: Exception) -> None:
        seconds = max(seconds_min, seconds_of(retry_after, at=self.pace.clock.now()))
        if self.pace.monotonic() + seconds > self.deadline:
            raise failure
        self.pace.sleep(seconds)


def seconds_of(retry_after: str | None, *, at: datetime) -> float:
    """Return how long a `Retry-After` field asks to wait, in seconds or until a date; nonsense counts as 0."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    # A date in "-0000" has no zone for the library; HTTP dates are UTC (RFC 9110, section 5.6.7).
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - at).total_seconds())
