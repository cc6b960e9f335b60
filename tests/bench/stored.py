# SPDX-License-Identifier: Apache-2.0
"""A full store beside an empty one; this file is about what a record costs when millions stand already.

Two gateways run, one on a database that the bulk path filled before, and take turns with submissions of 10,000 records.
The rows that stand have ids of the same forty days as the new ones, so that these fall between them, everywhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import statistics
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import orjson

from gateway.contracting.load import load_contract, packaged_root
from gateway.contracting.rows import row_maker
from gateway.identifiers import new_id
from gateway.onboarding.sandbox_files import SandboxFiles
from gateway.storage.engine import Tx, open_storage
from gateway.storage.records import keep_records
from gateway.trip import RecordChunk, Row, TableShape
from tests.bench.limit import PRODUCT, VERSION
from tests.bench.machine import settle
from tests.bench.servers import Batches, gateway_server
from tests.engines import PostgresServer
from tests.running import USA
from tests.synthetic import event_lines

CHUNK_RECORDS = 5_000
TRANSACTION_RECORDS = 50_000
TEMPLATES = 20_000
DAYS = 40
BATCH = 10_000


def compare(engine: str, folder: Path, stored: int, rounds: int) -> dict[str, object]:
    """Return the cost of a record in a full store, divided by its cost in an empty one."""
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        database = PostgresServer(durable=True) if engine == "postgresql" else None
        if database is not None:
            stack.callback(database.stop)
        urls = [database.fresh() if database else None for _ in range(2)]
        full, empty = (
            stack.enter_context(gateway_server(folder / name, database, url, prepare=prepare))
            for name, url, prepare in (
                ("full", urls[0], lambda files: fill(files, stored)),
                ("empty", urls[1], None),
            )
        )
        for seed, contestant in enumerate((full, empty), 1):
            settle(contestant.pid, database)
            contestant.send(_batches(seed), connections=1)
        ratios, walls = [], []
        for number in range(rounds):
            first = empty.send(_batches(10 + 2 * number), connections=1)[0]
            second = full.send(_batches(11 + 2 * number), connections=1)[0]
            ratios.append(second.cpu / first.cpu)
            walls.append(second.wall / first.wall)
    return {
        "engine": engine,
        "stored": stored,
        "batch": BATCH,
        "cost_ratio": round(statistics.median(ratios), 3),
        "wall_ratio": round(statistics.median(walls), 3),
    }


def fill(files: SandboxFiles, count: int) -> None:
    """Put rows into a sandbox's database, by the bulk path alone."""
    shape = load_contract(packaged_root() / PRODUCT / VERSION).shape
    storage = open_storage(files.database_url)
    of = {"partner_id": USA, "submission_id": new_id(datetime.now(UTC)), "accepted_at": datetime.now(UTC)}

    def keep(tx: Tx, rows: list[Row], first: int) -> None:
        for at in range(0, len(rows), CHUNK_RECORDS):
            some = rows[at : at + CHUNK_RECORDS]
            hashes = [hashlib.sha256(str(row[0]).encode()).digest() for row in some]
            kept = keep_records(tx, shape, RecordChunk(range(first + at, first + at + len(some)), some, hashes), **of)
            assert len(kept.accepted) == len(some)

    try:
        rows = _rows(shape, count)
        for first in range(1, count + 1, TRANSACTION_RECORDS):
            some = list(islice(rows, TRANSACTION_RECORDS))
            storage.write(lambda tx, some=some, first=first: keep(tx, some, first))
    finally:
        storage.close()


def _rows(shape: TableShape, count: int) -> Iterator[Row]:
    to_row = row_maker(shape)
    templates = [to_row(orjson.loads(line)) for line in event_lines(TEMPLATES, seed=2)]
    identifier = shape.column_names.index(shape.id_column)
    chance, now = random.Random(3), datetime.now(UTC)
    for number in range(count):
        row = templates[number % TEMPLATES]
        at = now - timedelta(seconds=chance.randrange(DAYS * 86_400))
        yield (*row[:identifier], new_id(at), *row[identifier + 1 :])


def _batches(seed: int) -> Batches:
    lines = event_lines(2 * BATCH, seed=seed)
    return [list(islice(lines, BATCH)) for _ in range(2)]
