# SPDX-License-Identifier: Apache-2.0
"""How often an agreement lets a partner ask; this file is about its requests per hour, counted by this process."""

from __future__ import annotations

import math
import threading
from collections import deque
from datetime import datetime, timedelta

from gateway.errors import RateLimited

HOUR = timedelta(hours=1)


class Quota:
    """The requests of the last hour, by partner and owner."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], deque[datetime]] = {}
        self._turn = threading.Lock()

    def take(self, reader: str, owner: str, *, per_hour: int, at: datetime) -> None:
        """Count one request of a reader for an owner's numbers.

        Raises:
            RateLimited: when the agreement gives no more in this hour, with the seconds until it does.
        """
        with self._turn:
            asked = self._asked.setdefault((reader, owner), deque())
            while asked and asked[0] <= at - HOUR:
                asked.popleft()
            if len(asked) >= per_hour:
                wait = asked[len(asked) - per_hour] + HOUR - at
                raise RateLimited(retry_after_seconds=max(1, math.ceil(wait.total_seconds())))
            asked.append(at)
