# SPDX-License-Identifier: Apache-2.0
"""Work that comes again; this file is about a job that meets refusals and faults, and goes on."""

from __future__ import annotations

import asyncio
import contextlib

from structlog.testing import capture_logs

from gateway.errors import StorageUnavailable
from gateway.jobs import every

WAIT_SECONDS = 20


def test_a_job_outlives_whatever_it_meets_and_says_so() -> None:
    """One that ended silently would leave vintages unpublished, or notices unsent, until the next start."""
    troubles: list[Exception] = [ZeroDivisionError(), StorageUnavailable(retry_after_seconds=1)]

    async def run() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def work() -> None:
            if troubles:
                raise troubles.pop()
            loop.call_soon_threadsafe(done.set)

        job = asyncio.create_task(every(0, work, "not done"))
        await asyncio.wait_for(done.wait(), WAIT_SECONDS)
        job.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await job

    with capture_logs() as told:
        asyncio.run(run())

    assert [(one["event"], one["log_level"]) for one in told] == [("not done", "warning"), ("not done", "error")]
