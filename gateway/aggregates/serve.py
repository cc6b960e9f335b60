# SPDX-License-Identifier: Apache-2.0
"""A partner pulls statistics; this file is about the pull, from the question to an answer that is already logged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from itertools import groupby
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from gateway.aggregates.cells import Seen, flow_observations
from gateway.aggregates.desk import AggregatesDesk, DataRequest, Pulled, Question
from gateway.aggregates.evidence import Reading, record_read, refusals_recorded
from gateway.aggregates.mirror import FLOW_MIRROR, mirror_observations
from gateway.aggregates.observations import DataQuery, Observation
from gateway.aggregates.protect import Terms, is_asylum
from gateway.aggregates.vintages import publish_accepted
from gateway.errors import (
    DeniedByPolicy,
    NotAPublishedTable,
    NotFound,
    PurposeMissing,
    RequestMalformed,
    UnitsDiffer,
)
from gateway.policy.agreements import FLOOR_MIN, PURPOSES, clauses_for
from gateway.policy.requests import read_flow, read_own
from gateway.storage.engine import Tx
from gateway.storage.publication import unpublished
from gateway.trip import Partner, Permit

CELLS_MAX = 1_000_000
SPOOL_BYTES = 8 << 20
# The floor forbids it by name; that it was tried is worth telling.
_NEVER = "IMMIGRATION_ENFORCEMENT_INDIVIDUAL"
_OTHER = "OTHER"
# Totals over these would add what must not be added: other units, other meanings; other owners, other countries.
_UNITS = frozenset({"UNIT_MEASURE", "DEFINITION"})
_NEVER_TOTALLED = frozenset({"PROVIDER", "REF_AREA", "FLOW_TYPE", "DIRECTION"})
_TOTAL = "_T"


def pull(desk: AggregatesDesk, reader: Partner, request: DataRequest) -> Pulled:
    """Answer a data request, or refuse it; both leave an audit event before anything is sent.

    (1) what is asked; (2) for which purpose; (3) which owners permit it, how often; (4) the owners' cells, under
    their terms, into a spool, once (5) whatever was accepted is published; (6) the events. A crash before (6) has
    told the reader nothing; after it the log says that the cells were read even when the answer never arrived.

    Raises:
        Refusal: with its audit events, when a gate says no or there is nothing to show.
    """
    now = desk.clock.now()
    reading = Reading(desk, reader, request)
    with refusals_recorded(reading):
        question = reading.question = request.understand(desk)  # (1)
        _refuse_sums(question)
        asked = _owners(question)
        reading.named_owners = asked & desk.policy.policies.parties
        asylum_of = _asylum_of(desk, question)
        reading.purpose = _purpose(reading, asked)  # (2)
        _ask_owners(reading, asked, asylum_of, at=now)  # (3)
        body = _spool(reading, question, at=now, published=not desk.publishes)  # (4)
        if body is None:
            publish_accepted(desk)  # (5)
            body = _spool(reading, question, at=now, published=True)
            assert body is not None, "what is published is read"
        with ExitStack() as unsent:
            unsent.callback(body.close)
            event_id = record_read(reading)  # (6)
            unsent.pop_all()
    size = body.tell()
    body.seek(0)
    cells, suppressed = reading.cells.total(), reading.suppressed.total()
    allowances = tuple(reading.allowances)
    return Pulled(question.media_type, body, size, cells, suppressed, event_id, reading.newest, allowances)


def _owners(question: Question) -> frozenset[str]:
    """Return the countries whose numbers are asked for by name; none means whoever permits it."""
    named = question.query.named(question.structure, "REF_AREA")
    if question.structure.id == FLOW_MIRROR:
        return named | question.query.named(question.structure, "COUNTERPART_AREA")
    return named


def _refuse_sums(question: Question) -> None:
    """Refuse totals that would be sums of the gateway's own: every number served is a cell that an agency sent."""
    structure, query = question.structure, question.query
    for dimension in (*structure.key, *_UNITS):
        if dimension in structure.key:
            totalled = _TOTAL in query.named(structure, dimension)
        else:
            totalled = any(c.component == dimension and _TOTAL in c.values for c in query.conditions)
        if totalled and dimension in _UNITS:
            raise UnitsDiffer
        if totalled and dimension in _NEVER_TOTALLED:
            raise NotAPublishedTable(what=f"a total over {dimension}")


def _asylum_of(desk: AggregatesDesk, question: Question) -> frozenset[str]:
    """Return the party of whose nationals asylum is all that is asked for, which its own partners may not ask.

    Raises:
        NotAPublishedTable: when asylum is asked for below the country.
    """
    structure, query = question.structure, question.query
    if structure.id == FLOW_MIRROR:
        return frozenset()
    types = query.named(structure, "FLOW_TYPE")
    if not types or not all(is_asylum(kind) for kind in types):
        return frozenset()
    if (schemes := query.named(structure, "PLACE_SCHEME")) and "_T" not in schemes:
        raise NotAPublishedTable(what="asylum below the country")
    citizens = query.named(structure, "CITIZENSHIP")
    return citizens & desk.policy.policies.parties if len(citizens) == 1 else frozenset()


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


def _ask_owners(reading: Reading, asked: frozenset[str], asylum_of: frozenset[str], *, at: datetime) -> None:
    """Ask once for each owner: who is named must permit it, of the others whoever does."""
    desk, reader, shape = reading.desk, reading.reader, reading.desk.flow.shape
    mirrored = reading.question is not None and reading.question.structure.id == FLOW_MIRROR
    for owner in sorted(asked or desk.policy.policies.parties):
        # In a mirror an agency finds its own numbers opposite another's; that takes no agreement.
        own = mirrored and owner == reader.country
        question = (
            read_own(reader, product=shape.product)
            if own
            else read_flow(
                reader,
                owner=owner,
                purpose=reading.purpose,
                at=at,
                product=shape.product,
                major=shape.major,
                asylum_of=asylum_of,
            )
        )
        try:
            permit = desk.policy.decide(question)
        except DeniedByPolicy as refusal:
            reading.denials[owner] = refusal
        else:
            reading.permits[owner] = permit
    if reading.denials and (asked or not reading.permits):
        raise list(reading.denials.values())[-1]
    for owner in reading.permits:
        desk.quota.look(reader.id, owner, at=at)


def _spool(reading: Reading, question: Question, *, at: datetime, published: bool) -> BinaryIO | None:
    """Return the answer, or None when something that was accepted is not published yet: one look at the database."""
    flow = reading.desk.flow
    with ExitStack() as spool:
        # Written whole before the first byte leaves, because the events say how many cells were read.
        body = cast("BinaryIO", spool.enter_context(SpooledTemporaryFile(max_size=SPOOL_BYTES)))

        def work(tx: Tx) -> bool:
            if not published and unpublished(tx, flow.shape):
                return False
            question.write(_counted(reading, _limited(question.query, _seen(tx, reading, question, at))), body)
            return True

        if not reading.desk.storage.read(work):
            return None
        if not reading.cells:
            raise NotFound
        spool.pop_all()
        return body


def _terms(permit: Permit, reader: Partner, at: datetime, fields: tuple[str, ...]) -> Terms:
    obligations: Mapping[str, Any] = permit.obligations
    return Terms(
        reader=reader.country,
        floor=obligations.get("floor", FLOOR_MIN),
        dimensions=frozenset(obligations.get("dimensions", fields)),
        embargo_days=obligations.get("embargo_days", 0),
        at=at,
    )


def _seen(tx: Tx, reading: Reading, question: Question, at: datetime) -> Iterator[Seen]:
    flow = reading.desk.flow
    terms = {owner: _terms(permit, reading.reader, at, flow.fields) for owner, permit in reading.permits.items()}
    if question.structure.id == FLOW_MIRROR:
        return mirror_observations(tx, flow, question, terms, at=at, own=reading.reader)
    return flow_observations(tx, flow, question.query, terms, at)


def _limited(query: DataQuery, found: Iterator[Seen]) -> Iterator[Seen]:
    """Leave the first and the last observations of each series, where a request wants no more."""
    if not query.first_n and not query.last_n:
        yield from found
        return
    for _, series in groupby(found, key=lambda seen: seen.observation.key):
        members = list(series)
        yield from members[: query.first_n]
        rest = members[query.first_n :]
        yield from rest[max(0, len(rest) - query.last_n) :]


def _counted(reading: Reading, found: Iterator[Seen]) -> Iterator[Observation]:
    cells: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    newest = ""
    for count, (owner, accepted_at, observation) in enumerate(found, 1):
        if count > CELLS_MAX:
            raise RequestMalformed(what=f"the answer has more than {CELLS_MAX} cells; narrow the period or the key")
        counts = cells[owner]
        counts[0] += 1
        counts[1] += observation.value is None
        newest = max(newest, accepted_at)
        yield observation
    reading.newest = newest
    for owners, (shown, suppressed) in cells.items():
        # A number of a mirror was read of both its countries.
        for owner in owners.split("+"):
            reading.cells[owner] += shown
            reading.suppressed[owner] += suppressed
