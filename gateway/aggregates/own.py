# SPDX-License-Identifier: Apache-2.0
"""A partner reads what it sent itself; this file is about exact own totals, permitted and logged like every read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.aggregates.desk import AggregatesDesk
from gateway.auditlog.event_kinds import TotalsRead
from gateway.auditlog.events import query_digest, record_event
from gateway.errors import NotFound, RequestMalformed
from gateway.policy.requests import read_own
from gateway.storage.engine import Tx
from gateway.storage.statistics import OwnTotal, own_totals
from gateway.trip import Partner

BY_MAX = 3
_MONTH = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class TotalsRequest:
    """What is asked: a product, months with both ends included, and dimensions; empty means all."""

    request_id: str
    source: str
    path: str
    product: str
    first_month: str
    last_month: str
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OwnTotals:
    """Totals whose reading is already in the audit log."""

    totals: tuple[OwnTotal, ...]
    event_id: str


def read_totals(desk: AggregatesDesk, partner: Partner, request: TotalsRequest) -> OwnTotals:
    """Return a partner's exact totals of its own live records, after the reading's audit event is committed.

    Raises:
        Refusal: when the request is malformed, the product unknown, or no policy permits it.
    """
    for month in (request.first_month, request.last_month):
        if month and not _MONTH.fullmatch(month):
            raise RequestMalformed(what="a month is written 2026-10")
    if len(request.by) > BY_MAX:
        raise RequestMalformed(what=f"at most {BY_MAX} dimensions")
    shapes = [shape for shape in desk.contracts.shapes if shape.product == request.product]
    if not shapes:
        raise NotFound
    permit = desk.policy.decide(read_own(partner, product=request.product))
    query = {"from": request.first_month, "to": request.last_month, "by": list(request.by)}

    def work(tx: Tx) -> OwnTotals:
        totals = own_totals(
            tx,
            max(shapes, key=lambda shape: shape.major),
            partner_id=partner.id,
            by=request.by,
            first_month=request.first_month or None,
            last_month=request.last_month or None,
        )
        event = TotalsRead(
            path=request.path,
            source=request.source,
            product=request.product,
            query_digest=query_digest(query),
            policy_set=permit.policy_set_digest,
            policies=permit.policies,
            row_count=len(totals),
        )
        return OwnTotals(
            tuple(totals),
            record_event(
                tx,
                event,
                at=desk.clock.now(),
                partner_id=partner.id,
                audience=frozenset({partner.country}),
                actor=partner.id,
                request_id=request.request_id,
            ),
        )

    return desk.storage.write(work)
