# SPDX-License-Identifier: Apache-2.0
"""An invited body answers; this file is about the one route that a certificate may call without being pinned."""

from __future__ import annotations

import json
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from gateway.api.desk import Desk
from gateway.api.requests import small_body
from gateway.api.visit import Visit, visit_of
from gateway.errors import CertificateRequired, InvitationInvalid, RequestMalformed
from gateway.identifiers import PARTNER_ID
from gateway.identity.identify import identify_newcomer
from gateway.onboarding.invitation import Answer, answer

BODY_BYTES_MAX: Final = 32 << 10


def invitation_routes(desk: Desk) -> APIRouter:
    """Return the route of invitations."""
    router = APIRouter(tags=["invitations"])

    @router.post("/v1/invitations/{partner_id}", status_code=201, summary="Answer an invitation, once")
    async def join(request: Request, partner_id: str) -> Response:
        # On the event loop, within its bounds: a stranger who sends slowly holds no thread.
        body = await small_body(request, bytes_max=BODY_BYTES_MAX)
        visit = visit_of(request.scope)
        document = await desk.read(_answer, desk, visit, partner_id, body)
        return JSONResponse(document, 201, {"audit-event": document["audit_event"], "cache-control": "no-store"})

    return router


def _answer(desk: Desk, visit: Visit, partner_id: str, body: bytes) -> dict[str, Any]:
    if visit.peer is None:
        raise CertificateRequired
    peer, intake = visit.peer, desk.intake
    country = identify_newcomer(peer, intake.anchors, at=visit.at)
    if not PARTNER_ID.fullmatch(partner_id):
        raise InvitationInvalid(what="there is no such partner id")
    token, envelope = _words(body)
    given = Answer(partner_id, country, peer, token, envelope, visit.place, visit.request_id)
    said, keyid, event_id = intake.storage.write(
        lambda tx: answer(tx, given, intake.contracts, origin=desk.public_origin, at=intake.clock.now())
    )
    return {"partner": partner_id, "keyid": keyid, "certificate": said.certificate, "audit_event": event_id}


def _words(body: bytes) -> tuple[str, dict[str, Any]]:
    try:
        match json.loads(body):
            case {"token": str(token), "envelope": dict(envelope), **rest} if not rest and token.isascii():
                return token, envelope
    except (ValueError, RecursionError) as error:
        raise RequestMalformed(what="the body is not JSON") from error
    raise RequestMalformed(what="the body is token and envelope")
