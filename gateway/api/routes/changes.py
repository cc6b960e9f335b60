# SPDX-License-Identifier: Apache-2.0
"""Officers govern; this file is about the routes of changes: to stop at once, to propose, to approve, to look."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from gateway.api.desk import Desk
from gateway.api.requests import small_body
from gateway.api.visit import Visit, officer_of, visit_of
from gateway.errors import NotFound, RequestMalformed
from gateway.identifiers import is_id
from gateway.onboarding.changes import Heard, Saying, approve, shown, submit
from gateway.storage.changes import PAGE_MAX, Status, get_change, list_changes

BODY_BYTES_MAX: Final = 256 << 10
_NO_STORE: Final = {"cache-control": "no-store"}


def change_routes(desk: Desk) -> APIRouter:
    """Return the routes of changes."""
    router = APIRouter(tags=["changes"])

    @router.post("/v1/changes", status_code=201, summary="Stop something at once, or propose what widens; signed")
    async def create(request: Request) -> Response:
        return await _said(desk, request, lambda saying: submit(desk.changes, saying))

    @router.post("/v1/changes/{change_id}/approvals", status_code=201, summary="Sign what another government proposed")
    async def add_approval(request: Request, change_id: str) -> Response:
        return await _said(desk, request, lambda saying: approve(desk.changes, saying, change_id))

    @router.get("/v1/changes", summary="Changes that wait, or of another status, the newest first")
    async def list_all(request: Request) -> Response:
        found = await desk.read(_list, desk, visit_of(request.scope), dict(request.query_params))
        return JSONResponse(found, headers=_NO_STORE)

    @router.get("/v1/changes/{change_id}", summary="One change: its document, and everyone who signed it")
    async def show(request: Request, change_id: str) -> Response:
        found = await desk.read(_show, desk, visit_of(request.scope), change_id)
        return JSONResponse(found, headers=_NO_STORE)

    return router


async def _said(desk: Desk, request: Request, hear: Callable[[Saying], Heard]) -> Response:
    body = await small_body(request, bytes_max=BODY_BYTES_MAX)
    document = await desk.read(_hear, desk, visit_of(request.scope), body, hear)
    desk.keeper.wake()
    return JSONResponse(document, 201, {"audit-event": document["audit_event"], **_NO_STORE})


def _hear(desk: Desk, visit: Visit, body: bytes, hear: Callable[[Saying], Heard]) -> dict[str, Any]:
    officer = officer_of(visit, desk)
    heard = hear(Saying(officer, _envelope(body), visit.place, visit.source, visit.request_id))
    document = desk.intake.storage.read(lambda tx: shown(tx, heard.change))
    return {**document, "told": heard.told}


def _list(desk: Desk, visit: Visit, words: Mapping[str, str]) -> dict[str, Any]:
    officer_of(visit, desk)
    statuses, before = words.get("status", Status.WAITING).split(","), words.get("before", "")
    if not words.keys() <= {"status", "before"} or not set(statuses) <= set(Status) or (before and not is_id(before)):
        raise RequestMalformed(what=f"status is some of {', '.join(Status)}; before is the id of a change")

    def work(tx: Any) -> dict[str, Any]:
        found = list_changes(tx, statuses, before=before)
        page = {"changes": [shown(tx, one) for one in found]}
        return {**page, "before": found[-1].id} if len(found) == PAGE_MAX else page

    return desk.intake.storage.read(work)


def _show(desk: Desk, visit: Visit, change_id: str) -> dict[str, Any]:
    officer_of(visit, desk)

    def work(tx: Any) -> dict[str, Any]:
        found = get_change(tx, change_id)
        if found is None:
            raise NotFound
        return {**shown(tx, found), "envelope": json.loads(found.envelope)}

    return desk.intake.storage.read(work)


def _envelope(body: bytes) -> dict[str, Any]:
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestMalformed(what="the body is not JSON") from error
    if not isinstance(envelope, dict):
        raise RequestMalformed(what="the body is a DSSE envelope")
    return envelope
