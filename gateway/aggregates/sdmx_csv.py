# SPDX-License-Identifier: Apache-2.0
"""SDMX-CSV 2.0; this file is about writing observations as rows that SDMX tools and spreadsheets read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from gateway.aggregates.dataflow import TIME, Dataflow
from gateway.trip import Scalar

MEDIA_TYPE: Final = "application/vnd.sdmx.data+csv;version=2.0.0"
PLAIN_TYPE: Final = "text/csv"
# An information message: it says what is, and asks nobody to append or delete.
ACTION: Final = "I"


def header(flow: Dataflow) -> bytes:
    """Return the first row: what each column is."""
    own = [component.id for component in flow.attributes]
    return _line([
        "STRUCTURE", "STRUCTURE_ID", "ACTION", *(component.id for component in flow.dimensions), TIME,
        "OBS_VALUE", "OBS_STATUS", "CONF_STATUS", *own, "REVISION",
    ])  # fmt: skip


def row(flow: Dataflow, key: Sequence[str], rest: Iterable[Scalar]) -> bytes:
    """Return one observation: series key, then period, value, statuses and attributes; a missing value is empty."""
    return _line(["dataflow", flow.reference, ACTION, *key, *("" if item is None else item for item in rest)])


def _line(cells: Iterable[Scalar]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().encode()
