# SPDX-License-Identifier: Apache-2.0
"""The pull of statistics; this file is about asking the SDMX data path and writing SDMX-CSV to a file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from gateway.client.answers import refused
from gateway.client.channel import ANSWER_BYTES_MAX, Answer, Channel
from gateway.client.failures import AnswerNotTrusted

DATAFLOW: Final = "GATEWAY/FLOW/1.0.0"
CSV_TYPE: Final = "application/vnd.sdmx.data+csv;version=2.0.0"
_PROBLEM_BYTES_MAX: Final = 1024 * 1024


def data_path(*, dataflow: str, key: str, filters: Mapping[str, str], start: str = "", end: str = "") -> str:
    """Return path and query of an SDMX REST 2 data request; in a component filter `+` means AND, never a space."""
    parameters = [(name, value) for name, value in filters.items()]
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
    with channel.stream("GET", path, headers=headers) as (status, fields, chunks):
        if status == 404:  # noqa: PLR2004 - SDMX says "no results" so; a gateway's refusal is a problem document
            answer = _whole(status, fields, chunks)
            if "problem" not in (answer.header("content-type") or ""):
                return 0
            raise refused(answer, signed=False)
        if status != 200:  # noqa: PLR2004 - HTTP OK
            raise refused(_whole(status, fields, chunks), signed=False)
        _write(partial, chunks)
    with partial.open(encoding="utf-8", newline="") as file:
        rows = max(0, sum(1 for _ in csv.reader(file)) - 1)
    partial.replace(output)
    return rows


def _write(path: Path, chunks: Iterator[bytes]) -> None:
    size = 0
    with path.open("wb") as out:
        for chunk in chunks:
            size += len(chunk)
            if size > ANSWER_BYTES_MAX:
                raise AnswerNotTrusted(f"the answer is larger than {ANSWER_BYTES_MAX} bytes")
            out.write(chunk)


def _whole(status: int, fields: tuple[tuple[str, str], ...], chunks: Iterator[bytes]) -> Answer:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > _PROBLEM_BYTES_MAX:
            break
    return Answer(status, fields, bytes(body))
