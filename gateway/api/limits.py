# SPDX-License-Identifier: Apache-2.0
"""How often a caller may ask; this file is about token buckets, and about counting what they turn away.

A partner has a bucket for each kind of action, whichever of its certificates it uses: who reads too much still submits.

A flood is an event, not a million events: everything that one caller is refused in a row is counted, and the
count becomes one audit event when the burst is over or a minute has passed. Strangers, of whom there can be any
number, share what they may leave in the log.
"""

from __future__ import annotations

import ipaddress
import math
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import anyio

from gateway.aggregates.quota import Allowance
from gateway.errors import RateLimited

CALLERS_MAX = 10_000
BURST_SPAN = timedelta(seconds=60)
# Of strangers, one by one and all together: requests, and events that their refusals may leave.
STRANGER_RATE_SHARE = 100
STRANGER_BURST_SHARE = 10
STRANGER_EVENTS_PER_SECOND = 2
STRANGER_EVENTS_BURST = 200
IPV6_NETWORK_BITS = 64
TURN_SECONDS = 2.0
NOBODY = "-"


class Key(NamedTuple):
    """What was refused, why, and to whom: a certificate's SHA-256 or a network, or nobody in particular."""

    kind: str
    reason: str
    caller: str


def network_of(address: str) -> str:
    """Return the network behind `host:port` that one caller has to itself: an IPv4 address, or a /64 of IPv6."""
    host = address.rpartition(":")[0] or address
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), IPV6_NETWORK_BITS), strict=False))


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

    def take(self, caller: str, *, at: datetime) -> Allowance:
        """Spend one token of a caller, and return what is left.

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
            return self.allowance(bucket.tokens)

    def allowance(self, tokens: float) -> Allowance:
        """Return how many tokens are left as what a caller is told: it may use them until the bucket is full again."""
        window, reset = (math.ceil(part / self._per_second) for part in (self._burst, self._burst - tokens))
        return Allowance("", self._burst, max(1, window), math.floor(tokens), reset)


class Admission:
    """Who may ask now: each caller at the rate of a partner, and who is not known at a far lower one as well.

    Known is whose certificate was found pinned; until then anyone could be behind it.
    """

    def __init__(self, *, per_second: float, burst: int) -> None:
        self._partners = RateLimit(per_second=per_second, burst=burst)
        self._strangers = RateLimit(
            per_second=per_second / STRANGER_RATE_SHARE, burst=max(1, burst // STRANGER_BURST_SHARE)
        )
        self._names: OrderedDict[str, str] = OrderedDict()
        self._turn = threading.Lock()

    def take(self, source: str, action: str = "", *, at: datetime) -> Allowance:
        """Spend one request of a caller for an action, and return what is left.

        Raises:
            RateLimited: when there is none left.
        """
        name = self.name_of(source)
        if name is None:
            self._strangers.take(source, at=at)
        return self._partners.take(f"{action} {name or source}", at=at)

    def spent(self) -> Allowance:
        """Return what a caller is told whose request was one too many."""
        return self._partners.allowance(0)

    def know(self, source: str, name: str) -> None:
        """Note for whom a certificate was found pinned."""
        with self._turn:
            self._names[source] = name
            self._names.move_to_end(source)
            if len(self._names) > CALLERS_MAX:
                self._names.popitem(last=False)

    def forget(self, source: str) -> None:
        """Note that a certificate stands for nobody, or no more."""
        with self._turn:
            self._names.pop(source, None)

    def name_of(self, source: str) -> str | None:
        """Return who was last behind a certificate, if anybody was."""
        return self._names.get(source)


@dataclass(slots=True)
class _Turn:
    free: anyio.Semaphore
    waiting: int = 0


class Turns:
    """How many submissions of one partner are worked on at once; used on the event loop only."""

    def __init__(self, each_max: int, *, seconds: float = TURN_SECONDS) -> None:
        self._each_max, self._seconds = each_max, seconds
        self._turns: dict[str, _Turn] = {}

    @asynccontextmanager
    async def of(self, partner: str) -> AsyncIterator[None]:
        """Wait for a turn of this partner, and hold it inside the block.

        Raises:
            RateLimited: when none becomes free in time: the partner's own submissions under way are too slow.
        """
        turn = self._turns.setdefault(partner, _Turn(anyio.Semaphore(self._each_max)))
        turn.waiting += 1
        try:
            try:
                with anyio.fail_after(self._seconds):
                    await turn.free.acquire()
            except TimeoutError as error:
                raise RateLimited(retry_after_seconds=math.ceil(self._seconds)) from error
            try:
                yield
            finally:
                turn.free.release()
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                del self._turns[partner]


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
        self._strangers = RateLimit(per_second=STRANGER_EVENTS_PER_SECOND, burst=STRANGER_EVENTS_BURST)

    def spend(self, *, at: datetime) -> None:
        """Spend one of the events that strangers may leave, all together, or raise RateLimited."""
        self._strangers.take("", at=at)

    def count(self, key: Key, *, at: datetime, stranger: bool = False) -> Burst | None:
        """Count one refusal and return what is to be recorded now: the first of a burst, else nothing.

        A stranger for whom there is no event left, or no room, is counted with all others of the kind, as nobody.
        """
        with self._turn:
            if key not in self._open:
                key = self._opened(key, at=at, stranger=stranger)
            burst = self._open.get(key)
            if burst is not None:
                burst.count += 1
                burst.until = at
                return None
            self._open[key] = Burst(0, at, at)
            return Burst(1, at, at)

    def _opened(self, key: Key, *, at: datetime, stranger: bool) -> Key:
        nobody = key._replace(caller=NOBODY)
        if len(self._open) >= CALLERS_MAX:
            return nobody
        try:
            if stranger:
                self.spend(at=at)
        except RateLimited:
            return nobody
        return key

    def over(self, *, at: datetime) -> list[tuple[Key, Burst]]:
        """Return and forget the bursts whose minute has passed, without those that were a single refusal."""
        with self._turn:
            past = [(key, burst) for key, burst in self._open.items() if at - burst.since >= BURST_SPAN]
            for key, _ in past:
                del self._open[key]
        return [(key, burst) for key, burst in past if burst.count]
