# SPDX-License-Identifier: Apache-2.0
"""A partner pulls flow cells; this file is about the pull, from the question to an answer that is already logged."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from gateway.aggregates.dataflow import CSV_TYPE, csv_header, csv_row, key_of
from gateway.aggregates.desk import AggregatesDesk, DataRequest, Pulled
from gateway.aggregates.evidence import Reading, record_read, refusals_recorded
from gateway.aggregates.protect import Hidden, Terms, is_asylum, shown
from gateway.aggregates.query import FlowQuery, parse_query
from gateway.errors import DeniedByPolicy, NotAPublishedTable, NotFound, PurposeMissing, RequestMalformed
from gateway.policy.agreements import PURPOSES, clauses_for
from gateway.policy.requests import read_flow
from gateway.storage.engine import Tx
from gateway.storage.statistics import flow_cells
from gateway.trip import Partner, Permit

CELLS_MAX = 1_000_000
SPOOL_BYTES = 8 << 20
_PLAIN_TYPE = "text/csv"
_ANY_TYPE = frozenset({"", "*/*", "text/*", _PLAIN_TYPE})
# The floor forbids it by name; that it was tried is worth telling.
_NEVER = "IMMIGRATION_ENFORCEMENT_INDIVIDUAL"
_OTHER = "OTHER"


def pull(desk: AggregatesDesk, reader: Partner, request: DataRequest) -> Pulled:
    """Answer a data request, or refuse it; both leave an audit event before anything is sent.

    (1) what is asked; (2) for which purpose; (3) which owners permit it; (4) their cells, under their terms and
    the protection rules, into a spool; (5) the events. A crash before (5) has told the reader nothing; after it the
    log says that the cells were read even when the answer never arrived.

    Raises:
        Refusal: with its audit events, when a gate says no or there is nothing to show.
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
        asked = query.named(desk.flow, "REF_AREA")
        reading.named_owners = asked & desk.policy.policies.parties
        _refuse_protected(desk, reader, query)
        reading.purpose = _purpose(reading, asked)  # (2)
        _ask_owners(reading, asked, at=now)  # (3)
        body = _spool(reading, query, at=now)  # (4)
        event_id = record_read(reading)  # (5)
    size = body.tell()
    body.seek(0)
    return Pulled(media_type, body, size, reading.cells.total(), reading.suppressed.total(), event_id)


def _negotiated(accept: str) -> str:
    """Return the media type of the answer; there is one form, under two names."""
    offered = [part.partition(";q=")[0] for part in accept.replace(" ", "").lower().split(",")]
    for kind in offered:
        if kind in {CSV_TYPE, CSV_TYPE.split(";")[0]}:
            return CSV_TYPE
        if kind in _ANY_TYPE or kind.startswith(f"{_PLAIN_TYPE};"):
            return f"{_PLAIN_TYPE}; charset=utf-8" if "csv" in kind else CSV_TYPE
    raise RequestMalformed(what=f"the answer is offered as {CSV_TYPE} or {_PLAIN_TYPE}")


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


def _purpose(reading: Reading, asked: frozenset[str]) -> str:
    """Return what a reading is for; whether an agreement has that purpose is the decision point's to say.

    A word that is no purpose at all becomes `OTHER`, because the audit log takes no free text.

    Raises:
        PurposeMissing: when none is named and the agreements with these owners have several.
    """
    if named := reading.request.purpose:
        return named if named in PURPOSES | {_NEVER} else _OTHER
    policies, product = reading.desk.policy.policies, reading.desk.flow.shape.product
    clauses = [
        clause
        for owner in asked or policies.parties
        for clause in clauses_for(policies.agreements, reader=reading.reader.country, owner=owner, product=product)
    ]
    purposes = sorted({purpose for clause in clauses for purpose in clause.purposes})
    if len(purposes) > 1:
        raise PurposeMissing(purposes=", ".join(purposes))
    # Without an agreement there is no purpose either, and nothing permits what follows.
    return purposes[0] if purposes else ""


def _ask_owners(reading: Reading, asked: frozenset[str], *, at: datetime) -> None:
    """Ask once for each owner: who is named must permit it, of the others whoever does."""
    desk, shape = reading.desk, reading.desk.flow.shape
    for owner in sorted(asked or desk.policy.policies.parties):
        question = read_flow(
            reading.reader, owner=owner, purpose=reading.purpose, at=at, product=shape.product, major=shape.major
        )
        try:
            reading.permits[owner] = desk.policy.decide(question)
        except DeniedByPolicy as refusal:
            reading.denials[owner] = refusal
    if reading.denials and (asked or not reading.permits):
        raise list(reading.denials.values())[-1]


def _spool(reading: Reading, query: FlowQuery, *, at: datetime) -> BinaryIO:
    with ExitStack() as spool:
        # Written whole before the first byte leaves, because the events say how many cells were read.
        body = cast("BinaryIO", spool.enter_context(SpooledTemporaryFile(max_size=SPOOL_BYTES)))
        reading.desk.storage.read(lambda tx: _write_rows(tx, reading, query, body, at=at))
        if not reading.cells:
            raise NotFound
        spool.pop_all()
        return body


def _terms(permit: Permit, reader: Partner, at: datetime) -> Terms:
    obligations: Mapping[str, Any] = permit.obligations
    return Terms(
        reader=reader.country,
        floor=obligations["floor"],
        dimensions=frozenset(obligations["dimensions"]),
        embargo_days=obligations["embargo_days"],
        at=at,
    )


def _write_rows(tx: Tx, reading: Reading, query: FlowQuery, body: BinaryIO, *, at: datetime) -> None:
    flow = reading.desk.flow
    shape, first, last = flow.shape, query.first_month, query.last_month
    terms = {owner: _terms(permit, reading.reader, at) for owner, permit in reading.permits.items()}
    body.write(csv_header(flow))
    for cell in flow_cells(tx, shape, countries=frozenset(terms), first_month=first, last_month=last):
        record = dict(zip(shape.column_names, cell.row, strict=True))
        key = key_of(flow, record)
        if not query.selects(key):
            continue
        owner = str(record["reporting_country"])
        try:
            seen = shown(record, flow.fields, cell.accepted_at, terms[owner])
        except Hidden:
            continue
        attributes = [record[name] for name in flow.attributes]
        body.write(csv_row(flow, key, [record[shape.period_column], *seen, *attributes, cell.revision]))
        reading.cells[owner] += 1
        reading.suppressed[owner] += seen.value is None
        if reading.cells.total() > CELLS_MAX:
            raise RequestMalformed(what=f"the answer has more than {CELLS_MAX} cells; narrow the period or the key")
