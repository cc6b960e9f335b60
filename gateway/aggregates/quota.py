# SPDX-License-Identifier: Apache-2.0
"""How often an agreement lets a partner ask; this file is about its requests per hour, counted over all processes.

A request is counted by minute in the very transaction that records it, so that the count costs no other one and holds
for every gateway on the database. Who is over the limit is refused from memory until there can be room again.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.errors import RateLimited
from gateway.storage import life
from gateway.storage.engine import Tx

HOUR: Final = timedelta(hours=1)
MINUTE: Final = timedelta(minutes=1)
FULL_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a caller may still ask under one limit: `limit` in `window_seconds`, and when there is more again."""

    name: str
    limit: int
    window_seconds: int
    remaining: int
    reset_seconds: int


class Quota:
    """The limits of agreements, by reader and owner."""

    def __init__(self) -> None:
        self._full: OrderedDict[tuple[str, str], datetime] = OrderedDict()

    def look(self, reader: str, owner: str, *, at: datetime) -> None:
        """Refuse a reader of whom it is known that it is over the limit.

        Raises:
            RateLimited: with the seconds until the agreement gives more.
        """
        if (until := self._full.get((reader, owner), at)) > at:
            raise RateLimited(retry_after_seconds=math.ceil((until - at).total_seconds()))

    def take(self, tx: Tx, reader: str, per_hour: Mapping[str, int], *, at: datetime) -> list[Allowance]:
        """Count one request of a reader for each owner, whose agreement gives so many; a refusal leaves no count.

        Raises:
            RateLimited: when an agreement gives no more in this hour, with the seconds until it does.
        """
        if not per_hour:
            return []
        minute = at.replace(second=0, microsecond=0)
        # One minute more than an hour, so that within no hour more are given than the agreement says.
        spent = life.spend_requests(tx, reader, list(per_hour), minute=minute, since=minute - HOUR)
        return [self._allowance(reader, owner, per_hour[owner], *spent[owner], at=at) for owner in sorted(per_hour)]

    def _allowance(
        self, reader: str, owner: str, limit: int, count: int, oldest: datetime, *, at: datetime
    ) -> Allowance:
        frees = oldest + HOUR + MINUTE
        if count > limit:
            self._full[reader, owner] = frees
            if len(self._full) > FULL_MAX:
                self._full.popitem(last=False)
            self.look(reader, owner, at=at)
        seconds = math.ceil((frees - at).total_seconds())
        return Allowance(f"flow-{owner}", limit, round(HOUR.total_seconds()), limit - count, seconds)
