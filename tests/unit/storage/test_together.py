# SPDX-License-Identifier: Apache-2.0
"""Works of many threads in one transaction; this file is about who goes together, who apart, and what each is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from gateway.errors import NotFound, Replayed, StorageUnavailable
from gateway.storage.engine import Storage, Tx, WriteConflict
from gateway.storage.together import Together

WAIT_SECONDS = 20
GUESTS = 8


class Desk:
    """Doubles numbers; the first transaction waits until all others have come."""

    def __init__(self, storage: Storage) -> None:
        self.together: Together[int, int] = Together(storage)
        self.groups: list[Sequence[int]] = []
        self.alone: list[int] = []
        self.first, self.go_on = threading.Event(), threading.Event()
        self.meet: Callable[[int], None] = lambda _: None

    def work(self, _tx: Tx, items: Sequence[int]) -> list[int]:
        self.groups.append(items)
        if len(self.groups) == 1:
            self.first.set()
            assert self.go_on.wait(WAIT_SECONDS)
        for item in items:
            self.meet(item)
        return [2 * item for item in items]

    def ask(self, item: int) -> int:
        def alone(_tx: Tx) -> int:
            self.alone.append(item)
            self.meet(item)
            return 2 * item

        return self.together.write(item, self.work, alone)

    def ask_all(self) -> list[Future[int]]:
        """Let one begin, and the others come while it works."""
        with ThreadPoolExecutor(GUESTS) as threads:
            asked = [threads.submit(self.ask, 0)]
            assert self.first.wait(WAIT_SECONDS)
            asked += [threads.submit(self.ask, item) for item in range(1, GUESTS)]
            while len(self.together._waiting) < GUESTS - 1:
                threading.Event().wait(0.005)
            self.go_on.set()
        return asked


def test_who_comes_while_one_works_goes_into_the_next_transaction_together(storage: Storage) -> None:
    desk = Desk(storage)

    assert [each.result() for each in desk.ask_all()] == [2 * item for item in range(GUESTS)]
    assert [len(group) for group in desk.groups] == [1, GUESTS - 1]
    assert desk.alone == []


@pytest.mark.parametrize("trouble", [Replayed(), WriteConflict()])
def test_one_that_cannot_go_with_others_leaves_them_as_they_were(storage: Storage, trouble: Exception) -> None:
    desk = Desk(storage)

    def meet(item: int) -> None:
        if item == 3 and 3 not in desk.alone:
            raise trouble

    desk.meet = meet

    assert [each.result() for each in desk.ask_all()] == [2 * item for item in range(GUESTS)]
    assert sorted(desk.alone) == list(range(1, GUESTS))


def test_who_is_refused_alone_is_told_so_and_no_other(storage: Storage) -> None:
    desk = Desk(storage)

    def meet(item: int) -> None:
        if item == 3:
            raise NotFound

    desk.meet = meet
    asked = desk.ask_all()

    assert isinstance(asked[3].exception(), NotFound)
    assert all(each.result() == 2 * item for item, each in enumerate(asked) if item != 3)


def test_a_database_that_is_away_is_told_to_each_at_once(storage: Storage) -> None:
    desk = Desk(storage)

    def meet(item: int) -> None:
        if item:
            raise StorageUnavailable(retry_after_seconds=7)

    desk.meet = meet
    told = [each.exception() for each in desk.ask_all()[1:]]

    assert all(isinstance(each, StorageUnavailable) and each.retry_after_seconds == 7 for each in told)
    assert len({id(each) for each in told}) == GUESTS - 1
    assert desk.alone == []


def test_a_fault_of_the_one_who_leads_is_not_that_of_the_others(storage: Storage) -> None:
    desk = Desk(storage)

    def meet(item: int) -> None:
        if len(desk.groups) == 2 and not desk.alone:
            desk.alone.append(-1)
            raise ZeroDivisionError

    desk.meet = meet
    asked = desk.ask_all()

    assert [type(each.exception()) for each in asked].count(ZeroDivisionError) == 1
    assert sum(each.exception() is None for each in asked) == GUESTS - 1
