# SPDX-License-Identifier: Apache-2.0
"""Proof for those who were part of it; this file is about the route that gives a receipt by its event."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from gateway.api.desk import Desk
from gateway.api.visit import Visit, known_caller, visit_of
from gateway.auditlog.receipts import ReceiptPending, receipt_of
from gateway.errors import NotFound
from gateway.identifiers import is_id
from gateway.storage import log
from gateway.storage.engine import Tx
from gateway.trip import Officer

RETRY_AFTER_SECONDS = 1


def receipt_routes(desk: Desk) -> APIRouter:
    """Return the route of receipts."""
    router = APIRouter(tags=["receipts"])

    @router.get("/v1/receipts/{event_id}", summary="The receipt of an event: JSON, or the bare proof as text")
    async def receipt(request: Request, event_id: str) -> Response:
        try:
            found = await desk.read(_receipt, desk, visit_of(request.scope), event_id)
        except ReceiptPending:
            return JSONResponse(
                {"event_id": event_id, "status": "pending"}, 202, {"retry-after": str(RETRY_AFTER_SECONDS)}
            )
        if "text/plain" in request.headers.get("accept", ""):
            return PlainTextResponse(found["proof"])
        return JSONResponse(found)

    return router


def _receipt(desk: Desk, visit: Visit, event_id: str) -> dict[str, Any]:
    caller = known_caller(visit, desk)
    if not is_id(event_id):
        raise NotFound

    def work(tx: Tx) -> dict[str, Any]:
        if isinstance(caller, Officer):
            visible = log.get_visible_event(tx, caller.country, event_id) is not None
        else:
            event = log.get_event(tx, event_id)
            visible = event is not None and event.partner_id == caller.id
        # Another's event and none at all look the same.
        if not visible:
            raise NotFound
        return receipt_of(tx, event_id, policy=desk.log_policy)

    return desk.intake.storage.read(work)
