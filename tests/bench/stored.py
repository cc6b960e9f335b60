# SPDX-License-Identifier: Apache-2.0
"""A full store beside an empty one; this file is about what a record costs when millions stand already.

Two gateways run, one on a database that the bulk path filled before, and take turns with submissions of 10,000 records:
in order, each behind the rows that stand, and scattered among them.
"""

from __future__ import annotations

import contextlib
import hashlib
import statistics
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path

import orjson

from gateway.contracting.load import load_contract, packaged_root
from gateway.contracting.rows import row_maker
from gateway.identifiers import new_id
from gateway.onboarding.sandbox_files import SandboxFiles
from gateway.storage.engine import Tx, open_storage
from gateway.storage.records import keep_records
from gateway.trip import RecordChunk, Row, TableShape
from tests.bench.events import history_ids, next_lines, scattered_lines
from tests.bench.limit import PRODUCT, VERSION
from tests.bench.machine import settle
from tests.bench.servers import Batches, Contestant, gateway_server
from tests.engines import PostgresServer
from tests.running import USA

CHUNK_RECORDS = 5_000
TRANSACTION_RECORDS = 50_000
TEMPLATES = 20_000
BATCH, BATCHES = 10_000, 2


def compare(engine: str, folder: Path, stored: int, rounds: int) -> dict[str, object]:
    """Return the cost of a record in a full store divided by its cost in an empty one, in order and scattered."""
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        database = PostgresServer(durable=True) if engine == "postgresql" else None
        if database is not None:
            stack.callback(database.stop)
        urls = [database.fresh() if database else None for _ in range(2)]
        full = stack.enter_context(
            gateway_server(folder / "full", database, urls[0], prepare=lambda files: fill(files, stored))
        )
        empty = stack.enter_context(gateway_server(folder / "empty", database, urls[1]))
        numbers = count(1)
        for contestant in (full, empty):
            settle(contestant.pid, database)
            contestant.send(_batches(next_lines, next(numbers)), connections=1)
        in_order, scattered = (_ratios(full, empty, lines, numbers, rounds) for lines in (next_lines, scattered_lines))
    return {
        "engine": engine,
        "stored": stored,
        "batch": BATCH,
        "cost_ratio": in_order[0],
        "wall_ratio": in_order[1],
        "scattered_cost_ratio": scattered[0],
        "scattered_wall_ratio": scattered[1],
    }


def _ratios(
    full: Contestant, empty: Contestant, lines: Callable[..., Iterator[bytes]], numbers: Iterator[int], rounds: int
) -> tuple[float, float]:
    ratios, walls = [], []
    for _ in range(rounds):
        first = empty.send(_batches(lines, next(numbers)), connections=1)[0]
        second = full.send(_batches(lines, next(numbers)), connections=1)[0]
        ratios.append(second.cpu / first.cpu)
        walls.append(second.wall / first.wall)
    return round(statistics.median(ratios), 3), round(statistics.median(walls), 3)


def fill(files: SandboxFiles, stored: int) -> None:
    """Put rows into a sandbox's database, by the bulk path alone."""
    shape = load_contract(packaged_root() / PRODUCT / VERSION).shape
    storage = open_storage(files.database_url)
    now = datetime.now(UTC)
    of = {"partner_id": USA, "submission_id": new_id(now), "accepted_at": now}

    def keep(tx: Tx, rows: list[Row], first: int) -> None:
        for at in range(0, len(rows), CHUNK_RECORDS):
            some = rows[at : at + CHUNK_RECORDS]
            hashes = [hashlib.sha256(str(row[0]).encode()).digest() for row in some]
            kept = keep_records(tx, shape, RecordChunk(range(first + at, first + at + len(some)), some, hashes), **of)
            assert len(kept.accepted) == len(some)

    try:
        rows = _rows(shape, stored)
        for first in range(1, stored + 1, TRANSACTION_RECORDS):
            some = list(islice(rows, TRANSACTION_RECORDS))
            storage.write(lambda tx, some=some, first=first: keep(tx, some, first))
    finally:
        storage.close()


def _rows(shape: TableShape, stored: int) -> Iterator[Row]:
    to_row = row_maker(shape)
    templates = [to_row(orjson.loads(line)) for line in next_lines(TEMPLATES, number=1)]
    place = shape.column_names.index(shape.id_column)
    # Sorted, as history came in: filling it in any order would take hours.
    for number, identifier in enumerate(sorted(history_ids(stored))):
        row = templates[number % TEMPLATES]
        yield (*row[:place], identifier, *row[place + 1 :])


def _batches(lines: Callable[..., Iterator[bytes]], number: int) -> Batches:
    made = lines(BATCH * BATCHES, number=number)
    return [list(islice(made, BATCH)) for _ in range(BATCHES)]
