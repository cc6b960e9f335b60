# SPDX-License-Identifier: Apache-2.0
"""A process to be killed; this file is about one that stores submissions and says so once each is committed."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from gateway.identifiers import new_id
from gateway.storage.engine import open_storage
from gateway.storage.records import keep_records
from gateway.trip import RecordChunk
from tests.unit.storage.samples import BORDER_EVENT, CBP, chunk, row

ROWS = 200


def main(url: str) -> None:
    """Store one submission after the other, until killed."""
    storage = open_storage(url)
    while True:
        at = datetime.now(UTC)
        submission_id = new_id(at)
        halves: list[RecordChunk] = [chunk(row(BORDER_EVENT) for _ in range(ROWS // 2)) for _ in range(2)]
        storage.write(
            lambda tx, halves=halves, name=submission_id, at=at: [
                keep_records(
                    tx,
                    BORDER_EVENT,
                    RecordChunk(range(n * ROWS, n * ROWS + ROWS // 2), half.rows, half.leaf_hashes),
                    partner_id=CBP,
                    submission_id=name,
                    accepted_at=at,
                )
                for n, half in enumerate(halves)
            ]
        )
        # Only now may anybody be told.
        sys.stdout.write(submission_id + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
