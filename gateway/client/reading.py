# SPDX-License-Identifier: Apache-2.0
"""The pull of statistics; this file is about asking the SDMX data path and writing SDMX-CSV to a file."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import quote

from gateway.client.answers import refused
from gateway.client.channel import Channel

DATAFLOW: Final = "GATEWAY/FLOW/1.0.0"
CSV_TYPE: Final = "application/vnd.sdmx.data+csv;version=2.0.0"


def data_path(*, dataflow: str, key: str, filters: Mapping[str, str], start: str, end: str) -> str:
    """Return path and query of an SDMX REST 2 data request; in a component filter `+` means AND, never a space."""
    parameters = list(filters.items())
    bounds = [f"{sign}:{period}" for sign, period in (("ge", start), ("le", end)) if period]
    if bounds:
        parameters.append(("TIME_PERIOD", "+".join(bounds)))
    query = "&".join(f"c%5B{quote(name, safe='')}%5D={quote(value, safe=':+,')}" for name, value in parameters)
    path = f"/sdmx/v2/data/dataflow/{quote(dataflow or DATAFLOW, safe='/+~*.')}/{quote(key, safe='*.+')}"
    return f"{path}?{query}" if query else path


def save_csv(channel: Channel, output: Path, *, path: str, purpose: str) -> int:
    """Write the answer to a data request beside the output, count its observations, and rename it when whole.

    Raises:
        Refused: when the gateway says no.
        CannotReach: when the answer broke off.
    """
    headers = {"accept": CSV_TYPE, **({"gateway-purpose": purpose} if purpose else {})}
    partial = output.with_name(output.name + ".partial")
    with channel.stream("GET", path, headers=headers) as (head, chunks):
        # SDMX says "no results" with 404, too; a gateway's refusal is a problem document.
        if head.status == HTTPStatus.NOT_FOUND and "problem" not in (head.header("content-type") or ""):
            return 0
        if head.status != HTTPStatus.OK:
            raise refused(replace(head, body=b"".join(chunks)), signed=False)
        with partial.open("wb") as out:
            out.writelines(chunks)
    with partial.open(encoding="utf-8", newline="") as file:
        rows = max(0, sum(1 for _ in csv.reader(file)) - 1)
    partial.replace(output)
    return rows
