# SPDX-License-Identifier: Apache-2.0
"""What is measured, and where it runs; this file is about cores, processor time and memory of processes.

Servers, databases and the limit run on the first core that we may use, the load generator on the last.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.engines import PostgresServer

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]
MIB = 1 << 20
_TICKS = os.sysconf("SC_CLK_TCK")
SETTLED_SECONDS_MAX = 300


@dataclass(frozen=True, slots=True)
class Cost:
    """What some records cost: wall time, and processor time of the server and of its PostgreSQL."""

    records: int
    wall: float
    server: float
    database: float = 0.0
    peak_bytes: int = 0

    @property
    def cpu(self) -> float:
        return self.server + self.database

    @property
    def per_second(self) -> float:
        return self.records / self.wall

    @property
    def per_cpu_second(self) -> float:
        return self.records / self.cpu


def pin() -> None:
    """Keep this process, and what it starts from now on, on the servers' core."""
    os.sched_setaffinity(0, {SERVER_CORE})


def seconds_of_process(pid: int) -> float:
    """Return the processor time of a process and all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def seconds_of_postgresql(server: PostgresServer | None) -> float:
    """Return the processor time of a PostgreSQL server, its backends that ended among them."""
    if server is None:
        return 0.0
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    total = sum(int(field) for field in fields[11:15]) / _TICKS
    for child in children:
        try:
            total += seconds_of_process(int(child))
        except FileNotFoundError:
            continue
    return total


def measured(
    work: Callable[[], float], *, records: int, pid: int, database: PostgresServer | None, memory: bool = False
) -> Cost:
    """Run work, which returns its wall time, and return what it cost the process and its database."""
    proc = Path(f"/proc/{pid}")
    before_bytes = 0
    if memory:
        (proc / "clear_refs").write_text("5")
        before_bytes = _resident(proc, "VmRSS")
    before, before_database = seconds_of_process(pid), seconds_of_postgresql(database)
    wall = work()
    return Cost(
        records,
        wall,
        seconds_of_process(pid) - before,
        seconds_of_postgresql(database) - before_database,
        _resident(proc, "VmHWM") - before_bytes if memory else 0,
    )


def settle(pid: int, database: PostgresServer | None) -> None:
    """Return when neither the process nor its database is busy, with jobs of their start for example."""
    deadline = time.monotonic() + SETTLED_SECONDS_MAX
    while time.monotonic() < deadline:
        before = seconds_of_process(pid) + seconds_of_postgresql(database)
        time.sleep(1)
        if seconds_of_process(pid) + seconds_of_postgresql(database) - before < 0.1:
            return


def _resident(proc: Path, name: str) -> int:
    line = next(line for line in (proc / "status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024
