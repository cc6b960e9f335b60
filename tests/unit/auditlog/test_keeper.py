# SPDX-License-Identifier: Apache-2.0
"""The thread that keeps the log; this file is about waiting, waking, outages, standstill and closing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
from structlog.testing import capture_logs

from gateway.auditlog.keeper import KeeperStatus, LogKeeper, covered_events
from gateway.errors import LogStalled, StorageUnavailable
from gateway.storage import log, tables
from gateway.storage.engine import Storage, Tx
from tests.unit.auditlog.auditor import Auditor
from tests.unit.auditlog.world import ORIGIN, SIGNER, VERIFIER, World

T = TypeVar("T")
WAIT_SECONDS = 20.0


class FaultyStorage(Storage):
    """A storage that can be away: `fail` makes every call raise, as when the network is cut."""

    def __init__(self, real: Storage) -> None:
        self._real = real
        self.fail: Exception | None = None
        self.refused = threading.Event()
        self.dialect = real.dialect

    def write(self, work: Callable[[Tx], T]) -> T:
        self._meet()
        return self._real.write(work)

    def read(self, work: Callable[[Tx], T]) -> T:
        self._meet()
        return self._real.read(work)

    def _meet(self) -> None:
        if self.fail is not None:
            self.refused.set()
            raise self.fail


@pytest.fixture
def world(storage: Storage) -> World:
    return World(storage)


@pytest.fixture
def faulty(world: World) -> FaultyStorage:
    return FaultyStorage(world.storage)


@pytest.fixture
def keeper(world: World, faulty: FaultyStorage) -> Iterator[LogKeeper]:
    keeper = LogKeeper(faulty, SIGNER, ORIGIN, world.clock)
    keeper.start()
    yield keeper
    keeper.close()
    assert not keeper._thread.is_alive()


def wait(keeper: LogKeeper, event_id: str, seconds: float = WAIT_SECONDS) -> None:
    asyncio.run(keeper.published(event_id, timeout_seconds=seconds))


def until(holds: Callable[[], bool]) -> None:
    """Spin until another thread has got there; bounded."""
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < end
        threading.Event().wait(0.005)


def test_a_waiter_returns_when_its_event_is_under_a_signed_checkpoint(world: World, keeper: LogKeeper) -> None:
    auditor = Auditor(world.storage, VERIFIER)
    for _ in range(5):
        event_id = world.record()
        wait(keeper, event_id)
        leaf = world.storage.read(lambda tx, i=event_id: log.leaf_of_event(tx, i))
        assert leaf is not None
        assert auditor.audit().tree_size > leaf.leaf_index
    assert keeper.state.status is KeeperStatus.RUNNING
    assert keeper.state.tree_size == 6
    keeper.check()


def test_many_wait_at_once_and_each_gets_its_own(world: World, keeper: LogKeeper) -> None:
    async def all_at_once() -> None:
        ids = [await asyncio.to_thread(world.record) for _ in range(40)]
        await asyncio.gather(*(keeper.published(event_id, timeout_seconds=WAIT_SECONDS) for event_id in ids * 2))

    asyncio.run(all_at_once())

    assert keeper._waiters == {}
    assert Auditor(world.storage, VERIFIER).audit().tree_size == 41


def test_an_event_published_long_ago_is_found_again(world: World, keeper: LogKeeper) -> None:
    """By another process, or before this one remembers: then the database is asked."""
    event_id = world.record()
    wait(keeper, event_id)
    keeper._recent.clear()

    wait(keeper, event_id)
    assert world.storage.read(lambda tx: covered_events(tx, (event_id, "none"))) == (event_id,)


def test_one_who_waits_too_long_is_told_and_forgotten(world: World, keeper: LogKeeper) -> None:
    with pytest.raises(TimeoutError):
        wait(keeper, "00000000-0000-7000-8000-000000000000", 0.01)

    assert keeper._waiters == {}


def test_an_outage_is_outlived_and_told(world: World, faulty: FaultyStorage, keeper: LogKeeper) -> None:
    wait(keeper, world.record())
    faulty.fail = StorageUnavailable(retry_after_seconds=1)
    event_id = world.record()
    keeper.wake()
    until(lambda: keeper.state.status is KeeperStatus.STORAGE_UNAVAILABLE)
    keeper.check()  # Storage refuses by itself; the log does not stand still for a blip.
    faulty.fail = None

    wait(keeper, event_id)
    until(lambda: keeper.state.status is KeeperStatus.RUNNING)
    Auditor(world.storage, VERIFIER).audit()


def test_a_fault_does_not_end_the_thread_and_stops_acceptance(
    world: World, faulty: FaultyStorage, keeper: LogKeeper
) -> None:
    # Captured, because drawing a traceback for a terminal takes longer than a loaded machine gives a test.
    with capture_logs() as told:
        faulty.fail = RuntimeError("planted")
        keeper.wake()
        until(lambda: keeper.state.status is KeeperStatus.STALLED)
        with pytest.raises(LogStalled):
            keeper.check()
        faulty.fail = None

        wait(keeper, world.record())
        until(lambda: keeper.state.status is KeeperStatus.RUNNING)
    keeper.check()
    assert "log keeper fault" in [entry["event"] for entry in told]


def test_an_inconsistent_tree_stalls_the_log(world: World, keeper: LogKeeper) -> None:
    wait(keeper, world.record())
    world.storage.write(lambda tx: tx.connection.execute(tables.log_head.update().values(root=bytes(32), size=1)))
    world.storage.write(lambda tx: tx.connection.execute(tables.log_head.update().values(edge=bytes(32))))
    keeper.wake()

    until(lambda: keeper.state.status is KeeperStatus.STALLED)
    with pytest.raises(LogStalled):
        keeper.check()


def test_an_idle_log_is_signed_again(world: World, faulty: FaultyStorage) -> None:
    keeper = LogKeeper(faulty, SIGNER, ORIGIN, world.clock, idle_seconds=0.01)
    keeper.start()
    until(lambda: keeper.state.published_at is not None)
    first = keeper.state.published_at
    until(lambda: keeper.state.published_at != first)
    keeper.close()

    signed = [row for row in world.storage.read(lambda tx: log.checkpoints(tx, start=0, end=9)) if row.note]
    assert len(signed) >= 2
    assert len({row.note for row in signed}) == 1


def test_a_new_process_publishes_what_the_one_before_left(world: World) -> None:
    """A crash after the commit leaves the event pending, and start-up does the rest."""
    event_id = world.record()
    keeper = LogKeeper(world.storage, SIGNER, ORIGIN, world.clock)
    keeper.start()
    wait(keeper, event_id)
    keeper.close()

    Auditor(world.storage, VERIFIER).audit()


def test_a_keeper_that_never_started_closes(world: World) -> None:
    LogKeeper(world.storage, SIGNER, ORIGIN, world.clock).close()
