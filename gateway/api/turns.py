# SPDX-License-Identifier: Apache-2.0
"""Bodies and threads; this file is about work that reads a body: each caller has its turns, and reads keep threads.

A body may come slowly, and a thread waits for it. So no route reads one on the threads for reads, where a few slow
callers would hide the health page, and no caller holds more than its share of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from gateway.api.desk import Desk
from gateway.api.visit import Visit, known_caller
from gateway.errors import PartnerSuspended

P = ParamSpec("P")
T = TypeVar("T")


async def in_turn(desk: Desk, visit: Visit, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run work that reads a body, when its caller has a turn; who is nobody is refused before there is a thread.

    Raises:
        RateLimited: when the caller's bodies under way are too slow.
        Refusal: when the certificate does not hold or is pinned for nobody, or what `work` raises.
    """
    name = desk.rate.name_of(visit.source)
    if name is None:
        name = await desk.read(_identified, desk, visit)
    async with desk.turns.of(name):
        return await desk.submit(work, *args, **kwargs)


def _identified(desk: Desk, visit: Visit) -> str:
    try:
        return known_caller(visit, desk).id
    except PartnerSuspended:
        return visit.source  # The trip refuses it, in the partner's own name.
