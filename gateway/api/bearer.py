# SPDX-License-Identifier: Apache-2.0
"""Tokens at the door; this file is about `Authorization: Bearer` (RFC 6750) beside the certificate, and OAuth's errors.

Every route is behind the same check: who sends no token is known by certificate alone, who sends one may do no more
than its scopes say, and what the certificate's partner may do is asked in the route as ever.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

from fastapi import Request

from gateway.api.desk import Desk
from gateway.api.visit import Visit, partner_of, visit_of
from gateway.errors import Reason, Refusal, ScopeInsufficient, TokenInvalid
from gateway.tokens.access import read_token
from gateway.tokens.desk import CONTEST, READ_FLOW, READ_OWN, SUBMIT, TOKEN_PATH
from gateway.wire.problem import Problem

# The first that fits; what is not here takes any token that holds.
_SCOPES: Final = (
    ("POST", "/v1/submissions", SUBMIT),
    ("GET", "/v1/submissions", READ_OWN),
    ("GET", "/v1/receipts", READ_OWN),
    ("GET", "/v1/own", READ_OWN),
    ("POST", "/v1/corrections", CONTEST),
    ("GET", "/v1/corrections", READ_OWN),
    ("GET", "/v1/notifications", READ_FLOW),
    ("GET", "/sdmx", READ_FLOW),
)
_ERRORS: Final = {
    Reason.GRANT_UNSUPPORTED: "unsupported_grant_type",
    Reason.CLIENT_UNAUTHENTICATED: "invalid_client",
    Reason.SCOPE_NOT_GRANTED: "invalid_scope",
    Reason.REPLAYED: "invalid_client",
    Reason.TOKEN_INVALID: "invalid_token",
    Reason.SCOPE_INSUFFICIENT: "insufficient_scope",
}
_BY_STATUS: Final = {401: "invalid_client", 403: "invalid_client", 429: "temporarily_unavailable"}
_UNAVAILABLE: Final = "temporarily_unavailable"


def bearer_guard(desk: Desk) -> Callable[[Request], Awaitable[None]]:
    """Return what stands before every route."""

    async def guard(request: Request) -> None:
        claimed = request.headers.get("authorization")
        path = request.scope["route"].path
        if claimed is not None and path != TOKEN_PATH:
            await desk.read(_check, desk, visit_of(request.scope), request.method, path, claimed)

    return guard


def _check(desk: Desk, visit: Visit, method: str, path: str, claimed: str) -> None:
    """Return when the token holds for this partner, certificate and route.

    Raises:
        TokenInvalid, ScopeInsufficient: when it does not.
        Refusal: when the certificate does not hold either.
    """
    partner = partner_of(visit, desk)
    scheme, _, token = claimed.partition(" ")
    if scheme.lower() != "bearer" or desk.tokens is None or visit.peer is None:
        raise TokenInvalid(what="the scheme is Bearer")
    tokens = desk.tokens
    scopes = read_token(token, tokens.key, visit.peer, issuer=tokens.issuer, subject=partner.id, at=visit.at)
    wanted = next((scope for verb, start, scope in _SCOPES if verb == method and path.startswith(start)), None)
    if wanted is not None and wanted not in scopes:
        raise ScopeInsufficient(scope=wanted)


def oauth_document(refusal: Refusal, problem: Problem) -> dict[str, Any]:
    """Return a refusal as the token endpoint answers it: RFC 6749, section 5.2, with the problem's members beside."""
    fallback = _UNAVAILABLE if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request"
    error = _ERRORS.get(refusal.reason) or _BY_STATUS.get(problem.status, fallback)
    described = {"error": error, "error_description": _quotable(refusal.detail("en")), "error_uri": problem.type}
    return problem.to_dict() | described


def challenge(refusal: Refusal, problem: Problem) -> str | None:
    """Return the WWW-Authenticate of a refused token (RFC 6750, section 3), or None for any other refusal."""
    if refusal.reason not in {Reason.TOKEN_INVALID, Reason.SCOPE_INSUFFICIENT}:
        return None
    scope = f', scope="{refusal.facts["scope"]}"' if "scope" in refusal.facts else ""
    text = _quotable(refusal.detail("en"))
    return f'Bearer error="{_ERRORS[refusal.reason]}", error_description="{text}", error_uri="{problem.type}"{scope}'


def _quotable(text: str) -> str:
    """Leave out what may not stand in a description (RFC 6749, section 5.2)."""
    return "".join(c for c in text if c.isascii() and c.isprintable() and c not in '"\\')
