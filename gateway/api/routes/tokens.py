# SPDX-License-Identifier: Apache-2.0
"""Tokens for programs that speak OAuth; this file is about the token endpoint, its metadata and its keys."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from gateway.api.desk import Desk
from gateway.api.requests import signed_request
from gateway.api.turns import in_turn
from gateway.api.visit import Visit, partner_of, visit_of
from gateway.errors import BodyTooLarge, MediaTypeUnsupported, NotFound, RequestMalformed
from gateway.tokens.desk import TOKEN_PATH, TokenRequest, TokensDesk
from gateway.tokens.issue import issue
from gateway.trip import SignedRequest

FORM: Final = "application/x-www-form-urlencoded"
FORM_BYTES_MAX: Final = 16 << 10
FIELDS_MAX: Final = 16
_KEPT_SECONDS: Final = 3600


def token_routes(desk: Desk) -> APIRouter:
    """Return the routes of OAuth."""
    router = APIRouter(tags=["tokens"])
    public = {"cache-control": f"max-age={_KEPT_SECONDS}"}

    @router.post(TOKEN_PATH, summary="Get a certificate-bound access token (OAuth 2.0 client credentials)")
    async def token(request: Request) -> Response:
        visit = visit_of(request.scope)
        signed = signed_request(request.scope, request.receive, desk, visit)
        answer = await in_turn(desk, visit, _issue, desk, visit, signed)
        return JSONResponse(answer, headers={"cache-control": "no-store", "pragma": "no-cache"})

    @router.get("/.well-known/oauth-authorization-server", summary="What the token endpoint offers (RFC 8414)")
    async def metadata() -> Response:
        return JSONResponse(_tokens(desk).metadata(), headers=public)

    @router.get("/oauth/keys", summary="The keys that sign access tokens (JWKS)")
    async def keys() -> Response:
        return JSONResponse({"keys": [_tokens(desk).key.public]}, headers=public, media_type="application/jwk-set+json")

    return router


def _tokens(desk: Desk) -> TokensDesk:
    """Return the desk of tokens.

    Raises:
        NotFound: when the operator has set no key for them.
    """
    if desk.tokens is None:
        raise NotFound
    return desk.tokens


def _issue(desk: Desk, visit: Visit, request: SignedRequest) -> dict[str, Any]:
    tokens = _tokens(desk)
    partner = partner_of(visit, desk)
    form = _form(request)
    return issue(tokens, TokenRequest(partner, request.peer, form, visit.request_id, visit.at))


def _form(request: SignedRequest) -> dict[str, str]:
    """Return the words of a form; none may be there twice (RFC 6749, section 3.2)."""
    if (request.header("content-type") or "").partition(";")[0].strip().lower() != FORM:
        raise MediaTypeUnsupported(supported=FORM)
    body = small_body(request, bytes_max=FORM_BYTES_MAX)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=FIELDS_MAX)
    except ValueError as error:
        raise RequestMalformed(what="not a form") from error
    form = dict(pairs)
    if len(form) != len(pairs):
        raise RequestMalformed(what="a parameter is there twice")
    return form


def small_body(request: SignedRequest, *, bytes_max: int) -> bytes:
    """Return a body whole, of at most so many bytes."""
    body = bytearray()
    for piece in request.body:
        body += piece
        if len(body) > bytes_max:
            raise BodyTooLarge(limit=f"{bytes_max} bytes", what="as sent")
    return bytes(body)
