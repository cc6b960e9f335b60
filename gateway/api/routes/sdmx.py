# SPDX-License-Identifier: Apache-2.0
"""Pulling statistics; this file is about the SDMX REST 2 data path."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from gateway.aggregates.desk import DataRequest, Pulled
from gateway.aggregates.serve import pull
from gateway.api.desk import Desk
from gateway.api.visit import Visit, partner_of, visit_of

_DATA = "/sdmx/v2/data/dataflow/{agency}/{dataflow}/{version}"


def sdmx_routes(desk: Desk) -> APIRouter:
    """Return the routes of statistics."""
    router = APIRouter(tags=["statistics"])

    @router.get(_DATA, summary="All cells of a dataflow that the caller may see")
    async def everything(request: Request, agency: str, dataflow: str, version: str) -> Response:
        return await answer(request, agency, dataflow, version, "*")

    @router.get(_DATA + "/{key}", summary="The cells that a key selects (SDMX REST 2, component filters c[…])")
    async def cells(request: Request, agency: str, dataflow: str, version: str, key: str) -> Response:
        return await answer(request, agency, dataflow, version, key or "*")

    async def answer(request: Request, agency: str, dataflow: str, version: str, key: str) -> Response:
        visit = visit_of(request.scope)
        asked = DataRequest(
            request_id=visit.request_id,
            source=visit.source,
            # The pattern: a key may name several owners, whose officers each see the path.
            path=visit.place,
            agency=agency,
            dataflow=dataflow,
            version=version,
            key=key,
            # `+` is AND in SDMX: the query is parsed raw, never as a form.
            query=request.scope["query_string"].decode("ascii"),
            accept=request.headers.get("accept", ""),
            purpose=request.headers.get("gateway-purpose", ""),
        )
        pulled = await desk.read(_pull, desk, visit, asked)
        headers = {
            "audit-event": pulled.event_id,
            "content-length": str(pulled.body_bytes),
            "cache-control": "no-store",
        }
        return StreamingResponse(pulled.chunks(), media_type=pulled.media_type, headers=headers)

    return router


def _pull(desk: Desk, visit: Visit, asked: DataRequest) -> Pulled:
    return pull(desk.aggregates, partner_of(visit, desk), asked)
