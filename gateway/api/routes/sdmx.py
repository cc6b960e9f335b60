# SPDX-License-Identifier: Apache-2.0
"""Pulling statistics; this file is about the SDMX REST 2 data path."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from gateway.aggregates.csv_data import CSV_TYPE, csv_writer
from gateway.aggregates.desk import AggregatesDesk, DataRequest, Pulled, Question
from gateway.aggregates.query import parse_query
from gateway.aggregates.serve import pull
from gateway.api.desk import Desk
from gateway.api.visit import Visit, partner_of, visit_of
from gateway.errors import RequestMalformed

_DATA = "/sdmx/v2/data/dataflow/{agency}/{dataflow}/{version}"
_PLAIN_TYPE = "text/csv"
_ANY_TYPE = frozenset({"", "*/*", "text/*", _PLAIN_TYPE})


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
        # `+` is AND in SDMX: the query is parsed raw, never as a form.
        query = request.scope["query_string"].decode("ascii")
        path = {"agency": agency, "dataflow": dataflow, "version": version, "key": key, "query": query}
        asked = DataRequest(
            request_id=visit.request_id,
            source=visit.source,
            # The pattern: a key may name several owners, whose officers each see the path.
            path=visit.place,
            purpose=request.headers.get("gateway-purpose", ""),
            understand=partial(understood, path=path, accept=request.headers.get("accept", "")),
        )
        pulled = await desk.read(_pull, desk, visit, asked)
        headers = {
            "audit-event": pulled.event_id,
            "content-length": str(pulled.body_bytes),
            "cache-control": "no-store",
        }
        return StreamingResponse(pulled.chunks(), media_type=pulled.media_type, headers=headers)

    return router


def understood(desk: AggregatesDesk, *, path: dict[str, str], accept: str) -> Question:
    """Read a data request, or refuse it."""
    media_type = negotiated(accept)
    structure, query = parse_query(desk.structures, **path)
    return Question(structure, query, media_type, csv_writer(structure, query))


def negotiated(accept: str) -> str:
    """Return the media type of the answer; there is one form, under two names."""
    offered = [part.partition(";q=")[0] for part in accept.replace(" ", "").lower().split(",")]
    for kind in offered:
        if kind in {CSV_TYPE, CSV_TYPE.split(";")[0]}:
            return CSV_TYPE
        if kind in _ANY_TYPE or kind.startswith(f"{_PLAIN_TYPE};"):
            return f"{_PLAIN_TYPE}; charset=utf-8" if "csv" in kind else CSV_TYPE
    raise RequestMalformed(what=f"the answer is offered as {CSV_TYPE} or {_PLAIN_TYPE}")


def _pull(desk: Desk, visit: Visit, asked: DataRequest) -> Pulled:
    return pull(desk.aggregates, partner_of(visit, desk), asked)
