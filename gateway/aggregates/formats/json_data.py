# SPDX-License-Identifier: Apache-2.0
"""Observations as SDMX-JSON 2.0; this file is about that message, written while the cells are read.

The observations point into lists of values by place, which are known only at the end: so the lists stand behind them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import orjson

from gateway.aggregates.observations import AGENCY, MEASURE, TIME, Component, Observation, Structure
from gateway.contracting.contract import Text

SCHEMA = "https://json.sdmx.org/2.0.0/sdmx-json-data-schema.json"
_PERIOD = Text("Month", "Mes")
_MEASURED = Text("Value", "Valor")


@dataclass(slots=True)
class _Places:
    """The values of one component in the order in which they came."""

    found: dict[object, int] = field(default_factory=dict)

    def of(self, value: object) -> int:
        return self.found.setdefault(value, len(self.found))


def json_head(structure: Structure, *, prepared: str, message_id: str, language: str) -> str:
    """Return what stands before the observations."""
    meta = {
        "schema": SCHEMA,
        "id": message_id,
        "prepared": prepared,
        "contentLanguages": [language],
        "sender": {"id": AGENCY},
    }
    dataset = {"structure": 0, "action": "Information", "links": _links(structure)}
    return f'{{"meta":{_json(meta)},"data":{{"dataSets":[{_json(dataset)[:-1]},'


def json_rows(structure: Structure, found: Iterator[Observation], *, flat: bool, language: str) -> Iterator[str]:
    """Yield the observations, and after them the lists of values that they point into."""
    key = [_Places() for _ in structure.key]
    periods = _Places()
    attributes = [_Places() for _ in structure.names]

    def row(one: Observation) -> str:
        places = [
            None if value is None else slot.of(value) for slot, value in zip(attributes, one.attributes, strict=True)
        ]
        while places and places[-1] is None:
            places.pop()
        return _json([one.value, *places])

    if flat:
        yield '"observations":{'
        for count, one in enumerate(found):
            place = _joined([*_placed(key, one.key), periods.of(one.period)])
            yield f'{"," if count else ""}"{place}":{row(one)}\n'
        yield "}"
    else:
        yield '"series":{'
        for count, (series, members) in enumerate(groupby(found, key=lambda one: one.key)):
            yield f'{"," if count else ""}"{_joined(_placed(key, series))}":{{"observations":{{'
            rows = (f'"{periods.of(one.period)}":{row(one)}' for one in members if one.period)
            yield f"{','.join(rows)}}}}}\n"
        yield "}"
    described = _structure(structure, key, periods, attributes, flat=flat, language=language)
    yield f'}}],"structures":[{_json(described)}]}}}}\n'


def _structure(
    structure: Structure,
    key: Sequence[_Places],
    periods: _Places,
    attributes: Sequence[_Places],
    *,
    flat: bool,
    language: str,
) -> Mapping[str, Any]:
    dimensions = [
        {"keyPosition": position, **_component(component, places, language)}
        for position, (component, places) in enumerate(zip(structure.dimensions, key, strict=True))
    ]
    time = {
        "id": TIME,
        **_named(_PERIOD, language),
        "keyPosition": len(key),
        "roles": [TIME],
        "values": [{"value": month, "name": month} for month in periods.found],
    }
    of_time = [time] if periods.found else []
    of_observations = [
        {
            "relationship": {"observation": {}},
            "isMandatory": component.required,
            **_component(component, places, language),
        }
        for component, places in zip(structure.attributes, attributes, strict=True)
    ]
    # What stands at the end of no row needs no place in them.
    while of_observations and "values" not in of_observations[-1]:
        of_observations.pop()
    return {
        "links": _links(structure),
        **_named(structure.title, language),
        "dataSets": [0],
        "dimensions": {
            "dataSet": [],
            "series": [] if flat else dimensions,
            "observation": [*dimensions, *of_time] if flat else of_time,
        },
        "measures": {"observation": [{"id": MEASURE, **_named(_MEASURED, language), "roles": [MEASURE]}]},
        "attributes": {"dataSet": [], "dimensionGroup": [], "series": [], "observation": of_observations},
    }


def _component(component: Component, places: _Places, language: str) -> Mapping[str, Any]:
    values = [
        {"id": value, **_named(component.codes[value], language)}
        if value in component.codes
        else {"value": value, "name": value}
        for value in map(str, places.found)
    ]
    # An attribute that nothing has keeps its place in the rows, and has no list.
    return {"id": component.id, **_named(component.title, language), **({"values": values} if values else {})}


def _links(structure: Structure) -> list[dict[str, str]]:
    urn = "urn:sdmx:org.sdmx.infomodel.datastructure."
    return [
        {"rel": "dataflow", "urn": f"{urn}Dataflow={structure.reference}"},
        {"rel": "datastructure", "urn": f"{urn}DataStructure={structure.reference}"},
    ]


def _placed(slots: Sequence[_Places], values: Sequence[str]) -> list[int]:
    return [slot.of(value) for slot, value in zip(slots, values, strict=True)]


def _joined(places: Sequence[int]) -> str:
    return ":".join(map(str, places))


def _named(text: Text, language: str) -> Mapping[str, Any]:
    names = {"en": text.en, "es": text.es}
    return {"name": names.get(language, text.en), "names": names}


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
