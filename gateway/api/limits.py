# SPDX-License-Identifier: Apache-2.0
"""How often a caller may ask; this file is about token buckets, and about counting what they turn away.

A flood is an event, not a million events: everything that one caller is refused in a row is counted, and the
count becomes one audit event when the burst is over or a minute has passed.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.errors import RateLimited

CALLERS_MAX = 10_000
BURST_SPAN = timedelta(seconds=60)
# What was refused, and to whom.
Key = tuple[str, str]


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class RateLimit:
    """One token bucket per caller, in memory of this process."""

    def __init__(self, *, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._turn = threading.Lock()

    def take(self, caller: str, *, at: datetime) -> None:
        """Spend one token of a caller.

        Raises:
            RateLimited: when there is none, with the seconds until there is.
        """
        now = at.timestamp()
        with self._turn:
            bucket = self._buckets.setdefault(caller, _Bucket(float(self._burst), now))
            self._buckets.move_to_end(caller)
            if len(self._buckets) > CALLERS_MAX:
                self._buckets.popitem(last=False)
            bucket.tokens = min(self._burst, bucket.tokens + max(0.0, now - bucket.at) * self._per_second)
            bucket.at = max(now, bucket.at)
            if bucket.tokens < 1:
                raise RateLimited(retry_after_seconds=math.ceil((1 - bucket.tokens) / self._per_second))
            bucket.tokens -= 1


@dataclass(slots=True)
class Burst:
    """Refusals of one kind from one caller in a row."""

    count: int
    since: datetime
    until: datetime


class Bursts:
    """Counts refusals in a row; the first of a burst is told at once, the others together."""

    def __init__(self) -> None:
        self._open: dict[Key, Burst] = {}
        self._turn = threading.Lock()

    def count(self, key: Key, *, at: datetime) -> Burst | None:
        """Count one refusal and return what is to be recorded now: the first of a burst, else nothing."""
        with self._turn:
            burst = self._open.get(key)
            if burst is not None:
                burst.count += 1
                burst.until = at
                return None
            if len(self._open) < CALLERS_MAX:
                self._open[key] = Burst(0, at, at)
            return Burst(1, at, at)

    def over(self, *, at: datetime) -> list[tuple[Key, Burst]]:
        """Return and forget the bursts whose minute has passed, without those that were a single refusal."""
        with self._turn:
            past = [(key, burst) for key, burst in self._open.items() if at - burst.since >= BURST_SPAN]
            for key, _ in past:
                del self._open[key]
        return [(key, burst) for key, burst in past if burst.count]
