# SPDX-License-Identifier: Apache-2.0
"""Three agencies' published tables in a running gateway; this file is about their totals, vintages and mirror.

The figures are those that the agencies published, as the data folder's README names them. An agency's own totals are
exact; what others pull is less by exactly the cells that protect minors, own nationals or what they would give away.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator

import pytest

from gateway.wire.canonical import canonical_bytes
from tests.api.asking import send, signed
from tests.api.contesting import PURPOSE
from tests.api.test_statistics import FLOW, MIRROR
from tests.real_data import data_folder, flow_records, stable_id
from tests.running import GTM, MEX, USA, Running, running

pytestmark = pytest.mark.data
CBP_FISCAL_YEARS = {2021: 1_734_686, 2022: 2_378_944, 2023: 2_475_669, 2024: 2_135_005}
UPM_YEARS = {"2019": 182_940, "2020": 82_379}
IGM_2023 = {"USA": 55_302, "MEX": 24_395}
MIRROR_YEARS = {"2022": (50_091, 53_503), "2024": (10_442, 15_088)}
# Mexico's number of April 2021 rose by 22.1 % between the workbook of July 2021 and the one of 2025.
ROSE, ROSE_IN, FIRST_VINTAGE = 1.221, "2021-04", "2021-08-15"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway that three agencies sent their tables to, over mutual TLS; Mexico sent one of its months before."""
    data_folder()
    url = request.getfixturevalue("postgresql_server").fresh() if request.param == "postgresql" else None
    with running(tmp_path_factory.mktemp(request.param) / "sandbox", engine_url=url) as started:
        before = dict(earlier_figures())
        submit(started, MEX, list(before.values()))
        for provider in (USA, MEX, GTM):
            submit(started, provider, [superseding(record, before) for record in flow_records(provider)])
        yield started


def earlier_figures() -> Iterator[tuple[tuple[object, ...], dict[str, str | int]]]:
    """Yield Mexico's detections by nationality of the month that was revised, as they were first published."""
    for record in flow_records(MEX):
        if (record["period"], record["flow_type"]) == (ROSE_IN, "IRREG_DETECTION") and record["citizenship"] != "_T":
            first = record | {"vintage": FIRST_VINTAGE, "count": round(int(record["count"]) / ROSE)}
            yield cell_of(record), first | {"record_id": stable_id(first)}


def cell_of(record: dict[str, str | int]) -> tuple[object, ...]:
    return tuple(record[name] for name in ("provider", "period", "flow_type", "citizenship", "sex", "age_group"))


def superseding(
    record: dict[str, str | int], before: dict[tuple[object, ...], dict[str, str | int]]
) -> dict[str, str | int]:
    """Return a record as it is sent: an amendment where an earlier figure stands."""
    if (earlier := before.get(cell_of(record))) and record["sex"] == "_T":
        return record | {"action": "amend", "supersedes": earlier["record_id"]}
    return record


def submit(gateway: Running, partner: str, records: list[dict[str, str | int]]) -> None:
    lines = [canonical_bytes(record) for record in records]
    kept = send(gateway, signed(gateway, lines, product="flow", partner=partner))
    assert kept.status in {201, 202}, kept.document
    assert kept.document["records"]["accepted"] == len(lines)


def rows(gateway: Running, reader: str, query: str, path: str = FLOW) -> list[dict[str, str]]:
    status, _, body = gateway.get(reader, f"{path}?{query}", PURPOSE)
    assert status == 200, body[:500]
    return list(csv.DictReader(io.StringIO(body.decode(), newline="")))


def own_totals(gateway: Running, name: str, first: str, last: str, by: str) -> list[dict[str, object]]:
    status, _, body = gateway.get(name, f"/v1/own/flow?from={first}&to={last}&by={by}")
    assert status == 200, body
    totals: list[dict[str, object]] = json.loads(body)["totals"]
    return totals


@pytest.mark.parametrize("year", CBP_FISCAL_YEARS)
def test_cbp_finds_its_fiscal_years(gateway: Running, year: int) -> None:
    totals = own_totals(gateway, USA, f"{year - 1}-10", f"{year}-09", "flow_type")

    assert sum(int(str(total["count"])) for total in totals) == CBP_FISCAL_YEARS[year]
    assert {(total["unit"], total["definition_id"]) for total in totals} == {
        ("EVT", "urn:mig:def:usa.cbp.encounter:2020")
    }


@pytest.mark.parametrize("year", CBP_FISCAL_YEARS)
def test_a_partner_finds_cbp_s_fiscal_years_but_for_who_is_protected(gateway: Running, year: int) -> None:
    """Mexico's partner: without minors in a sector, and without its own nationals there in small numbers."""
    span = (f"{year - 1}-10", f"{year}-09")
    found = rows(gateway, MEX, f"c[REF_AREA]=USA&c[TIME_PERIOD]=ge:{span[0]}+le:{span[1]}")
    sent = [record for record in flow_records(USA) if span[0] <= str(record["period"]) <= span[1]]

    withheld = sum(int(record["count"]) for record in sent if is_protected(record, "MEX"))
    assert len(found) == len(sent)
    assert sum(int(row["OBS_VALUE"] or 0) for row in found) == CBP_FISCAL_YEARS[year] - withheld
    assert {row["OBS_STATUS"] for row in found if not row["OBS_VALUE"]} == {"Q"}


def is_protected(record: dict[str, str | int], reader: str) -> bool:
    minor = record["accompaniment"] in {"AM", "UM"}
    return minor or (record["citizenship"] == reader and int(record["count"]) < 20)


@pytest.mark.parametrize("year", UPM_YEARS)
def test_a_partner_finds_mexico_s_national_totals(gateway: Running, year: str) -> None:
    """Both of its tables give the year; a nationality is missing where it would give away children of the other."""
    asked = f"c[REF_AREA]=MEX&c[FLOW_TYPE]=IRREG_DETECTION&c[TIME_PERIOD]={year}&c[CITIZENSHIP]=ne:_T"
    found = rows(gateway, USA, asked)
    own = own_totals(gateway, MEX, f"{year}-01", f"{year}-12", "flow_type,citizenship")
    sent = {(r["period"], r["citizenship"]): int(r["count"]) for r in flow_records(MEX)
            if r["flow_type"] == "IRREG_DETECTION" and r["sex"] == "_T"}  # fmt: skip

    withheld = [row for row in found if not row["OBS_VALUE"]]
    by_table = Counter[bool]()
    for total in own:
        if total["flow_type"] == "IRREG_DETECTION":
            by_table[total["citizenship"] == "_T"] += int(str(total["count"]))
    assert by_table == {True: UPM_YEARS[year], False: UPM_YEARS[year]}
    assert {row["CONF_STATUS"] for row in withheld} <= {"S"}
    missing = sum(sent[row["TIME_PERIOD"], row["CITIZENSHIP"]] for row in withheld)
    assert sum(int(row["OBS_VALUE"] or 0) for row in found) == UPM_YEARS[year] - missing
    assert missing <= UPM_YEARS[year] / 1000


def test_a_partner_finds_guatemala_s_returned_nationals(gateway: Running) -> None:
    """But for months in which so few girls or boys came that they could be found."""
    found = rows(gateway, USA, "c[REF_AREA]=GTM&c[TIME_PERIOD]=2023")
    own = own_totals(gateway, GTM, "2023-01", "2023-12", "counterpart_country")

    assert {str(total["counterpart_country"]): total["count"] for total in own} == IGM_2023
    for country, total in IGM_2023.items():
        mine = [row for row in found if row["COUNTERPART_AREA"] == country]
        few = [r for r in flow_records(GTM) if r["counterpart_country"] == country and str(r["period"])[:4] == "2023"]
        missing = sum(int(r["count"]) for r in few if r["age_group"] == "Y_LT18" and int(r["count"]) < 20)
        assert sum(int(row["OBS_VALUE"] or 0) for row in mine) == total - missing


def test_as_of_a_day_mexico_s_number_is_the_one_of_then(gateway: Running) -> None:
    asked = f"c[REF_AREA]=MEX&c[FLOW_TYPE]=IRREG_DETECTION&c[TIME_PERIOD]={ROSE_IN}&c[CITIZENSHIP]=HND"

    (now,) = rows(gateway, USA, asked)
    (then,) = rows(gateway, USA, f"{asked}&asOf=2025-05-01T00:00:00Z")
    history = rows(gateway, USA, f"{asked}&includeHistory=true")

    assert (then["VINTAGE"], then["REVISION"], now["VINTAGE"], now["REVISION"]) == (
        FIRST_VINTAGE,
        "0",
        "2025-06-11",
        "1",
    )
    assert int(now["OBS_VALUE"]) / int(then["OBS_VALUE"]) == pytest.approx(ROSE, abs=0.001)
    assert [row["OBS_VALUE"] for row in history] == [then["OBS_VALUE"], now["OBS_VALUE"]]


@pytest.mark.parametrize("reader", [USA, MEX, GTM])
def test_the_mirror_shows_the_returns_of_both_sides(gateway: Running, reader: str) -> None:
    """53,503 received and 50,091 sent in 2022; where a month is missing, a handful of children would show in it."""
    found = rows(gateway, reader, "c[REF_AREA]=MEX&c[COUNTERPART_AREA]=GTM&c[MIRRORED_FLOW]=RETURN", MIRROR)

    years = {year: [row for row in found if row["TIME_PERIOD"].startswith(year)] for year in MIRROR_YEARS}
    for year, (sent, received) in MIRROR_YEARS.items():
        sides = {side: [row for row in years[year] if row["INDICATOR"] == side] for side in ("SENT", "RECEIVED")}
        assert sum(int(row["OBS_VALUE"]) for row in sides["SENT"]) == sent
        told = sum(int(row["OBS_VALUE"] or 0) for row in sides["RECEIVED"])
        complete = all(row["OBS_VALUE"] for row in sides["RECEIVED"])
        assert told == received if complete else told < received
        assert {row["UNIT_MEASURE"] for row in sides["RECEIVED"]} == {"PER"}
        assert {row["METHOD"] for row in years[year]} == {"UNITS_DIFFER"}
    assert all(row["OBS_VALUE"] for row in years["2022"])
