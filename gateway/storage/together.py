# SPDX-License-Identifier: Apache-2.0
"""Group commit; this file is about small works of many threads that share one transaction.

Whoever comes while a transaction is under way waits, and then all who wait go into the next one together: a commit,
and each statement in it, is paid once for all of them. One that cannot go with the others is done by itself.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.errors import Refusal, StorageUnavailable
from gateway.storage.engine import Storage, Tx, WriteConflict

TOGETHER_MAX = 64

T = TypeVar("T")
R = TypeVar("R")


class Apart(Exception):
    """One of several works must be done by itself; nothing of any was kept."""


@dataclass(slots=True)
class _Ticket(Generic[T, R]):
    item: T
    done: bool = False
    results: Sequence[R] = ()
    away: StorageUnavailable | None = None


class Together(Generic[T, R]):
    """Does items of one kind, as many in one transaction as are there; safe to use from many threads."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._waiting: deque[_Ticket[T, R]] = deque()
        self._leading = threading.Lock()

    def write(self, item: T, work: Callable[[Tx, Sequence[T]], Sequence[R]], alone: Callable[[Tx], R]) -> R:
        """Do an item with others by `work`, which does all or nothing, or `alone` when that refused any of them.

        Raises:
            Refusal: what `alone` raises.
            StorageUnavailable: when the database cannot be reached.
        """
        ticket: _Ticket[T, R] = _Ticket(item)
        self._waiting.append(ticket)
        with self._leading:
            while not ticket.done:
                self._lead(work)
        if ticket.away is not None:
            raise ticket.away
        for result in ticket.results:
            return result
        return self._storage.write(alone)

    def _lead(self, work: Callable[[Tx, Sequence[T]], Sequence[R]]) -> None:
        tickets = [self._waiting.popleft() for _ in range(min(len(self._waiting), TOGETHER_MAX))]
        for ticket in tickets:
            ticket.done = True
        items = [ticket.item for ticket in tickets]
        try:
            results = self._storage.write(lambda tx: _all_or_apart(work, tx, items))
        except StorageUnavailable as error:
            for ticket in tickets:
                ticket.away = StorageUnavailable(retry_after_seconds=error.retry_after_seconds)
        except (Refusal, Apart):
            return
        else:
            for ticket, result in zip(tickets, results, strict=True):
                ticket.results = (result,)


def _all_or_apart(work: Callable[[Tx, Sequence[T]], Sequence[R]], tx: Tx, items: Sequence[T]) -> Sequence[R]:
    try:
        return work(tx, items)
    except WriteConflict as error:
        # Run again together, they would meet it again.
        raise Apart from error
