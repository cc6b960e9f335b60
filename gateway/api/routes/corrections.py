# SPDX-License-Identifier: Apache-2.0
"""Contested numbers and who is told of them; this file is about the routes of corrections, recalls and notices."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from gateway.api.desk import Desk
from gateway.api.requests import signed_request
from gateway.api.routes.tokens import small_body
from gateway.api.turns import in_turn
from gateway.api.visit import Visit, known_caller, officer_of, partner_of, visit_of
from gateway.corrections.contest import Contested, ContestRequest, contest, shown
from gateway.corrections.desk import CorrectionsDesk, read_said
from gateway.corrections.recall import recall
from gateway.errors import NotFound
from gateway.identifiers import UUID7, is_id
from gateway.signing.envelope import BodyLimits, receive_body
from gateway.signing.head import verify_signature
from gateway.storage import contests, notices
from gateway.trip import Officer, Partner, SignedRequest
from gateway.wire.digests import sha256

MEDIA_TYPE: Final = "application/json"
BODY_BYTES_MAX: Final = 16 << 10
_LIMITS: Final = BodyLimits(sent_bytes_max=BODY_BYTES_MAX, decoded_bytes_max=BODY_BYTES_MAX)
_NO_STORE: Final = {"cache-control": "no-store"}


def correction_routes(desk: Desk) -> APIRouter:
    """Return the routes of corrections."""
    router = APIRouter(tags=["corrections"])

    @router.post("/v1/corrections", status_code=201, summary="Contest published numbers of one's own, or stop to")
    async def open_one(request: Request) -> Response:
        visit = visit_of(request.scope)
        signed = signed_request(request.scope, request.receive, desk, visit)
        done = await in_turn(desk, visit, _contest, desk, visit, signed)
        headers = {"audit-event": done.event_id, "location": f"/v1/corrections/{done.one.id}"}
        return JSONResponse(shown(done.one), 200 if done.replay or done.one.withdrawn_at else 201, headers)

    @router.get("/v1/corrections", summary="The caller's contests, oldest first")
    async def list_own(request: Request, after: Annotated[str, Query(pattern=f"^({UUID7})?$")] = "") -> Response:
        return JSONResponse(await desk.read(_list, desk, visit_of(request.scope), after), headers=_NO_STORE)

    @router.get("/v1/corrections/{correction_id}", summary="One contest, for its provider and its country's officers")
    async def show(request: Request, correction_id: str) -> Response:
        return JSONResponse(await desk.read(_show, desk, visit_of(request.scope), correction_id), headers=_NO_STORE)

    @router.get("/v1/corrections/{correction_id}/recall", summary="Who read the contested numbers, for officers")
    async def recall_list(request: Request, correction_id: str) -> Response:
        found = await desk.read(_recall, desk, visit_of(request.scope), correction_id)
        return JSONResponse(found, headers={**_NO_STORE, "audit-event": found["audit_event"]})

    @router.get("/v1/notifications", summary="Notices to the caller behind a number, in order (CloudEvents)")
    async def list_notices(request: Request, after: Annotated[int, Query(ge=0, le=2**62)] = 0) -> Response:
        return JSONResponse(await desk.read(_notices, desk, visit_of(request.scope), after), headers=_NO_STORE)

    return router


def _desk(desk: Desk) -> CorrectionsDesk:
    intake, flow = desk.intake, desk.aggregates.flow
    return CorrectionsDesk(
        intake.clock, intake.storage, intake.policy, flow.shape, dataflow=flow.reference, origin=desk.public_origin
    )


def _contest(desk: Desk, visit: Visit, request: SignedRequest) -> Contested:
    """Take a contest: a provider signs it like a submission, an officer's certificate is enough."""
    desk.intake.check_log()
    caller = known_caller(visit, desk)
    envelope = None
    if isinstance(caller, Partner):
        head = verify_signature(
            request, caller, at=visit.at, reveal_base=desk.intake.sandbox, media_types=(MEDIA_TYPE,)
        )
        envelope = receive_body(request, head, limits=_LIMITS)
        body = b"\n".join(envelope.lines)
    else:
        body = small_body(request, bytes_max=BODY_BYTES_MAX)
    asked = ContestRequest(
        caller=caller,
        said=read_said(body),
        key=envelope.idempotency_key if envelope else visit.request_id,
        digest=sha256(body),
        path=visit.place,
        source=visit.source,
        request_id=visit.request_id,
        envelope=envelope,
    )
    return contest(_desk(desk), asked)


def _list(desk: Desk, visit: Visit, after: str) -> dict[str, Any]:
    partner = partner_of(visit, desk)
    found = desk.intake.storage.read(lambda tx: contests.contests_of(tx, partner.id, after=after))
    following = {"next": f"/v1/corrections?after={found[-1].id}"} if len(found) == contests.PAGE_MAX else {}
    return {"corrections": [shown(one) for one in found], **following}


def _show(desk: Desk, visit: Visit, correction_id: str) -> dict[str, Any]:
    caller = known_caller(visit, desk)
    whose = {"country": caller.country} if isinstance(caller, Officer) else {"partner_id": caller.id}
    found = is_id(correction_id) and desk.intake.storage.read(
        lambda tx: contests.get_contest(tx, correction_id, **whose)
    )
    if not found:
        raise NotFound
    return shown(found)


def _recall(desk: Desk, visit: Visit, correction_id: str) -> dict[str, Any]:
    officer = officer_of(visit, desk)
    if not is_id(correction_id):
        raise NotFound
    words = {"path": visit.place, "source": visit.source, "request_id": visit.request_id}
    return recall(_desk(desk), officer, correction_id, **words)


def _notices(desk: Desk, visit: Visit, after: int) -> dict[str, Any]:
    partner = partner_of(visit, desk)
    found = desk.intake.storage.read(lambda tx: notices.notices_after(tx, partner.id, after))
    listed = [{"number": one.number, "event": json.loads(one.body)} for one in found]
    return {"notifications": listed, "next": f"/v1/notifications?after={found[-1].number if found else after}"}
