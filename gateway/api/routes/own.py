# SPDX-License-Identifier: Apache-2.0
"""What an agency sent itself, summed; this file is about the route of exact own totals."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from gateway.aggregates.own import OwnTotals, TotalsRequest, read_totals
from gateway.api.desk import Desk
from gateway.api.visit import Visit, partner_of, visit_of


def own_routes(desk: Desk) -> APIRouter:
    """Return the route of own totals."""
    router = APIRouter(tags=["statistics"])

    @router.get("/v1/own/{product}", summary="Exact totals of the caller's own records, per unit and definition")
    async def totals(
        request: Request,
        product: str,
        first: Annotated[str, Query(alias="from", max_length=7)] = "",
        last: Annotated[str, Query(alias="to", max_length=7)] = "",
        by: Annotated[str, Query(max_length=200)] = "",
    ) -> Response:
        visit = visit_of(request.scope)
        dimensions = tuple(name for name in by.split(",") if name)
        asked = TotalsRequest(visit.request_id, visit.source, visit.place, product, first, last, dimensions)
        found = await desk.read(_totals, desk, visit, asked)
        rows = [{**one.dimensions, "records": one.records, **one.sums} for one in found.totals]
        document = {"product": product, "from": first, "to": last, "by": list(dimensions), "totals": rows}
        return JSONResponse(document, headers={"audit-event": found.event_id, "cache-control": "no-store"})

    return router


def _totals(desk: Desk, visit: Visit, asked: TotalsRequest) -> OwnTotals:
    return read_totals(desk.aggregates, partner_of(visit, desk), asked)
