# SPDX-License-Identifier: Apache-2.0
"""What a pull needs and gives; this file is about the values that cross the desk of the statistics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from gateway.aggregates.dataflow import Dataflow
from gateway.clock import Clock
from gateway.contracting.contract import ContractSet
from gateway.policy.decide import DecisionPoint
from gateway.storage.engine import Storage

CHUNK_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class AggregatesDesk:
    """The parts that `app.py` composes for own totals, and for pulls of one dataflow."""

    clock: Clock
    storage: Storage
    policy: DecisionPoint
    contracts: ContractSet
    flow: Dataflow


@dataclass(frozen=True, slots=True)
class DataRequest:
    """A data request as it came: parts of the path, the raw query string, and what the headers say.

    `source` is the hex SHA-256 of the caller's certificate.
    """

    request_id: str
    source: str
    path: str
    agency: str
    dataflow: str
    version: str
    key: str
    query: str
    accept: str
    purpose: str


@dataclass(frozen=True, slots=True)
class Pulled:
    """An answer whose reading is already in the audit log; `chunks` may be walked once."""

    media_type: str
    body: BinaryIO
    body_bytes: int
    cell_count: int
    suppressed_count: int
    event_id: str

    def chunks(self) -> Iterator[bytes]:
        """Yield the body and let go of it."""
        with self.body:
            while chunk := self.body.read(CHUNK_BYTES):
                yield chunk
