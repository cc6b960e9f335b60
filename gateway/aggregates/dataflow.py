# SPDX-License-Identifier: Apache-2.0
"""The flow cells as SDMX sees them; this file is about the dataflow: its dimensions, attributes, ids and code lists.

A dimension is a field of the contract's natural key, in the contract's order, behind a constant FREQ. SDMX ids
know letters, digits, `_`, `@`, `$` and `-` only, so every other character of a code becomes `_`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from gateway.aggregates.observations import AGENCY, MONTHLY, Component, Structure
from gateway.contracting.contract import CodeList, Contract, Field, Text
from gateway.trip import Scalar, TableShape

CODES_MAX = 1 << 16
# Cross-domain concepts have names that every SDMX client knows; other fields keep their own, in capitals.
_CONCEPTS = {
    "reporting_country": "REF_AREA",
    "counterpart_country": "COUNTERPART_AREA",
    "unit": "UNIT_MEASURE",
    "age_group": "AGE",
    "place_code": "PLACE",
    "definition_id": "DEFINITION",
    "rounding_base": "ROUNDING",
    "status": "OBS_STATUS",
    "confidentiality": "CONF_STATUS",
}
_SHOWN = ("status", "confidentiality")
_OWN = ("rounding_base", "definition_id", "vintage")
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9_@$-]")
FREQUENCY = Component(
    "FREQ",
    Text("Frequency", "Frecuencia"),
    list_id="CL_FREQ",
    list_title=Text("Frequency", "Frecuencia"),
    codes={MONTHLY: Text("Monthly", "Mensual")},
)
REVISION = Component("REVISION", Text("Revision of the cell, 0 at first", "Revisión de la celda, 0 al inicio"))
CONTESTED = Component(
    "CONTESTED", Text("Since when the number is contested", "Desde cuándo está impugnada la cifra"), required=False
)


@dataclass(frozen=True, slots=True)
class Dataflow:
    """One dataflow over one table; `fields` are the record fields in the order of a series key, behind FREQ.

    `attributes` are the record fields that stand between the statuses and the revision.
    """

    structure: Structure
    shape: TableShape
    fields: tuple[str, ...]
    attributes: tuple[str, ...]

    @property
    def reference(self) -> str:
        """Return agency, id and version, `GATEWAY:FLOW(1.0.0)`."""
        return self.structure.reference


def flow_dataflow(shape: TableShape, contract: Contract | None = None) -> Dataflow:
    """Return the dataflow of the flow contract's major version, `GATEWAY:FLOW(1.0.0)` for the first.

    Names and code lists are the contract's; without one there are ids alone.
    """
    key = tuple(name for name in shape.natural_key if name != shape.period_column)
    own = tuple(name for name in _OWN if name in shape.column_names and name not in key)
    name = concept_id(shape.product.replace("-", "_"))
    structure = Structure(
        id=name,
        version=f"{shape.major}.0.0",
        title=contract.title if contract else Text(name, name),
        description=contract.description if contract else Text("", ""),
        dimensions=(FREQUENCY, *(component_of(contract, field) for field in key)),
        attributes=(*(component_of(contract, field) for field in (*_SHOWN, *own)), REVISION, CONTESTED),
    )
    return Dataflow(structure, shape, key, own)


def component_of(contract: Contract | None, name: str) -> Component:
    """Return a record field as a component, with the code list that its contract gives it."""
    field = contract.field(name) if contract else None
    if contract is None or field is None:
        return Component(concept_id(name), Text(name, name))
    if name == "place_code":
        lists = [found for ref, found in sorted(contract.code_lists.items()) if ref.startswith("place-")]
        schemes = [found for found in lists if found.ref != "place-scheme/1"]
        codes = {"_T": Text("Total", "Total")} | {k: v for found in schemes for k, v in _codes(found).items()}
        return Component(concept_id(name), field.title, "CL_PLACE", Text("Places", "Lugares"), codes=codes)
    if not field.code_list:
        return Component(concept_id(name), field.title, required=field.required)
    found = contract.code_lists[field.code_list]
    list_name, _, major = field.code_list.partition("/")
    return Component(
        concept_id(name),
        field.title,
        f"CL_{list_name.replace('-', '_').upper()}",
        found.title,
        f"{major}.0.0",
        _codes(found),
        _allowed(field, found),
        required=field.required,
    )


@lru_cache(maxsize=CODES_MAX)
def sdmx_id(code: Scalar) -> str:
    """Return a code as an SDMX id: `USA.DHS.CBP` is `USA_DHS_CBP`; an absent value is `_Z`, not applicable."""
    return "_Z" if code is None else _NOT_IN_AN_ID.sub("_", str(code))


def key_of(flow: Dataflow, record: Mapping[str, Scalar]) -> tuple[str, ...]:
    """Return the series key of a record as SDMX ids, in the order of the dimensions."""
    return (MONTHLY, *(sdmx_id(record[name]) for name in flow.fields))


def concept_id(field: str) -> str:
    """Return the SDMX id of a record field."""
    return _CONCEPTS.get(field, field.upper())


def _codes(found: CodeList) -> Mapping[str, Text]:
    codes = {sdmx_id(code.code): code.text for code in found.codes.values()}
    assert len(codes) == len(found.codes), f"two codes of {found.ref} would share an SDMX id"
    return codes


def _allowed(field: Field, found: CodeList) -> frozenset[str]:
    """Return what a field takes of its list: no special code that it does not name, and only what it is limited to."""
    return frozenset(
        sdmx_id(code.code)
        for code in found.codes.values()
        if code.code not in field.forbidden
        and (code.code in field.special if code.special else not field.only or code.code in field.only)
    )


__all__ = ["AGENCY", "Dataflow", "component_of", "concept_id", "flow_dataflow", "key_of", "sdmx_id"]
