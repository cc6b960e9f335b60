# SPDX-License-Identifier: Apache-2.0
"""Observations as rows of SDMX-CSV 2.0; this file is about that one form, written while the cells are read."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import BinaryIO

from gateway.aggregates.observations import MEASURE, TIME, DataQuery, Observation, Structure

CSV_TYPE = "application/vnd.sdmx.data+csv;version=2.0.0"
# Beside the standard's columns, when each version is asked for; readers skip what they do not know.
_VALIDITY = ("VALID_FROM", "VALID_TO")
ROWS = 512


def csv_writer(structure: Structure, query: DataQuery) -> Callable[[Iterator[Observation], BinaryIO], None]:
    """Return what writes the answer to a query: a row of names, then one for each observation."""
    validity = _VALIDITY if query.include_history else ()
    head = ("STRUCTURE", "STRUCTURE_ID", "ACTION", *structure.key, TIME, MEASURE, *structure.names, *validity)

    def write(found: Iterator[Observation], body: BinaryIO) -> None:
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\r\n")
        rows.writerow(head)
        for count, one in enumerate(found, 1):
            ends = (one.valid_from, one.valid_to) if validity else ()
            rows.writerow((
                *("dataflow", structure.reference, one.action, *one.key, one.period, one.value),
                *(*one.attributes, *ends),
            ))  # fmt: skip
            if count % ROWS == 0:
                body.write(text.getvalue().encode())
                text.seek(0)
                text.truncate()
        body.write(text.getvalue().encode())

    return write
