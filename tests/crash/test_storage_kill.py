# SPDX-License-Identifier: Apache-2.0
"""kill -9 between any two instructions; this file is about what was acknowledged being there, whole and once."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from gateway.storage.engine import open_storage
from gateway.storage.inspection import stream_records
from gateway.storage.statistics import own_totals
from tests.crash.storage_writer import ROWS
from tests.unit.storage.samples import BORDER_EVENT, CBP

KILLS = 4
ROOT = Path(__file__).parents[2]


def killed_writer(url: str, acknowledged_max: int) -> list[str]:
    """Return what a writer acknowledged before it was killed, soon after a number of acknowledgements."""
    command = [sys.executable, "-m", "tests.crash.storage_writer", url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline().strip() for _ in range(acknowledged_max)]
        writer.kill()
        acknowledged += [line.strip() for line in writer.stdout]
    return [name for name in acknowledged if name]


def test_what_was_acknowledged_survives_a_kill_whole_and_once(database_url: str) -> None:
    """A submission is there with all its records or with none; one that was acknowledged is there."""
    acknowledged: list[str] = []
    for _ in range(KILLS):
        acknowledged += killed_writer(database_url, random.randint(1, 12))

        storage = open_storage(database_url)
        # One view for both: the last commit may still be on its way when the writer is dead already.
        stored, totals = storage.read(
            lambda tx: (
                [record.submission_id for record in stream_records(tx, BORDER_EVENT)],
                own_totals(tx, BORDER_EVENT, partner_id=CBP),
            )
        )
        storage.close()

        counts = Counter(stored)
        assert set(counts.values()) == {ROWS}
        assert set(acknowledged) <= set(counts)
        assert sum(total.records for total in totals) == len(stored)
