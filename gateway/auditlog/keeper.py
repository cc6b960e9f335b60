# SPDX-License-Identifier: Apache-2.0
"""Who keeps the log going; this file is about the thread that sequences and publishes, and those who wait for it.

It works as soon as it is woken; while it works the next batch gathers. Idle, it looks for events of other processes
and signs the same tree again each minute, so that silence is told from standstill. A database that is away is met
with bounded backoff; a tree that does not hold, or that came from a backup, is met with silence: `check` raises until
a person has looked.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from time import monotonic

import structlog

from gateway.auditlog.publisher import Published, Publisher, TreeInconsistent
from gateway.auditlog.sequencer import BATCH_EVENTS_MAX, sequence
from gateway.clock import Clock
from gateway.errors import LogStalled, StorageUnavailable
from gateway.storage import log as rows
from gateway.storage.engine import Storage, Tx
from gateway.wire.keys import Signer
from gateway.wire.proof import Proof

IDLE_SECONDS = 60.0
# How long before the database is asked for those who wait, whom another process may have served.
POLL_SECONDS = 0.2
# How long an event may lie that nobody waits for: of a reading here, of a command beside this process. A pass for each
# would cost the next reader as much as the reading.
GATHER_SECONDS = 0.8
BACKOFF_SECONDS_MAX = 5.0
RETRY_AFTER_SECONDS = 5
RECENT_PROOFS_MAX = 4096
WAITERS_MAX = 4096

log = structlog.get_logger()


class KeeperStatus(StrEnum):
    """How the log stands; only `running` accepts submissions."""

    STARTING = "starting"
    RUNNING = "running"
    STORAGE_UNAVAILABLE = "storage-unavailable"
    STALLED = "log-stalled"
    RESTORED = "restored"


@dataclass(frozen=True, slots=True)
class KeeperState:
    """What `/readyz` tells of the log."""

    status: KeeperStatus
    tree_size: int = 0
    published_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Waiter:
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Proof | None]

    def release(self, proof: Proof | None) -> None:
        self.loop.call_soon_threadsafe(self._set, proof)

    def _set(self, proof: Proof | None) -> None:
        if not self.future.done():
            self.future.set_result(proof)


class LogKeeper:
    """The one thread of this process that moves the log forward."""

    def __init__(
        self, storage: Storage, signer: Signer, origin: str, clock: Clock, *, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._publisher = Publisher(storage, signer, origin, clock)
        self._idle_seconds = idle_seconds
        self._signed_at = float("-inf")
        self._failures = 0
        self._state = KeeperState(status=KeeperStatus.STARTING)
        self._woken = threading.Event()
        self._closing = threading.Event()
        self._guard = threading.Lock()
        self._waiters: dict[str, list[_Waiter]] = {}
        self._recent: OrderedDict[str, Proof] = OrderedDict()
        self._thread = threading.Thread(target=self._run, name="log-keeper", daemon=True)

    def start(self) -> None:
        """Begin; the first pass signs what an earlier process left unsigned, unless the database was restored."""
        # Before the port opens: nothing is accepted into a log that may fork.
        try:
            self._storage.read(rows.require_confirmed)
        except rows.LogRestored as error:
            self._fail(KeeperStatus.RESTORED, "log restored", cause=str(error))
        self._thread.start()

    def close(self) -> None:
        """End after the pass that is under way and join the thread."""
        self._closing.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()

    def wake(self) -> None:
        """Say that an event was committed."""
        self._woken.set()

    @property
    def state(self) -> KeeperState:
        """Return how the log stands."""
        return self._state

    def check(self) -> None:
        """Let a submission begin.

        Raises:
            LogStalled: when its event could not be published.
        """
        if self._state.status in {KeeperStatus.STALLED, KeeperStatus.RESTORED}:
            raise LogStalled(retry_after_seconds=RETRY_AFTER_SECONDS)

    async def published(self, event_id: str, *, timeout_seconds: float) -> Proof | None:
        """Return as soon as a signed checkpoint covers the event: with the proof, unless another process signed it.

        Raises:
            TimeoutError: when that takes longer; the event stays committed and its receipt comes later.
        """
        loop = asyncio.get_running_loop()
        waiter = _Waiter(loop=loop, future=loop.create_future())
        with self._guard:
            if event_id in self._recent:
                return self._recent[event_id]
            if len(self._waiters) >= WAITERS_MAX:
                raise TimeoutError
            self._waiters.setdefault(event_id, []).append(waiter)
        self._woken.set()
        try:
            return await asyncio.wait_for(waiter.future, timeout_seconds)
        finally:
            with self._guard:
                left = [other for other in self._waiters.pop(event_id, []) if other is not waiter]
                if left:
                    self._waiters[event_id] = left

    def _run(self) -> None:
        while not self._closing.is_set():
            self._woken.wait(self._pause())
            self._woken.clear()
            self._step()

    def _pause(self) -> float:
        """Return how long to sleep when nobody wakes the thread."""
        if self._failures:
            return float(min(BACKOFF_SECONDS_MAX, POLL_SECONDS * 2 ** min(self._failures, 10)))
        if self._state.status is KeeperStatus.STARTING:
            return 0
        return POLL_SECONDS if self._waiters else GATHER_SECONDS

    def _step(self) -> None:
        if self._failures:
            # A wake must not turn the backoff into a hammer.
            self._closing.wait(self._pause())
        try:
            self._pass()
        except StorageUnavailable:
            self._fail(KeeperStatus.STORAGE_UNAVAILABLE, "log storage unavailable")
        except rows.LogRestored as error:
            self._fail(KeeperStatus.RESTORED, "log restored", cause=str(error))
        except TreeInconsistent as error:
            self._fail(KeeperStatus.STALLED, "log stalled", cause=str(error))
        except Exception:  # The edge of this thread: it must outlive any fault, and say so.
            log.exception("log keeper fault")
            self._fail(KeeperStatus.STALLED, "log stalled", cause="fault")

    def _pass(self) -> None:
        """Sequence and publish until no whole batch is left, then answer those whom another process may have served."""
        if self._state.status is not KeeperStatus.RUNNING:
            self._storage.read(rows.require_confirmed)
        while True:
            moved = sequence(self._storage, self._clock)
            again = not moved and monotonic() - self._signed_at >= self._idle_seconds
            published = self._publisher.publish(again=again)
            if published is not None:
                self._announce(published)
            # Whoever commits from now on wakes this thread anew, and what others commit is looked for soon enough.
            if moved < BATCH_EVENTS_MAX or self._closing.is_set():
                break
        self._failures = 0
        if self._state.status is not KeeperStatus.RUNNING:
            self._state = replace(self._state, status=KeeperStatus.RUNNING)
        self._serve_late()

    def _announce(self, published: Published) -> None:
        self._signed_at = monotonic()
        self._state = KeeperState(KeeperStatus.RUNNING, published.checkpoint.tree_size, published.at)
        with self._guard:
            self._recent |= published.proofs
            while len(self._recent) > RECENT_PROOFS_MAX:
                self._recent.popitem(last=False)
        self._release(published.proofs)

    def _release(self, proofs: Mapping[str, Proof | None]) -> None:
        with self._guard:
            waiters = [(waiter, proofs[event_id]) for event_id in proofs for waiter in self._waiters.pop(event_id, ())]
        for waiter, proof in waiters:
            waiter.release(proof)

    def _serve_late(self) -> None:
        with self._guard:
            waiting = tuple(self._waiters)
        if waiting:
            self._release(dict.fromkeys(self._storage.read(lambda tx: covered_events(tx, waiting))))

    def _fail(self, status: KeeperStatus, phrase: str, **facts: str) -> None:
        if self._state.status is not status:
            log.error(phrase, **facts)
        self._failures += 1
        self._state = replace(self._state, status=status)


def covered_events(tx: Tx, event_ids: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of some events that the newest signed checkpoint covers."""
    newest = rows.latest_checkpoint(tx)
    if newest is None:
        return ()
    leaves = [rows.leaf_of_event(tx, event_id) for event_id in event_ids]
    return tuple(leaf.event_id for leaf in leaves if leaf is not None and leaf.leaf_index < newest.tree_size)
