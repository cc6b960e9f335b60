# SPDX-License-Identifier: Apache-2.0
"""What a data request asks for; this file is about keys, filters, spans and sums that are refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.aggregates.dataflow import flow_dataflow, key_of, sdmx_id
from gateway.aggregates.observations import DataQuery, Observation, Structure
from gateway.aggregates.query import DATA_ONLY, FULL, SERIES_ONLY, parse_query
from gateway.errors import NotFound, RequestMalformed
from gateway.trip import ColumnShape, TableShape

NATURAL_KEY = ("provider", "period", "reporting_country", "flow_type", "unit", "citizenship", "place_scheme")
SHAPE = TableShape(
    product="flow",
    major=1,
    columns=tuple(ColumnShape(name, "string", required=True) for name in (*NATURAL_KEY, "count")),
    id_column="record_id",
    natural_key=NATURAL_KEY,
    retention_column=None,
    cubes=(),
    units=("unit",),
    period_column="period",
    measure="count",
)
FLOW = flow_dataflow(SHAPE)
KEY = ("M", "USA_DHS_CBP", "USA", "ENC_AT_PORT", "EVT", "HND", "_T")


def asked(key: str = "*", query: str = "", structure: Structure = FLOW.structure) -> DataQuery:
    return parse_query((structure,), agency="GATEWAY", dataflow="FLOW", version="1.0.0", key=key, query=query)[1]


def test_the_dimensions_are_the_natural_key_behind_the_frequency() -> None:
    ids = ("FREQ", "PROVIDER", "REF_AREA", "FLOW_TYPE", "UNIT_MEASURE", "CITIZENSHIP", "PLACE_SCHEME")

    assert FLOW.structure.key == ids
    assert FLOW.reference == "GATEWAY:FLOW(1.0.0)"


def test_a_star_selects_every_series() -> None:
    assert asked().selects(FLOW.structure, KEY)


@pytest.mark.parametrize(
    "key",
    [
        "M.*.USA.*.*.*.*",
        "..USA....",
        "M.USA_DHS_CBP.USA.ENC_AT_PORT.EVT.HND._T",
        "..MEX+USA....",
        "..MEX,USA....",
        "..MEX%2BUSA....",
        "..MEX....,..USA....",
    ],
)
def test_a_key_that_names_the_value_selects_the_series(key: str) -> None:
    assert asked(key).selects(FLOW.structure, KEY)


@pytest.mark.parametrize("key", ["M.*.MEX.*.*.*.*", "A......", "..MEX....,..GTM....", "...ENC.*.*.*"])
def test_a_key_that_names_another_value_does_not_select_the_series(key: str) -> None:
    assert not asked(key).selects(FLOW.structure, KEY)


@pytest.mark.parametrize("key", ["USA", "M.*", "M.*.USA.*.*.*.*.*", "M.*.USA.*.*.*.*,M.*"])
def test_a_key_of_another_length_is_malformed(key: str) -> None:
    with pytest.raises(RequestMalformed, match="request-malformed") as refusal:
        asked(key)

    assert "7 positions, FREQ.PROVIDER.REF_AREA" in refusal.value.detail("en")


@pytest.mark.parametrize(
    ("query", "selected"),
    [
        ("c[CITIZENSHIP]=HND", True),
        ("c%5BCITIZENSHIP%5D=GTM,HND", True),
        ("c[CITIZENSHIP]=eq:HND", True),
        ("c[CITIZENSHIP]=ne:GTM+ne:SLV", True),
        ("c[CITIZENSHIP]=ne:HND", False),
        ("c[CITIZENSHIP]=ne:GTM%2Bne:HND", False),
        ("c[CITIZENSHIP]=GTM", False),
        ("c[CITIZENSHIP]=HND&c[CITIZENSHIP]=GTM", False),
        ("c[CITIZENSHIP]=HND&c[UNIT_MEASURE]=PER", False),
        ("c[CITIZENSHIP]=*", True),
        ("", True),
    ],
)
def test_filters_all_hold_and_a_plus_is_and(query: str, *, selected: bool) -> None:
    """Read as a form the plus would be a space, and `ne:GTM+ne:SLV` a single strange value."""
    assert asked(query=query).selects(FLOW.structure, KEY) is selected


@pytest.mark.parametrize(
    ("query", "span"),
    [
        ("", ("0000-01", "9999-12")),
        ("c[TIME_PERIOD]=ge:2024-01+le:2024-12", ("2024-01", "2024-12")),
        ("c%5BTIME_PERIOD%5D=ge%3A2024-01%2Ble%3A2024-12", ("2024-01", "2024-12")),
        ("c[TIME_PERIOD]=2024", ("2024-01", "2024-12")),
        ("c[TIME_PERIOD]=2024-05", ("2024-05", "2024-05")),
        ("c[TIME_PERIOD]=gt:2023-12+lt:2025-01", ("2024-01", "2024-12")),
        ("c[TIME_PERIOD]=gt:2023+lt:2025", ("2024-01", "2024-12")),
        ("c[TIME_PERIOD]=ge:2024-06&c[TIME_PERIOD]=ge:2024-02", ("2024-06", "9999-12")),
        ("startPeriod=2024&endPeriod=2024-06", ("2024-01", "2024-06")),
        ("startPeriod=2024-Q2&endPeriod=2024-S2", ("2024-04", "2024-12")),
        ("startPeriod=2024-T3", ("2024-09", "9999-12")),
        ("startPeriod=2024-A1", ("2024-01", "9999-12")),
        ("startPeriod=2024-02-29&endPeriod=2024-03-01T00:00:00", ("2024-02", "2024-03")),
        ("c[TIME_PERIOD]=2024-05,2023-02", ("2023-02", "2024-05")),
    ],
)
def test_the_span_is_the_months_that_every_condition_leaves(query: str, span: tuple[str, str]) -> None:
    found = asked(query=query)

    assert (found.first_month, found.last_month) == span


@pytest.mark.parametrize(
    "query",
    [
        "c[TIME_PERIOD]=2024-13",
        "c[TIME_PERIOD]=ge:2024-01 le:2024-12",
        "c[TIME_PERIOD]=ne:2024-01",
        "c[COLOUR]=RED",
        "c[CITIZENSHIP]=sw:H",
        "c[CITIZENSHIP]=ne:GTM,ne:SLV",
        "includeHistory=maybe",
        "asOf=yesterday",
        "firstNObservations=0",
        "lastNObservations=many",
        "detail=everything",
        "startPeriod=2024-Q5",
        "c[TIME_PERIOD]=2024,ne:2025",
        "c[CITIZENSHIP]=%00",
        "c[CITIZENSHIP]=H%0AND",
        "c[CITIZENSHIP]=" + ",".join(["HND"] * 513),
        "c[TIME_PERIOD]=" + ",".join(["2024"] * 513),
        "x" * 9000,
        "&".join(["c[CITIZENSHIP]=HND"] * 65),
    ],
)
def test_what_would_be_ignored_is_refused(query: str) -> None:
    """An ignored filter answers another question than the one that was asked."""
    with pytest.raises(RequestMalformed):
        asked(query=query)


def test_a_list_of_periods_takes_those_and_no_other() -> None:
    assert asked(query="c[TIME_PERIOD]=2024-11,2025-02,2024-11").months == {"2024-11", "2025-02"}
    assert asked(query="c[TIME_PERIOD]=2024-01,2024-03&c[TIME_PERIOD]=2024-03,2024-05").months == {"2024-03"}


def test_two_lists_without_a_common_period_take_none() -> None:
    found = asked(query="c[TIME_PERIOD]=2024-01,2024-03&c[TIME_PERIOD]=2024-02,2024-04")

    assert found.first_month > found.last_month


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("", FULL),
        ("detail=dataonly", DATA_ONLY),
        ("attributes=none", DATA_ONLY),
        ("attributes=none&measures=none", SERIES_ONLY),
        ("detail=serieskeysonly", SERIES_ONLY),
        ("detail=nodata", SERIES_ONLY),
        ("attributes=dsd&measures=all", FULL),
    ],
)
def test_both_interfaces_have_words_for_less(query: str, detail: str) -> None:
    assert asked(query=query).detail == detail


def test_the_first_and_the_last_are_counted() -> None:
    found = asked(query="firstNObservations=2&lastNObservations=30&dimensionAtObservation=AllDimensions&format=csv")

    assert (found.first_n, found.last_n, found.at_observation) == (2, 30, "AllDimensions")


@pytest.mark.parametrize("query", ["attributes=dsd&measures=all", "dimensionAtObservation=AllDimensions"])
def test_a_parameter_that_names_the_only_form_may_stand(query: str) -> None:
    assert asked(query=query).selects(FLOW.structure, KEY)


def test_a_filter_may_name_an_attribute() -> None:
    """It is judged on what the reader sees: a withheld number has the status Q, whatever its agency said."""
    found = asked(query="c[OBS_STATUS]=A,P&c[REVISION]=ne:0")
    seen = {
        (status, revision): Observation(KEY, "2024-01", 1, (status, "F", revision, None))
        for status in "AQ"
        for revision in (0, 1)
    }

    assert [key for key, one in seen.items() if found.shows(FLOW.structure, one)] == [("A", 1)]


def test_instants_and_history_are_read() -> None:
    found = asked(query="asOf=2025-05-01T00:00:00Z&updatedAfter=2025-04-30T18:00:00-06:00&includeHistory=true")

    assert found.as_of == found.updated_after == datetime(2025, 5, 1, tzinfo=UTC)
    assert found.include_history


def test_a_total_that_agencies_send_may_be_asked_for() -> None:
    assert not asked(query="c[CITIZENSHIP]=_T").selects(FLOW.structure, KEY)


@pytest.mark.parametrize("path", [("OTHER", "FLOW", "1.0.0"), ("GATEWAY", "X", "1.0.0"), ("GATEWAY", "FLOW", "2.0.0")])
def test_another_dataflow_is_not_there(path: tuple[str, str, str]) -> None:
    with pytest.raises(NotFound):
        parse_query((FLOW.structure,), agency=path[0], dataflow=path[1], version=path[2], key="*", query="")


def test_two_spellings_of_one_request_have_one_form() -> None:
    """The log keeps the digest of the request, so that the same question shows as the same."""
    one = asked(query="c[CITIZENSHIP]=GTM,HND&c[TIME_PERIOD]=2024")
    other = asked(query="c%5BTIME_PERIOD%5D=ge%3A2024-01%2Ble%3A2024-12&c[CITIZENSHIP]=HND,GTM")

    assert one.as_json() == other.as_json()


@given(st.text(min_size=1, max_size=40))
def test_an_sdmx_id_has_no_character_that_a_key_or_filter_reads(code: str) -> None:
    assert not set(sdmx_id(code)) & set(".,+*:&= ")


def test_a_series_key_shows_codes_as_ids() -> None:
    record = {"provider": "USA.DHS.CBP", "reporting_country": "USA", "flow_type": "ENC_AT_PORT", "unit": "EVT"}
    record |= {"citizenship": "HND", "place_scheme": "_T"}

    assert key_of(FLOW, record) == KEY
