# SPDX-License-Identifier: Apache-2.0
"""A partner's pull, on both engines under the real policies; this file is about answers, refusals and their events."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.aggregates.dataflow import flow_dataflow
from gateway.aggregates.desk import AggregatesDesk, DataRequest, Pulled
from gateway.aggregates.serve import pull
from gateway.contracting.contract import ContractSet
from gateway.contracting.load import load_contract
from gateway.contracting.rows import canonical_line, row_maker
from gateway.contracting.strict_yaml import read_yaml
from gateway.errors import (
    DeniedByPolicy,
    NotAPublishedTable,
    NotFound,
    PurposeMissing,
    Refusal,
    RequestMalformed,
    UnitsDiffer,
)
from gateway.identifiers import new_id
from gateway.policy.agreements import load_agreements
from gateway.policy.decide import DecisionPoint
from gateway.policy.load import compile_policies, load_rules
from gateway.storage import log
from gateway.storage.engine import Storage
from gateway.storage.records import keep_records
from gateway.trip import Partner, RecordChunk
from gateway.wire.merkle import leaf_hash

ROOT = Path(__file__).parents[3] / "contracts"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CBP = Partner("USA.DHS.CBP", "USA", "active", frozenset({"provider", "reader"}), ())
IGM = Partner("GTM.IGM", "GTM", "active", frozenset({"provider", "reader"}), ())
SEGEPLAN = Partner("GTM.SEGEPLAN", "GTM", "active", frozenset({"reader"}), ())
MUTE = Partner("GTM.INE", "GTM", "active", frozenset({"provider"}), ())
FLOW = flow_dataflow(load_contract(ROOT / "flow" / "1.0.0").shape)
CELL = {
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
    "definition_id": "USA.CBP.ENCOUNTER",
    "vintage": "2024-05-15",
    "count": 5000,
}
ASKED = DataRequest(
    request_id="r-1",
    source="ab" * 32,
    path="/sdmx/v2/data/dataflow/GATEWAY/FLOW/1.0.0",
    agency="GATEWAY",
    dataflow="FLOW",
    version="1.0.0",
    key="*",
    query="",
    accept="application/vnd.sdmx.data+csv;version=2.0.0",
    purpose="STATISTICS",
)


class FixedClock:
    def now(self) -> datetime:
        return NOW


@dataclass
class Counter:
    """A gateway with cells in it, asked by partners."""

    desk: AggregatesDesk

    def keep(self, *changes: Mapping[str, object], partner_id: str = CBP.id) -> None:
        shape = FLOW.shape
        records = [CELL | {"record_id": new_id(NOW), **change} for change in changes]
        rows = [row_maker(shape)(record) for record in records]
        hashes = [leaf_hash(canonical_line(row, shape)) for row in rows]
        chunk = RecordChunk(range(1, len(rows) + 1), rows, hashes)
        submission, at = new_id(NOW), NOW - timedelta(hours=1)
        kept = self.desk.storage.write(
            lambda tx: keep_records(tx, shape, chunk, partner_id=partner_id, submission_id=submission, accepted_at=at)
        )
        assert not kept.refused

    def ask(self, reader: Partner = IGM, **changes: str) -> tuple[Pulled, list[dict[str, str]]]:
        pulled = pull(self.desk, reader, replace(ASKED, **changes))
        body = b"".join(pulled.chunks())
        assert len(body) == pulled.body_bytes
        return pulled, list(csv.DictReader(io.StringIO(body.decode(), newline="")))

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


@pytest.fixture
def counter(storage: Storage) -> Counter:
    policies = compile_policies(
        load_rules(ROOT),
        load_agreements(ROOT / "agreements", read_yaml),
        parties=("GTM", "MEX", "USA"),
        products=("flow", "border-event"),
    )
    return Counter(AggregatesDesk(FixedClock(), storage, DecisionPoint(policies), ContractSet(()), FLOW))


def test_a_pull_gives_the_cells_as_sdmx_csv(counter: Counter) -> None:
    counter.keep({}, {"period": "2024-04", "count": 7})

    pulled, rows = counter.ask()

    assert pulled.media_type == "application/vnd.sdmx.data+csv;version=2.0.0"
    assert [(row["TIME_PERIOD"], row["OBS_VALUE"]) for row in rows] == [("2024-03", "5000"), ("2024-04", "7")]
    assert rows[0] == {
        "STRUCTURE": "dataflow",
        "STRUCTURE_ID": "GATEWAY:FLOW(1.0.0)",
        "ACTION": "I",
        "FREQ": "M",
        "PROVIDER": "USA_DHS_CBP",
        "REF_AREA": "USA",
        "COUNTERPART_AREA": "_X",
        "DIRECTION": "IN",
        "FLOW_TYPE": "ENC_BETWEEN_PORTS",
        "UNIT_MEASURE": "EVT",
        "CITIZENSHIP": "HND",
        "SEX": "_T",
        "AGE": "_T",
        "ACCOMPANIMENT": "_T",
        "PLACE_SCHEME": "_T",
        "PLACE": "_T",
        "LEGAL_BASIS": "USA_T8",
        "TIME_PERIOD": "2024-03",
        "OBS_VALUE": "5000",
        "OBS_STATUS": "A",
        "CONF_STATUS": "F",
        "ROUNDING": "1",
        "DEFINITION": "USA.CBP.ENCOUNTER",
        "VINTAGE": "2024-05-15",
        "REVISION": "0",
    }


def test_a_pull_is_in_the_log_before_it_is_answered(counter: Counter) -> None:
    """The owners see who read, why and how much; the only purpose of the agreement need not be named."""
    counter.keep({}, {"citizenship": "GTM", "confidentiality": "A"})

    pulled, rows = counter.ask(SEGEPLAN, purpose="", query="c[REF_AREA]=USA")

    kind, fields, audience = counter.event(pulled.event_id)
    assert (kind, audience) == ("aggregate.read", {"GTM", "USA"})
    assert fields["partner"] == "GTM.SEGEPLAN"
    assert fields["purpose"] == "STATISTICS"
    assert fields["owner"] == "USA"
    assert (fields["cell_count"], fields["suppressed_count"]) == (len(rows), 1)
    assert fields["policies"] == ["gtm-usa#usa-flow-to-gtm"]


def test_no_owner_learns_from_its_event_who_else_was_read(counter: Counter) -> None:
    """A wildcard reads of two owners: each sees its own permit and the count of its own cells, the reader both."""
    counter.keep({}, {"citizenship": "SLV"})
    counter.keep({"provider": "MEX.SEGOB.UPMRIP", "reporting_country": "MEX"}, partner_id="MEX.SEGOB.UPMRIP")

    pulled, _ = counter.ask()

    usa, mex = counter.seen_by("USA"), counter.seen_by("MEX")
    assert [(seen["owner"], seen["policies"], seen["cell_count"]) for seen in (*usa, *mex)] == [
        ("USA", ["gtm-usa#usa-flow-to-gtm"], 2),
        ("MEX", ["gtm-mex#mex-flow-to-gtm"], 1),
    ]
    assert not any("MEX" in json.dumps(seen) for seen in usa)
    assert not any("USA" in json.dumps(seen) for seen in mex)
    assert sorted(str(seen["owner"]) for seen in counter.seen_by("GTM")) == ["MEX", "USA"]
    assert counter.event(pulled.event_id)[1] == mex[0]


def test_no_owner_learns_from_a_refusal_who_else_was_asked(counter: Counter) -> None:
    """GTM names itself, which nothing permits, beside USA, which would: the decision is only in GTM's event."""
    counter.keep({})

    with pytest.raises(DeniedByPolicy):
        counter.ask(query="c[REF_AREA]=USA,GTM")

    (usa,) = counter.seen_by("USA")
    assert usa["owner"] == "USA"
    assert "policy_set" not in usa
    assert sorted(str(seen["owner"]) for seen in counter.seen_by("GTM")) == ["GTM", "USA"]


def test_only_the_cells_of_permitting_owners_are_given(counter: Counter) -> None:
    """Not even one's own country's: those are exact totals of one's own, elsewhere."""
    counter.keep({})
    counter.keep({"provider": "GTM.IGM", "reporting_country": "GTM", "count": 99}, partner_id="GTM.IGM")

    _, rows = counter.ask(IGM)

    assert {row["REF_AREA"] for row in rows} == {"USA"}


def test_key_filters_and_period_narrow_the_answer(counter: Counter) -> None:
    counter.keep({}, {"citizenship": "SLV"}, {"period": "2024-06"}, {"period": "2023-12"})
    key = "M.*.USA.*.*.*.*.HND.*.*.*.*.*.*"

    _, rows = counter.ask(key=key, query="c%5BTIME_PERIOD%5D=ge:2024-01+le:2024-05")

    assert [(row["TIME_PERIOD"], row["CITIZENSHIP"]) for row in rows] == [("2024-03", "HND")]


def test_a_reader_never_sees_asylum_of_its_nationals_nor_the_total(counter: Counter) -> None:
    asylum = {"flow_type": "ASYL_APPLICATION", "unit": "PER"}
    counter.keep(*({**asylum, "citizenship": code} for code in ("GTM", "HND", "_T")))

    _, rows = counter.ask(IGM)

    assert [row["CITIZENSHIP"] for row in rows] == ["HND"]


def test_minors_at_a_place_come_without_their_number(counter: Counter) -> None:
    minor = {"accompaniment": "UM", "age_group": "Y_LT18", "place_scheme": "USA.CBP.AOR", "place_code": "USBP-DRT"}
    counter.keep({**minor, "count": 12})

    pulled, rows = counter.ask()

    assert [(row["OBS_VALUE"], row["OBS_STATUS"], row["CONF_STATUS"]) for row in rows] == [("", "Q", "A")]
    assert (pulled.cell_count, pulled.suppressed_count) == (1, 1)


@pytest.mark.parametrize(
    ("reader", "changes", "refusal"),
    [
        (IGM, {"purpose": ""}, PurposeMissing),
        (IGM, {"purpose": "IMMIGRATION_ENFORCEMENT_INDIVIDUAL"}, DeniedByPolicy),
        (IGM, {"query": "c[REF_AREA]=GTM"}, DeniedByPolicy),
        (IGM, {"query": "c[REF_AREA]=USA,FRA"}, DeniedByPolicy),
        (MUTE, {}, DeniedByPolicy),
        (IGM, {"query": "c[FLOW_TYPE]=ASYL_APPLICATION&c[CITIZENSHIP]=GTM"}, DeniedByPolicy),
        (IGM, {"query": "c[FLOW_TYPE]=ASYL_APPLICATION&c[PLACE_SCHEME]=USA_CBP_AOR"}, NotAPublishedTable),
        (IGM, {"query": "c[UNIT_MEASURE]=_T"}, UnitsDiffer),
        (IGM, {"query": "c[REF_AREA]=MEX"}, NotFound),
        (IGM, {"dataflow": "OTHER"}, NotFound),
        (IGM, {"accept": "application/json"}, RequestMalformed),
    ],
)
def test_a_refused_pull_is_an_event(
    counter: Counter, reader: Partner, changes: dict[str, str], refusal: type[Refusal]
) -> None:
    counter.keep({})

    with pytest.raises(refusal) as caught:
        counter.ask(reader, **changes)

    kind, fields, audience = counter.event(caught.value.audit_event)
    assert kind == "aggregate.refused"
    assert fields["reason"] == refusal.reason.value
    assert "GTM" in audience


def test_a_refused_pull_is_shown_to_the_owner_that_was_named_and_to_no_other(counter: Counter) -> None:
    with pytest.raises(DeniedByPolicy) as caught:
        counter.ask(MUTE, query="c[REF_AREA]=MEX")

    assert counter.event(caught.value.audit_event)[2] == {"GTM", "MEX"}


@pytest.mark.parametrize(
    ("named", "logged"),
    [("IMMIGRATION_ENFORCEMENT_INDIVIDUAL", "IMMIGRATION_ENFORCEMENT_INDIVIDUAL"), ("Ana Gomez, case 7", "OTHER")],
)
def test_the_log_takes_no_free_text_for_a_purpose(counter: Counter, named: str, logged: str) -> None:
    with pytest.raises(DeniedByPolicy) as caught:
        counter.ask(purpose=named)

    assert counter.event(caught.value.audit_event)[1]["purpose"] == logged


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "application/vnd.sdmx.data+csv;version=2.0.0"),
        ("*/*", "application/vnd.sdmx.data+csv;version=2.0.0"),
        ("text/csv", "text/csv; charset=utf-8"),
        ("application/json;q=0.9, text/csv;q=0.5", "text/csv; charset=utf-8"),
        ("application/vnd.sdmx.data+csv; version=2.0.0; q=1", "application/vnd.sdmx.data+csv;version=2.0.0"),
    ],
)
def test_the_answer_has_the_type_that_was_asked_for(counter: Counter, accept: str, media_type: str) -> None:
    counter.keep({})

    assert counter.ask(accept=accept)[0].media_type == media_type
