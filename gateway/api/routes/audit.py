# SPDX-License-Identifier: Apache-2.0
"""A security officer looks into the log; this file is about the routes of the own country's audit events."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from gateway.api.desk import Desk
from gateway.api.visit import Visit, officer_of, visit_of
from gateway.errors import NotFound
from gateway.identifiers import is_id
from gateway.review.search import ReviewDesk, ReviewRequest, read_query, search_events, show_event

_NO_STORE = {"cache-control": "no-store"}


def audit_routes(desk: Desk) -> APIRouter:
    """Return the routes of security officers."""
    router = APIRouter(tags=["audit"])
    intake = desk.intake
    review = ReviewDesk(intake.storage, intake.policy, intake.clock, desk.log_policy, desk.changes.root)

    @router.get("/v1/audit/events", summary="Events of the officer's own country; the search is an event itself")
    async def search(request: Request) -> Response:
        parameters = dict(request.query_params)
        found = await desk.read(_search, desk, review, visit_of(request.scope), parameters)
        return JSONResponse(found, headers=_NO_STORE)

    @router.get("/v1/audit/events/{event_id}", summary="One event with its fields and receipt")
    async def show(request: Request, event_id: str) -> Response:
        shown = await desk.read(_show, desk, review, visit_of(request.scope), event_id)
        return JSONResponse(shown, headers=_NO_STORE)

    return router


def _search(desk: Desk, review: ReviewDesk, visit: Visit, parameters: dict[str, str]) -> dict[str, Any]:
    request = _request(desk, visit)
    return search_events(review, request, read_query(parameters))


def _show(desk: Desk, review: ReviewDesk, visit: Visit, event_id: str) -> dict[str, Any]:
    request = _request(desk, visit)
    if not is_id(event_id):
        raise NotFound
    return show_event(review, request, event_id)


def _request(desk: Desk, visit: Visit) -> ReviewRequest:
    return ReviewRequest(officer_of(visit, desk), visit.place, visit.source, visit.request_id)
