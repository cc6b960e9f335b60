# SPDX-License-Identifier: Apache-2.0
"""A partner pulls flow cells; this file is about the pull, from the question to an answer that is already logged."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from gateway.aggregates import sdmx_csv
from gateway.aggregates.dataflow import key_of
from gateway.aggregates.desk import AggregatesDesk, DataRequest, Pulled
from gateway.aggregates.evidence import Reading, record_read, refusals_recorded
from gateway.aggregates.protect import Hidden, Terms, is_asylum, shown
from gateway.aggregates.purpose import purpose_of
from gateway.aggregates.query import FlowQuery, parse_query
from gateway.errors import DeniedByPolicy, NotAPublishedTable, NotFound, RequestMalformed
from gateway.policy.requests import read_flow
from gateway.storage.engine import Tx
from gateway.storage.statistics import flow_cells
from gateway.trip import Partner, Permit

CELLS_MAX = 1_000_000
SPOOL_BYTES = 8 << 20
_ANY_TYPE = frozenset({"", "*/*", "text/*", sdmx_csv.PLAIN_TYPE})


def pull(desk: AggregatesDesk, reader: Partner, request: DataRequest) -> Pulled:
    """Answer a data request, or refuse it; both leave an audit event before anything is sent.

    (1) what is asked; (2) for which purpose; (3) which owners permit it; (4) their cells, under their terms and
    the protection rules, into a spool; (5) the event. A crash before (5) has told the reader nothing; after it the
    log says that the cells were read even when the answer never arrived.

    Raises:
        Refusal: with its audit event, when a gate says no or there is nothing to show.
    """
    now = desk.clock.now()
    reading = Reading(desk, reader, request)
    with refusals_recorded(reading):
        media_type = _negotiated(request.accept)
        query = reading.query = parse_query(  # (1)
            desk.flow,
            agency=request.agency,
            dataflow=request.dataflow,
            version=request.version,
            key=request.key,
            query=request.query,
        )
        policies = desk.policy.policies
        asked = query.named(desk.flow, "REF_AREA")
        reading.named_owners = asked & policies.parties
        _refuse_protected(desk, reader, query)
        reading.purpose = purpose_of(policies, reader, asked, desk.flow.shape.product, request.purpose)  # (2)
        reading.permits = _permits(desk, reader, asked, reading.purpose, at=now)  # (3)
        body = _spool(reading, query, at=now)  # (4)
        event_id = record_read(reading)  # (5)
    size = body.tell()
    body.seek(0)
    return Pulled(media_type, body, size, reading.cell_count, reading.suppressed_count, event_id)


def _negotiated(accept: str) -> str:
    """Return the media type of the answer; there is one form, under two names."""
    offered = [part.partition(";q=")[0] for part in accept.replace(" ", "").lower().split(",")]
    for kind in offered:
        if kind in {sdmx_csv.MEDIA_TYPE, sdmx_csv.MEDIA_TYPE.split(";")[0]}:
            return sdmx_csv.MEDIA_TYPE
        if kind in _ANY_TYPE or kind.startswith(f"{sdmx_csv.PLAIN_TYPE};"):
            return f"{sdmx_csv.PLAIN_TYPE}; charset=utf-8" if "csv" in kind else sdmx_csv.MEDIA_TYPE
    raise RequestMalformed(what=f"the answer is offered as {sdmx_csv.MEDIA_TYPE} or {sdmx_csv.PLAIN_TYPE}")


def _refuse_protected(desk: AggregatesDesk, reader: Partner, query: FlowQuery) -> None:
    """Refuse outright what could only be answered with cells that must not be shown."""
    types = query.named(desk.flow, "FLOW_TYPE")
    if not types or not all(is_asylum(kind) for kind in types):
        return
    if query.named(desk.flow, "CITIZENSHIP") == {reader.country}:
        decision = {"policies": ["protection#asylum-of-nationals"], "policy_set": desk.policy.policies.digest}
        raise DeniedByPolicy(extra={"decision": decision})
    if (schemes := query.named(desk.flow, "PLACE_SCHEME")) and "_T" not in schemes:
        raise NotAPublishedTable(what="asylum below the country")


def _permits(
    desk: AggregatesDesk, reader: Partner, asked: frozenset[str], purpose: str, *, at: datetime
) -> dict[str, Permit]:
    """Ask once for each owner: who is named must permit it, of the others whoever does."""
    permits: dict[str, Permit] = {}
    denied: DeniedByPolicy | None = None
    shape = desk.flow.shape
    for owner in sorted(asked or desk.policy.policies.parties):
        question = read_flow(reader, owner=owner, purpose=purpose, at=at, product=shape.product, major=shape.major)
        try:
            permits[owner] = desk.policy.decide(question)
        except DeniedByPolicy as refusal:
            denied = refusal
    if denied and (asked or not permits):
        raise denied
    return permits


def _spool(reading: Reading, query: FlowQuery, *, at: datetime) -> BinaryIO:
    terms = {owner: _terms(permit, reading.reader, at) for owner, permit in reading.permits.items()}
    with ExitStack() as spool:
        # Written whole before the first byte leaves, because the event says how many cells were read.
        body = cast("BinaryIO", spool.enter_context(SpooledTemporaryFile(max_size=SPOOL_BYTES)))
        reading.desk.storage.read(lambda tx: _write_rows(tx, reading, query, terms, body))
        if not reading.cell_count:
            raise NotFound
        spool.pop_all()
        return body


def _terms(permit: Permit, reader: Partner, at: datetime) -> Terms:
    obligations = permit.obligations
    dimensions = cast("tuple[str, ...]", obligations["dimensions"])
    return Terms(
        reader=reader.country,
        floor=int(str(obligations["floor"])),
        dimensions=frozenset(dimensions),
        embargo_days=int(str(obligations["embargo_days"])),
        at=at,
    )


def _write_rows(tx: Tx, reading: Reading, query: FlowQuery, terms: Mapping[str, Terms], body: BinaryIO) -> None:
    flow = reading.desk.flow
    names, fields = flow.shape.column_names, tuple(part.field for part in flow.dimensions if part.field)
    body.write(sdmx_csv.header(flow))
    found = flow_cells(
        tx, flow.shape, countries=frozenset(terms), first_month=query.first_month, last_month=query.last_month
    )
    for cell in found:
        record = dict(zip(names, cell.row, strict=True))
        key = key_of(flow, record)
        if not query.selects(key):
            continue
        try:
            seen = shown(record, fields, cell.accepted_at, terms[str(record["reporting_country"])])
        except Hidden:
            continue
        attributes = [record[part.field] for part in flow.attributes]
        body.write(sdmx_csv.row(flow, key, [record[flow.shape.period_column], *seen, *attributes, cell.revision]))
        reading.cell_count += 1
        reading.suppressed_count += seen.value is None
        if reading.cell_count > CELLS_MAX:
            raise RequestMalformed(what=f"the answer has more than {CELLS_MAX} cells; narrow the period or the key")
