# SPDX-License-Identifier: Apache-2.0
"""A gateway with cells in it, asked by partners; this file is about keeping, publishing and asking without HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from gateway.aggregates.dataflow import flow_dataflow
from gateway.aggregates.desk import AggregatesDesk, DataRequest, Pulled, Question
from gateway.aggregates.mirror import mirror_structure
from gateway.aggregates.observations import Condition, DataQuery, Observation, Structure
from gateway.aggregates.serve import pull
from gateway.aggregates.vintages import publish
from gateway.contracting.contract import ContractSet
from gateway.contracting.load import load_contract
from gateway.contracting.rows import canonical_line, row_maker
from gateway.contracting.strict_yaml import read_yaml
from gateway.identifiers import new_id
from gateway.policy.agreements import load_agreements
from gateway.policy.decide import DecisionPoint
from gateway.policy.load import PolicySet, compile_policies, load_rules
from gateway.storage import log
from gateway.storage.engine import Storage
from gateway.storage.publication import Vintage
from gateway.storage.records import keep_records
from gateway.trip import Partner, RecordChunk
from gateway.wire.merkle import leaf_hash

ROOT = Path(__file__).parents[3] / "contracts"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
BOTH = frozenset({"provider", "reader"})
CBP = Partner("USA.DHS.CBP", "USA", "active", BOTH, ())
INM = Partner("MEX.SEGOB.UPMRIP", "MEX", "active", BOTH, ())
IGM = Partner("GTM.IGM", "GTM", "active", BOTH, ())
SEGEPLAN = Partner("GTM.SEGEPLAN", "GTM", "active", frozenset({"reader"}), ())
MUTE = Partner("GTM.INE", "GTM", "active", frozenset({"provider"}), ())
CONTRACT = load_contract(ROOT / "flow" / "1.0.0")
FLOW = flow_dataflow(CONTRACT.shape, CONTRACT)
MIRROR = mirror_structure(CONTRACT.shape, CONTRACT)
CELL: dict[str, Any] = {
    "provider": "USA.DHS.CBP",
    "period": "2024-03",
    "reporting_country": "USA",
    "counterpart_country": "_X",
    "direction": "IN",
    "flow_type": "ENC_BETWEEN_PORTS",
    "unit": "EVT",
    "citizenship": "HND",
    "sex": "_T",
    "age_group": "_T",
    "accompaniment": "_T",
    "place_scheme": "_T",
    "place_code": "_T",
    "legal_basis": "USA.T8",
    "status": "A",
    "confidentiality": "F",
    "rounding_base": 1,
    "definition_id": "urn:mig:def:usa.cbp.encounter:2020",
    "vintage": "2024-05-15",
    "count": 5000,
}
Answer = list[Observation]


class FixedClock:
    """A clock that a test sets."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


def only(**codes: str) -> DataQuery:
    """Ask for the cells with these codes, by component; `UNIT_MEASURE="EVT PER"` takes either."""
    return DataQuery(conditions=tuple(Condition(name, frozenset(text.split())) for name, text in codes.items()))


def sandbox_policies() -> PolicySet:
    """Return the rules and agreements of the sandbox."""
    return compile_policies(
        load_rules(ROOT)[-1],
        load_agreements(ROOT / "agreements", read_yaml),
        parties=("GTM", "MEX", "USA"),
        products=("flow", "border-event"),
    )


def desk_on(storage: Storage) -> AggregatesDesk:
    """Return a desk of statistics under the sandbox's policies."""
    return AggregatesDesk(FixedClock(), storage, DecisionPoint(sandbox_policies()), ContractSet(()), FLOW)


@dataclass
class Counter:
    """A gateway with cells in it, asked by partners; `kept` are the ids of the records, oldest first."""

    desk: AggregatesDesk
    kept: list[str] = field(default_factory=list)

    def keep(
        self, *changes: Mapping[str, object], partner_id: str = CBP.id, at: datetime = NOW - timedelta(hours=1)
    ) -> list[str]:
        """Accept and publish a submission of cells like `CELL`, and return the ids of its records."""
        vintage, ids = self.accept(*changes, partner_id=partner_id, at=at)
        publish(self.desk, vintage)
        return ids

    def accept(
        self, *changes: Mapping[str, object], partner_id: str = CBP.id, at: datetime = NOW - timedelta(hours=1)
    ) -> tuple[Vintage, list[str]]:
        """Accept a submission, and return it with the ids of its records."""
        shape = FLOW.shape
        records = [CELL | {"record_id": new_id(at), **change} for change in changes]
        rows = [row_maker(shape)(record) for record in records]
        hashes = [leaf_hash(canonical_line(row, shape)) for row in rows]
        chunk, submission = RecordChunk(range(1, len(rows) + 1), rows, hashes), new_id(at)
        kept = self.desk.storage.write(
            lambda tx: keep_records(tx, shape, chunk, partner_id=partner_id, submission_id=submission, accepted_at=at)
        )
        assert not kept.refused
        self.kept += (ids := [str(record["record_id"]) for record in records])
        return Vintage(partner_id, submission), ids

    def amend(self, record_id: str, *, at: datetime = NOW, **changes: object) -> str:
        """Accept and publish an amendment of a record, or its retraction with `action="retract"`."""
        return self.keep({"action": "amend", "supersedes": record_id, **changes}, at=at)[0]

    def pull(
        self,
        reader: Partner = IGM,
        query: DataQuery | None = None,
        *,
        purpose: str = "STATISTICS",
        structure: Structure = FLOW.structure,
    ) -> tuple[Pulled, Answer]:
        """Ask as a partner and return the answer with what it said."""
        seen: Answer = []

        def write(found: Iterator[Observation], body: BinaryIO) -> None:
            seen.extend(found)
            body.write(repr(seen).encode())

        question = Question(structure, query or DataQuery(), "text/plain", write)
        request = DataRequest("r-1", "ab" * 32, "/sdmx/v2/data", purpose, lambda _: question)
        pulled = pull(self.desk, reader, request)
        with pulled.body:
            return pulled, seen

    def ask(self, reader: Partner = IGM, query: DataQuery | None = None, **named: Any) -> Answer:
        """Ask as a partner and return what it sees."""
        return self.pull(reader, query, **named)[1]

    def event(self, event_id: str | None) -> tuple[str, dict[str, object], frozenset[str]]:
        assert event_id is not None
        stored = self.desk.storage.read(lambda tx: log.get_event(tx, event_id))
        assert stored is not None
        audience = self.desk.storage.read(lambda tx: log.audience_of(tx, event_id))
        return stored.kind, json.loads(stored.fields), audience

    def seen_by(self, country: str) -> list[dict[str, object]]:
        """Return what the officers of a country see of all pulls."""
        found = self.desk.storage.read(lambda tx: log.list_events(tx, country, log.EventQuery()))
        return [json.loads(stored.fields) for stored in found]

    def on(self, at: datetime) -> Counter:
        """Return the same counter at another time."""
        return Counter(replace(self.desk, clock=FixedClock(at)), self.kept)


def field_of(observation: Observation, name: str, structure: Structure = FLOW.structure) -> object:
    """Return a dimension or an attribute of an observation."""
    if name in structure.key:
        return observation.key[structure.key.index(name)]
    return observation.attributes[structure.names.index(name)]
