# SPDX-License-Identifier: Apache-2.0
"""How fast, beside what is possible and what is usual; this file is about rounds in which four contestants take turns.

The limit, the plain build, the bare server (for single submissions) and the gateway get records of the same kind, in
submissions of the same size, one after the other on one core. A ratio is taken within a round, so that whatever else
the machine does meets all of them, and the median over the rounds is what counts.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.events import next_lines
from tests.bench.limit import Limit
from tests.bench.machine import MIB, Cost, settle
from tests.bench.servers import Batches, Contestant, bare_server, gateway_server, plain_server
from tests.engines import PostgresServer

# Submissions in a round, and connections that send them, by records in a submission.
SHAPES = {1: (2000, 64), 100: (200, 16), 10_000: (4, 2), 100_000: (1, 1)}
SINGLE = 1


@dataclass(slots=True)
class Arena:
    """All contestants on one engine."""

    engine: str
    limit: Limit
    plain: Contestant
    gateway: Contestant
    bare: Contestant
    number: int = 0

    def batches(self, count: int, records: int) -> Batches:
        """Return batches of records that nobody has seen."""
        made = []
        for _ in range(count):
            self.number += 1
            made.append(list(next_lines(records, number=self.number)))
        return made


@dataclass(slots=True)
class Rounds:
    """What each contestant's turns cost."""

    limit: list[Cost] = field(default_factory=list)
    plain: list[Cost] = field(default_factory=list)
    bare: list[Cost] = field(default_factory=list)
    gateway: list[Cost] = field(default_factory=list)


@contextlib.contextmanager
def arena(engine: str, folder: Path) -> Iterator[Arena]:
    """Start all contestants on one engine, warm."""
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        database = PostgresServer(durable=True) if engine == "postgresql" else None
        if database is not None:
            stack.callback(database.stop)

        def url(name: str) -> str:
            return database.fresh() if database else f"sqlite:///{folder}/{name}.db"

        limit = Limit(url("limit"), database)
        stack.callback(limit.close)
        gateway = stack.enter_context(
            gateway_server(folder / "gateway", database, url("gateway") if database else None)
        )
        plain = stack.enter_context(plain_server(folder / "plain", database, url("plain")))
        bare = stack.enter_context(bare_server(folder / "bare"))
        together = Arena(engine, limit, plain, gateway, bare)
        for contestant in (plain, gateway, bare):
            contestant.send(together.batches(20, 50), connections=4)
        settle(gateway.pid, database)
        yield together


def measure(together: Arena, records: int, rounds: int) -> dict[str, object]:
    """Return the row of one size of submission."""
    count, connections = SHAPES.get(records, (max(1, 40_000 // records), 2))
    taken = Rounds()
    for _ in range(rounds):
        batches = together.batches(count, records)
        bodies = [b"".join(line + b"\n" for line in lines) for lines in batches]
        taken.limit.append(together.limit.cost(bodies, count * records))
        taken.plain.append(together.plain.send(batches, connections=connections)[0])
        if records == SINGLE:
            taken.bare.append(together.bare.send(batches, connections=connections)[0])
        taken.gateway.append(together.gateway.send(batches, connections=connections)[0])
    return row(together.engine, records, taken)


def row(engine: str, records: int, taken: Rounds) -> dict[str, object]:
    """Return what the rounds say: ratios of processor time, and of wall time beside them."""
    return {
        "engine": engine,
        "batch": records,
        "records_per_second": _median(cost.per_second for cost in taken.gateway),
        "ratio_to_limit": _ratio(taken.gateway, taken.limit, _cpu),
        "ratio_to_plain": _ratio(taken.gateway, taken.plain, _cpu),
        "ratio_to_bare": _ratio(taken.gateway, taken.bare, _cpu),
        "peak_mib": round(max(cost.peak_bytes for cost in taken.gateway) / MIB, 1),
        "wall_ratio_to_limit": _ratio(taken.gateway, taken.limit, _wall),
        "wall_ratio_to_plain": _ratio(taken.gateway, taken.plain, _wall),
        "wall_ratio_to_bare": _ratio(taken.gateway, taken.bare, _wall),
        "records_per_cpu_second": _median(cost.per_cpu_second for cost in taken.gateway),
        "database_share": round(statistics.median(c.database / c.cpu for c in taken.gateway), 3),
        "limit_records_per_cpu_second": _median(cost.per_cpu_second for cost in taken.limit),
        "plain_records_per_cpu_second": _median(cost.per_cpu_second for cost in taken.plain),
        "plain_peak_mib": round(max(cost.peak_bytes for cost in taken.plain) / MIB, 1),
    }


def _cpu(cost: Cost) -> float:
    return cost.per_cpu_second


def _wall(cost: Cost) -> float:
    return cost.per_second


def _median(values: Iterator[float]) -> float:
    return float(f"{statistics.median(values):.4g}")


def _ratio(ours: Sequence[Cost], theirs: Sequence[Cost], rate: Callable[[Cost], float]) -> float | None:
    if not theirs:
        return None
    return round(statistics.median(rate(a) / rate(b) for a, b in zip(ours, theirs, strict=True)), 3)
