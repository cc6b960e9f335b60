# SPDX-License-Identifier: Apache-2.0
"""One client alone; this file is about how long an agency waits for the proven receipt of one record."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from tests.bench.events import next_lines
from tests.bench.limit import PRODUCT, VERSION
from tests.running import USA, running

SUBMISSIONS = 200
WARM = 20


def latency(folder: Path) -> dict[str, float]:
    """Return median and 95th percentile in milliseconds on SQLite, signing and verifying in the SDK included."""
    taken = []
    with running(folder) as gateway, gateway.client(USA) as client:
        for line in next_lines(WARM + SUBMISSIONS, number=1):
            start = time.perf_counter()
            outcome = client.submit_lines(PRODUCT, VERSION, [line])
            taken.append(1000 * (time.perf_counter() - start))
            assert outcome.receipt is not None
    taken = taken[WARM:]
    return {"median_ms": round(statistics.median(taken), 1), "p95_ms": round(statistics.quantiles(taken, n=20)[-1], 1)}
