# SPDX-License-Identifier: Apache-2.0
"""Writing an answer; this file is about one message from its first byte to its last, and about its entity tag.

The tag is of the observations and their form: the same numbers, asked again, have the same tag, whenever prepared.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import BinaryIO

from gateway.aggregates.formats.forms import CSV_1, CSV_2, JSON_DATA, Form
from gateway.aggregates.formats.json_data import json_head, json_rows
from gateway.aggregates.formats.xml_data import xml_data, xml_rows
from gateway.aggregates.observations import MEASURE, TIME, DataQuery, Observation, Structure
from gateway.aggregates.query import DATA_ONLY, FLAT, FULL, SERIES_ONLY
from gateway.errors import RequestMalformed

CHUNK_LINES = 512
# Beside the standard's columns, when each version is asked for; readers skip what they do not know.
_VALIDITY = ("VALID_FROM", "VALID_TO")


@dataclass(slots=True)
class Message:
    """One answer to one query; `write` may be called once, and then there is a tag."""

    structure: Structure
    query: DataQuery
    form: Form
    prepared: str
    message_id: str
    language: str
    _rows: hashlib._Hash = field(default_factory=hashlib.sha256)
    _whole: hashlib._Hash = field(default_factory=hashlib.sha256)

    def __post_init__(self) -> None:
        if self.query.include_history and self.form is not CSV_2:
            raise RequestMalformed(what=f"history comes as {CSV_2.media_type} only")
        self._rows.update(f"{self.structure.reference} {self.form.media_type} {self.language}".encode())

    @property
    def tag(self) -> str:
        """Return the entity tag (RFC 9110, section 8.8.3); weak, because the head names when it was prepared."""
        return f'W/"{self._rows.hexdigest()[:32]}"'

    @property
    def digest(self) -> bytes:
        """Return the SHA-256 of all that was written."""
        return self._whole.digest()

    def write(self, found: Iterator[Observation], body: BinaryIO) -> None:
        """Write head, observations and tail."""
        head, rows, tail = self._parts(_detailed(self.query, found))
        self._put(head.encode(), body)
        for chunk in _chunks(rows):
            self._rows.update(chunk)
            self._put(chunk, body)
        self._put(tail.encode(), body)

    def _put(self, chunk: bytes, body: BinaryIO) -> None:
        self._whole.update(chunk)
        body.write(chunk)

    def _parts(self, found: Iterator[Observation]) -> tuple[str, Iterator[str], str]:
        structure = self.structure
        # Keys alone are series, whatever stands at the observations that are left out.
        flat = self.query.at_observation == FLAT and self.query.detail != SERIES_ONLY
        about = {"prepared": self.prepared, "message_id": self.message_id}
        if self.form in {CSV_1, CSV_2}:
            return "", _csv(structure, self.query, self.form, found), ""
        if self.form is JSON_DATA:
            head = json_head(structure, **about, language=self.language)
            return head, json_rows(structure, found, flat=flat, language=self.language), ""
        head, tail = xml_data(structure, self.form, **about, flat=flat)
        return head, xml_rows(structure, self.form, found, flat=flat), tail


def _csv(structure: Structure, query: DataQuery, form: Form, found: Iterator[Observation]) -> Iterator[str]:
    """Yield rows of SDMX-CSV: in 2.0 each says what it belongs to and what it does, in 1.0 the former only."""
    old = form is CSV_1
    validity = _VALIDITY if query.include_history else ()
    first = ("DATAFLOW",) if old else ("STRUCTURE", "STRUCTURE_ID", "ACTION")
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow((*first, *structure.key, TIME, MEASURE, *structure.names, *validity))
    start: tuple[str, ...] = (structure.reference,) if old else ("dataflow", structure.reference)
    for count, one in enumerate(found, 1):
        begin = start if old else (*start, one.action)
        end = (one.valid_from, one.valid_to) if validity else ()
        rows.writerow((*begin, *one.key, one.period, one.value, *one.attributes, *end))
        if count % CHUNK_LINES == 0:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


def _detailed(query: DataQuery, found: Iterator[Observation]) -> Iterator[Observation]:
    """Leave out what was not asked for: attributes, or all but the series keys."""
    if query.detail == FULL:
        yield from found
    elif query.detail == DATA_ONLY:
        for one in found:
            yield one._replace(attributes=(None,) * len(one.attributes))
    else:
        for key, series in groupby(found, key=lambda one: one.key):
            first = next(series)
            yield Observation(key, "", None, (None,) * len(first.attributes))


def _chunks(lines: Iterator[str]) -> Iterator[bytes]:
    """Gather lines, so that not each is a write of its own."""
    kept: list[str] = []
    for line in lines:
        kept.append(line)
        if len(kept) == CHUNK_LINES:
            yield "".join(kept).encode()
            kept.clear()
    yield "".join(kept).encode()
