# SPDX-License-Identifier: Apache-2.0
"""What comes again while the gateway runs; this file is about the jobs, which outlive whatever they meet and say so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog

from gateway.aggregates.vintages import publish_accepted
from gateway.api.desk import Desk
from gateway.api.metrics import Metrics
from gateway.api.refusals import record_bursts
from gateway.corrections.deliver import DeliveryDesk, deliver_due
from gateway.errors import Refusal
from gateway.intake.retention import delete_expired
from gateway.onboarding.enacting import enact_due
from gateway.onboarding.expiry import Ending, endings, warn
from gateway.storage.rollups import fold
from gateway.trip import TableShape

BURSTS_SECONDS = 10
FOLD_SECONDS = 60
NOTICES_SECONDS = 1
ENACT_SECONDS = 0.5
VINTAGES_SECONDS = 2
FOLLOW_SECONDS = 0.25
DAY_SECONDS = 86_400
ENDS_SECONDS = 3600
RETRY_SECONDS = 300

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class JobsDesk:
    """The parts that the jobs need; `retention_hour` is UTC, `enacts` whether this process puts changes in force.

    `shapes` are all tables that may hold records: those of a contract that was withdrawn end on their day as well.
    """

    desk: Desk
    delivery: DeliveryDesk
    metrics: Metrics
    retention_hour: int
    follow: Callable[[], None]
    enacts: bool
    shapes: tuple[TableShape, ...]


def jobs(parts: JobsDesk) -> list[Coroutine[Any, Any, None]]:
    """Return all jobs; each runs until it is cancelled."""
    desk, clock = parts.desk, parts.desk.intake.clock
    return [
        every(BURSTS_SECONDS, lambda: record_bursts(desk, at=clock.now()), "bursts not recorded"),
        every(FOLD_SECONDS, partial(_fold, desk), "totals not folded"),
        every(VINTAGES_SECONDS, partial(publish_accepted, desk.aggregates), "vintages not published"),
        every(NOTICES_SECONDS, partial(_deliver, parts), "notices not sent"),
        # Requests follow by themselves; this is for bodies that are still on their way.
        every(FOLLOW_SECONDS, parts.follow, "registry not followed"),
        *([every(ENACT_SECONDS, partial(_enact, parts), "changes not enacted")] if parts.enacts else []),
        _retention(parts),
        _warn_of_ends(desk),
        _warn_of_stale_lists(desk),
    ]


async def every(seconds: float, work: Callable[[], object], trouble: str) -> None:
    """Do some work on a thread again and again; what fails now is tried at the next turn."""
    while True:
        await asyncio.sleep(seconds)
        await _succeeds(work, trouble)


async def _succeeds(work: Callable[[], object], trouble: str) -> bool:
    """Do some work on a thread, and say whether it was done."""
    try:
        await asyncio.to_thread(work)
    except Refusal as away:
        log.warning(trouble, cause=away.reason)
        return False
    except Exception:  # The edge of the job: it must outlive any fault.
        log.exception(trouble)
        return False
    return True


def _fold(desk: Desk) -> None:
    while desk.intake.storage.write(fold):
        pass


def _deliver(parts: JobsDesk) -> None:
    if deliver_due(parts.delivery):
        parts.desk.keeper.wake()


def _enact(parts: JobsDesk) -> None:
    if enact_due(parts.desk.changes):
        parts.desk.keeper.wake()


async def _warn_of_stale_lists(desk: Desk) -> None:
    while True:
        desk.intake.anchors.warn_of_stale_lists(at=desk.intake.clock.now())
        await asyncio.sleep(DAY_SECONDS)


async def _warn_of_ends(desk: Desk) -> None:
    while True:
        await _succeeds(partial(_warn, desk), "ends not looked at")
        await asyncio.sleep(ENDS_SECONDS)


def _warn(desk: Desk) -> None:
    intake = desk.intake
    found = ends_of(desk)
    if count := warn(intake.storage, found, at=intake.clock.now()):
        log.warning("something ends soon", count=count)
        desk.keeper.wake()


def ends_of(desk: Desk) -> list[Ending]:
    """Return everything in force here that has an end."""
    intake = desk.intake
    anchors, agreements = intake.anchors.by_country.values(), intake.policy.policies.agreements
    return intake.storage.read(lambda tx: list(endings(tx, anchors, agreements)))


async def _retention(parts: JobsDesk) -> None:
    """Delete what is past its time at start-up and then each day at the hour that the settings name."""
    clock = parts.desk.intake.clock
    while True:
        done = await _succeeds(partial(_delete_expired, parts), "retention not done")
        await asyncio.sleep(_seconds_until(parts.retention_hour, clock.now()) if done else RETRY_SECONDS)


def _delete_expired(parts: JobsDesk) -> None:
    intake = parts.desk.intake
    deleted = delete_expired(intake.storage, parts.shapes, clock=intake.clock)
    parts.metrics.retention_done_at = intake.clock.now()
    log.info("retention done", deleted=deleted)
    parts.desk.keeper.wake()


def _seconds_until(hour: int, now: datetime) -> float:
    due = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    return (due if due > now else due + timedelta(days=1)).timestamp() - now.timestamp()
