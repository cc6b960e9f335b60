# SPDX-License-Identifier: Apache-2.0
"""How often and how long to try; this file is about bounded retries with jitter."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

ATTEMPTS_MAX = 12
RETRY_STATUSES = frozenset({429, 502, 503, 504})
_FIRST_SECONDS = 0.4
_WAIT_SECONDS_MAX = 20.0
DOUBLINGS_MAX = 10
_SYSTEM_RANDOM = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Pace:
    """The bounds, and where time and chance come from (handed in, so that tests need not wait)."""

    seconds_total_max: float
    attempts_max: int = ATTEMPTS_MAX
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = field(default=_SYSTEM_RANDOM.random)

    def started(self) -> Attempts:
        """Return the attempts of one call, beginning now."""
        return Attempts(self, self.monotonic() + self.seconds_total_max)


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
        grown = _FIRST_SECONDS * 2 ** min(self.count, DOUBLINGS_MAX)
        backoff = min(_WAIT_SECONDS_MAX, grown) * (0.5 + self.pace.chance() / 2)
        seconds = max(backoff, seconds_of(retry_after))
        if self.count >= self.pace.attempts_max or self.pace.monotonic() + seconds > self.deadline:
            raise failure
        self.pace.sleep(seconds)

    def poll(self, *, retry_after: str | None, failure: Exception) -> None:
        """Wait before asking again for something promised; at the time bound, raise the failure instead."""
        seconds = max(0.1, seconds_of(retry_after))
        if self.pace.monotonic() + seconds > self.deadline:
            raise failure
        self.pace.sleep(seconds)


def seconds_of(retry_after: str | None) -> float:
    """Return the seconds that a `Retry-After` field asks for; a date or nonsense counts as none."""
    text = (retry_after or "").strip()
    return float(text) if text.isascii() and text.isdigit() else 0.0
