# SPDX-License-Identifier: Apache-2.0
"""What a partner finds, and what nobody finds, in the statistics; this file is about T1, T2, T3, T5 and T10 over TLS.

The names are those of the domain's test vectors. T5 is restated: nothing is refused for having been asked for before;
what could be subtracted was withheld when the vintage was accepted, from every reader alike.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.errors import Reason
from gateway.identifiers import new_id
from gateway.wire.canonical import canonical_bytes
from tests.api.asking import event, line, read_refused, send, signed
from tests.api.contesting import CELL, PURPOSE
from tests.running import GTM, MEX, USA, Running, running

FLOW = "/sdmx/v2/data/dataflow/GATEWAY/FLOW/1.0.0"
MIRROR = "/sdmx/v2/data/dataflow/GATEWAY/FLOW_MIRROR/1.0.0"
ASYLUM = {"flow_type": "ASYL_APPLICATION", "unit": "PER", "period": "2024-01"}
SECTOR = {"place_scheme": "USA.CBP.AOR", "place_code": "USBP-DRT", "period": "2024-02"}
MINOR = {"accompaniment": "UM", "age_group": "Y_LT18"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway of these tests, because what others publish would stand in their answers."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_server").fresh()
    with running(tmp_path_factory.mktemp(request.param) / "sandbox", engine_url=url) as started:
        yield started


def publish(gateway: Running, *changes: dict[str, Any], partner: str = USA) -> list[dict[str, Any]]:
    """Push cells of an agency as one submission over mutual TLS."""
    records = [CELL | {"record_id": new_id(datetime.now(UTC))} | change for change in changes]
    kept = send(gateway, signed(gateway, map(canonical_bytes, records), product="flow", partner=partner))
    assert kept.status == 201, kept.document
    return records


def rows(gateway: Running, reader: str, query: str, path: str = FLOW) -> list[dict[str, str]]:
    """Pull as a partner and return the rows of the answer."""
    status, headers, body = gateway.get(reader, f"{path}?{query}", PURPOSE)
    assert status == 200, body
    assert headers["audit-event"]
    return list(csv.DictReader(io.StringIO(body.decode(), newline="")))


def told(found: list[dict[str, str]], *names: str) -> list[tuple[str, ...]]:
    return sorted((*(row[name] for name in names), row["OBS_VALUE"]) for row in found)


def test_t1_nobody_pulls_border_events(gateway: Running) -> None:
    """They are no dataflow; an agency's own totals are its own, and a record of another is nowhere to be had."""
    kept = send(gateway, signed(gateway, [line(event_id=(one := event())["event_id"])]))
    assert kept.status == 201

    for name in ("BORDER_EVENT", "BORDER-EVENT", "border-event"):
        path = f"/sdmx/v2/data/dataflow/GATEWAY/{name}/1.0.0/*"
        read_refused(gateway, GTM, path, Reason.NOT_FOUND, PURPOSE)
    status, _, body = gateway.get(GTM, "/v1/own/border-event")
    assert (status, b'"totals":[]' in body) == (200, True)
    assert one["event_id"].encode() not in gateway.get(GTM, "/v1/own/border-event?by=citizenship")[2]


def test_t2_asylum_is_never_told_to_the_country_of_nationality(gateway: Running) -> None:
    cells = (("GTM", 300), ("HND", 10), ("SLV", 9), ("_T", 319))
    publish(gateway, *({**ASYLUM, "citizenship": code, "count": count} for code, count in cells))
    asked = "c[REF_AREA]=USA&c[FLOW_TYPE]=ASYL_APPLICATION"

    refusal = read_refused(gateway, GTM, f"{FLOW}?{asked}&c[CITIZENSHIP]=GTM", Reason.DENIED_BY_POLICY, PURPOSE)
    found = told(rows(gateway, GTM, asked), "CITIZENSHIP", "OBS_STATUS")

    assert refusal["status"] == 403
    assert found == [("HND", "A", "10"), ("SLV", "Q", "")]
    assert [code for code, *_ in told(rows(gateway, MEX, asked), "CITIZENSHIP")] == ["GTM", "HND", "SLV"]


def test_t3_minors_at_a_place_have_no_number(gateway: Running) -> None:
    """Nor a way to it: a sector's total and its adults are both published, and one of them is withheld."""
    adults = {"accompaniment": "SA", "age_group": "Y_GE18", "count": 300}
    publish(gateway, {**SECTOR, **MINOR, "count": 12}, {**SECTOR, **adults}, {**SECTOR, "count": 312})

    found = rows(gateway, MEX, "c[REF_AREA]=USA&c[TIME_PERIOD]=2024-02")

    assert told(found, "ACCOMPANIMENT", "OBS_STATUS", "CONF_STATUS") == [
        ("SA", "Q", "S", ""),
        ("UM", "Q", "A", ""),
        ("_T", "A", "F", "312"),
    ]


def test_t5_a_total_less_the_rest_leaves_two_unknowns(gateway: Running) -> None:
    """As restated: both questions are answered, to every reader alike, and their difference is nobody's count."""
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    restricted = {"period": "2024-03", "flow_type": "ENC_AT_PORT"}
    cells = (("GTM", 4), ("SLV", 60), ("HND", 900), ("_T", 964))
    asylum = {"period": "2024-03", "flow_type": "ASYL_DECISION_POS", "unit": "PER"}
    publish(gateway, *({**restricted, "citizenship": code, "count": count} for code, count in cells))
    publish(gateway, *({**asylum, "citizenship": code, "sex": sex, "count": count}
                       for code, sex, count in (("SLV", "F", 4), ("SLV", "M", 60), ("SLV", "_T", 64))))  # fmt: skip
    publish(gateway, {**restricted, "period": "2024-04", "confidentiality": "E", "embargo_until": tomorrow})
    asked = "c[REF_AREA]=USA&c[TIME_PERIOD]=ge:2024-03+le:2024-04&c[FLOW_TYPE]="

    for reader in (GTM, MEX):
        total = told(rows(gateway, reader, f"{asked}ASYL_DECISION_POS"), "SEX", "CONF_STATUS")
        without = told(rows(gateway, reader, f"{asked}ASYL_DECISION_POS&c[SEX]=ne:F"), "SEX", "CONF_STATUS")
        assert total == [("F", "A", ""), ("M", "S", ""), ("_T", "F", "64")]
        assert without == total[1:]
        # What an agency publishes itself is public; what is under embargo is not there yet.
        free = told(rows(gateway, reader, f"{asked}ENC_AT_PORT"), "TIME_PERIOD", "CITIZENSHIP")
        assert free == [("2024-03", code, str(count)) for code, count in (cells[0], cells[2], cells[1], cells[3])]


@pytest.mark.parametrize("path", [FLOW, MIRROR])
def test_t10_units_are_never_added(gateway: Running, path: str) -> None:
    """Whatever adds events and persons would be neither; a table that no agency sent is none."""
    units = {FLOW: "c[UNIT_MEASURE]=_T", MIRROR: "c[UNIT_MEASURE]=_T"}[path]

    refusal = read_refused(gateway, GTM, f"{path}?{units}", Reason.UNITS_DIFFER, PURPOSE)

    assert refusal["status"] == 422
    read_refused(gateway, GTM, f"{FLOW}?c[FLOW_TYPE]=_T", Reason.NOT_A_PUBLISHED_TABLE, PURPOSE)
    read_refused(gateway, GTM, f"{FLOW}/......_T.......", Reason.UNITS_DIFFER, PURPOSE)


def test_a_correction_is_seen_at_once_and_the_vintage_before_by_its_day(gateway: Running) -> None:
    (first,) = publish(gateway, {"period": "2023-05", "count": 100, "vintage": "2024-05-15"})
    amend = {"action": "amend", "supersedes": first["record_id"], "vintage": "2025-06-04"}
    publish(gateway, {"period": "2023-05", "count": 122, **amend})
    asked = "c[REF_AREA]=USA&c[TIME_PERIOD]=2023-05"

    assert told(rows(gateway, GTM, asked), "VINTAGE", "REVISION") == [("2025-06-04", "1", "122")]
    before = rows(gateway, GTM, f"{asked}&asOf=2025-05-01T00:00:00Z")
    assert told(before, "VINTAGE", "REVISION") == [("2024-05-15", "0", "100")]
    history = rows(gateway, GTM, f"{asked}&includeHistory=true")
    assert [(row["ACTION"], row["OBS_VALUE"]) for row in history] == [("R", "100"), ("R", "122")]


def test_the_mirror_is_a_dataflow_of_its_own(gateway: Running) -> None:
    returns = {"period": "2024-04", "citizenship": "GTM"}
    sent = {"provider": MEX, "reporting_country": "MEX", "counterpart_country": "GTM", "direction": "OUT"}
    sent |= {"flow_type": "RETURN_DEPORTATION", "legal_basis": "MEX.LM"}
    sent |= {"definition_id": "urn:mig:def:mex.upm.devolucion:2015", "count": 900}
    received = {"provider": GTM, "reporting_country": "GTM", "counterpart_country": "MEX", "unit": "PER"}
    received |= {"flow_type": "RETURN_RECEIVED", "legal_basis": "_Z", "count": 800}
    received |= {"definition_id": "urn:mig:def:gtm.igm.retornado:2020"}
    publish(gateway, {**returns, **sent}, partner=MEX)
    publish(gateway, {**returns, **received}, partner=GTM)

    for reader in (USA, MEX, GTM):
        found = rows(gateway, reader, "c[REF_AREA]=MEX&c[COUNTERPART_AREA]=GTM", MIRROR)

        assert told(found, "INDICATOR", "UNIT_MEASURE") == [
            ("ASYMMETRY", "", "118"),
            ("DIFFERENCE", "", "100"),
            ("RECEIVED", "PER", "800"),
            ("SENT", "EVT", "900"),
        ]
