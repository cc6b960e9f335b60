# SPDX-License-Identifier: Apache-2.0
"""The flow cells as SDMX sees them; this file is about the dataflow: its dimensions, ids, and rows of SDMX-CSV 2.0.

A dimension is a field of the contract's natural key, in the contract's order, behind a constant FREQ. SDMX ids
know letters, digits, `_`, `@`, `$` and `-` only, so every other character of a code becomes `_`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from gateway.trip import Scalar, TableShape

AGENCY = "GATEWAY"
MONTHLY = "M"
TIME = "TIME_PERIOD"
CODES_MAX = 1 << 16
CSV_TYPE = "application/vnd.sdmx.data+csv;version=2.0.0"
# An information message: it says what is, and asks nobody to append or delete.
ACTION = "I"
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
class Dataflow:
    """One dataflow over one table; `fields` are the record fields in the order of a series key, behind FREQ."""

    id: str
    version: str
    shape: TableShape
    fields: tuple[str, ...]
    attributes: tuple[str, ...]

    @property
    def reference(self) -> str:
        """Return agency, id and version as SDMX-CSV writes them, `GATEWAY:FLOW(1.0.0)`."""
        return f"{AGENCY}:{self.id}({self.version})"

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Return the dimensions of a series key, which stand before the time."""
        return ("FREQ", *map(_concept, self.fields))


def flow_dataflow(shape: TableShape) -> Dataflow:
    """Return the dataflow of the flow contract's major version, `GATEWAY:FLOW(1.0.0)` for the first."""
    key = tuple(name for name in shape.natural_key if name != shape.period_column)
    return Dataflow(
        id=_concept(shape.product.replace("-", "_")),
        version=f"{shape.major}.0.0",
        shape=shape,
        fields=key,
        attributes=tuple(name for name in _ATTRIBUTES if name in shape.column_names and name not in key),
    )


@lru_cache(maxsize=CODES_MAX)
def sdmx_id(code: Scalar) -> str:
    """Return a code as an SDMX id: `USA.DHS.CBP` is `USA_DHS_CBP`; an absent value is `_Z`, not applicable."""
    return "_Z" if code is None else _NOT_IN_AN_ID.sub("_", str(code))


def key_of(flow: Dataflow, record: Mapping[str, Scalar]) -> Sequence[str]:
    """Return the series key of a record as SDMX ids, in the order of the dimensions."""
    return [MONTHLY, *(sdmx_id(record[name]) for name in flow.fields)]


def csv_header(flow: Dataflow) -> bytes:
    """Return the first row: what each column is."""
    own = map(_concept, flow.attributes)
    return _csv_line([
        "STRUCTURE", "STRUCTURE_ID", "ACTION", *flow.dimensions, TIME,
        "OBS_VALUE", "OBS_STATUS", "CONF_STATUS", *own, "REVISION",
    ])  # fmt: skip


def csv_row(flow: Dataflow, key: Sequence[str], rest: Iterable[Scalar]) -> bytes:
    """Return one observation: series key, then period, value, statuses and attributes; a missing value is empty."""
    return _csv_line(["dataflow", flow.reference, ACTION, *key, *("" if item is None else item for item in rest)])


def _csv_line(cells: Iterable[Scalar]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().encode()


def _concept(field: str) -> str:
    return _CONCEPTS.get(field, field.upper())
