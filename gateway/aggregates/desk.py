# SPDX-License-Identifier: Apache-2.0
"""What a pull needs and gives; this file is about the values that cross the desk of the statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import BinaryIO

from gateway.aggregates.dataflow import Dataflow
from gateway.aggregates.observations import DataQuery, Observation, Structure
from gateway.aggregates.quota import Allowance, Quota
from gateway.clock import Clock
from gateway.contracting.contract import Contracts
from gateway.policy.decide import Decisions
from gateway.storage.engine import Storage

CHUNK_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class AggregatesDesk:
    """The parts that `app.py` composes for own totals, and for pulls.

    `structures` are the dataflows offered. `publishes` is False where the process may not write what is served; another
    one does then.
    """

    clock: Clock
    storage: Storage
    policy: Decisions
    contracts: Contracts
    flow: Dataflow
    structures: tuple[Structure, ...] = ()
    quota: Quota = field(default_factory=Quota)
    publishes: bool = True
    publishing: Lock = field(default_factory=Lock)


@dataclass(frozen=True, slots=True)
class Question:
    """A data request that was understood: what is asked of which dataflow, and how the answer is written."""

    structure: Structure
    query: DataQuery
    media_type: str
    write: Callable[[Iterator[Observation], BinaryIO], None]


@dataclass(frozen=True, slots=True)
class DataRequest:
    """A data request as it came; `understand` reads it, or refuses, once its refusal would leave an event.

    `source` is the hex SHA-256 of the caller's certificate.
    """

    request_id: str
    source: str
    path: str
    purpose: str
    understand: Callable[[AggregatesDesk], Question]


@dataclass(frozen=True, slots=True)
class Pulled:
    """An answer whose reading is already in the audit log; `chunks` may be walked once.

    `newest` is when the latest of its numbers was accepted, as `clock.format_instant` writes it.
    """

    media_type: str
    body: BinaryIO
    body_bytes: int
    cell_count: int
    suppressed_count: int
    event_id: str
    newest: str
    allowances: tuple[Allowance, ...] = ()

    def chunks(self) -> Iterator[bytes]:
        """Yield the body and let go of it."""
        with self.body:
            while chunk := self.body.read(CHUNK_BYTES):
                yield chunk
