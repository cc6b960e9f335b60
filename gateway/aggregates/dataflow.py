# SPDX-License-Identifier: Apache-2.0
"""The flow cells as SDMX sees them; this file is about the dataflow: its dimensions, attributes and SDMX ids.

A dimension is a field of the contract's natural key, in the contract's order, behind a constant FREQ. SDMX ids
know letters, digits, `_`, `@`, `$` and `-` only, so every other character of a code becomes `_`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from gateway.trip import Scalar, TableShape

AGENCY = "GATEWAY"
MONTHLY = "M"
TIME = "TIME_PERIOD"
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
}
_ATTRIBUTES = ("rounding_base", "definition_id", "vintage")
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9_@$-]")


@dataclass(frozen=True, slots=True)
class Component:
    """A dimension or attribute: its SDMX id, and the record field that it shows (none for FREQ)."""

    id: str
    field: str


@dataclass(frozen=True, slots=True)
class Dataflow:
    """One dataflow over one table; `dimensions` stand in the order of a series key, without the time."""

    agency: str
    id: str
    version: str
    shape: TableShape
    dimensions: tuple[Component, ...]
    attributes: tuple[Component, ...]

    @property
    def reference(self) -> str:
        """Return agency, id and version as SDMX-CSV writes them, `GATEWAY:FLOW(1.0.0)`."""
        return f"{self.agency}:{self.id}({self.version})"

    def position(self, dimension: str) -> int:
        """Return where a dimension stands in the key.

        Raises:
            KeyError: when there is no such dimension.
        """
        for position, component in enumerate(self.dimensions):
            if component.id == dimension:
                return position
        raise KeyError(dimension)

    def field_of(self, dimension: str) -> str:
        """Return the record field behind a dimension."""
        return self.dimensions[self.position(dimension)].field


def flow_dataflow(shape: TableShape) -> Dataflow:
    """Return the dataflow of the flow contract's major version, `GATEWAY:FLOW(1.0.0)` for the first."""
    key = [name for name in shape.natural_key if name != shape.period_column]
    attributes = [name for name in _ATTRIBUTES if name in shape.column_names and name not in key]
    return Dataflow(
        agency=AGENCY,
        id=concept(shape.product.replace("-", "_")),
        version=f"{shape.major}.0.0",
        shape=shape,
        dimensions=(Component("FREQ", ""), *(Component(concept(name), name) for name in key)),
        attributes=tuple(Component(concept(name), name) for name in attributes),
    )


def concept(field: str) -> str:
    """Return the SDMX concept id of a record field."""
    return _CONCEPTS.get(field, field.upper())


@lru_cache(maxsize=CODES_MAX)
def sdmx_id(code: Scalar) -> str:
    """Return a code as an SDMX id: `USA.DHS.CBP` is `USA_DHS_CBP`; an absent value is `_Z`, not applicable."""
    return "_Z" if code is None else _NOT_IN_AN_ID.sub("_", str(code))


def key_of(flow: Dataflow, record: dict[str, Scalar]) -> Sequence[str]:
    """Return the series key of a record as SDMX ids, in the order of the dimensions."""
    return [sdmx_id(record[part.field]) if part.field else MONTHLY for part in flow.dimensions]
