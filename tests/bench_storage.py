# SPDX-License-Identifier: Apache-2.0
"""How fast records become rows; this file is about the bulk path alone, without a server around it.

Run it with `python -m tests.bench_storage`. Every chunk is a transaction of its own, committed durably.
"""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime

from gateway.identifiers import new_id
from gateway.storage.engine import open_storage
from gateway.storage.migrate import upgrade
from gateway.storage.records import keep_records
from gateway.trip import RecordChunk, TableShape
from tests.engines import PostgresServer
from tests.unit.storage.samples import BORDER_EVENT, CBP, FLOW, chunk, row

CHUNK_ROWS = 10_000
CHUNKS = 6
CITIZENSHIPS = ("GTM", "HND", "SLV", "MEX", "VEN", "CUB", "HTI", "ECU")


def chunks(shape: TableShape, count: int, rows: int) -> list[RecordChunk]:
    """Return chunks of records whose ids follow each other, as a sender makes them."""
    made = []
    for number in range(count):
        places = (
            row(shape, citizenship=CITIZENSHIPS[n % 8], place_code=f"P{number:03}{n:06}", **{shape.id_column: _id(n)})
            for n in range(rows)
        )
        made.append(chunk(places, first_line=1 + number * rows))
    return made


def rows_per_second(url: str, shape: TableShape, *, count: int = CHUNKS, rows: int = CHUNK_ROWS) -> float:
    """Return the rows that the bulk path keeps in a second, from the second chunk on."""
    storage = open_storage(url)
    prepared = chunks(shape, count + 1, rows)
    submission_id, at = new_id(_now()), _now()
    took = []
    for each in prepared:
        start = time.perf_counter()
        kept = storage.write(
            lambda tx, each=each: keep_records(
                tx, shape, each, partner_id=CBP, submission_id=submission_id, accepted_at=at
            )
        )
        took.append(time.perf_counter() - start)
        assert len(kept.accepted) == rows
    storage.close()
    return count * rows / sum(took[1:])


def main() -> None:
    """Print rows per second for both engines and both products."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.db"
        upgrade(url)
        _report("sqlite", url)
    server = PostgresServer(durable=True)
    try:
        url = server.fresh()
        upgrade(url)
        _report("postgresql", url)
    finally:
        server.stop()


def _report(name: str, url: str) -> None:
    for shape in (BORDER_EVENT, FLOW):
        speed = rows_per_second(url, shape)
        print(f"{name:10} {shape.table_name:15} {len(shape.columns)} columns  {speed:>9,.0f} rows/s")


def _id(number: int) -> str:
    # One millisecond for each hundred records, so that ids are in order as a sender's are.
    return new_id(datetime.fromtimestamp(_now().timestamp() + number / 100_000, UTC))


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    main()
