# SPDX-License-Identifier: Apache-2.0
"""The outermost layer; this file is about what holds for every request, and about how refusals and faults leave.

Each request gets an id and its caller's certificate; a head that two programs could read in two ways is refused;
the caller's rate is bounded; whatever is raised inside becomes a problem document with an audit event, or, when it
is our trouble, an incident id and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import anyio
import anyio.to_thread
import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.aggregates.quota import Allowance
from gateway.api.answers import SignedAnswer, asked_for, is_signed
from gateway.api.bearer import challenge, oauth_document
from gateway.api.desk import Desk
from gateway.api.language import language_of
from gateway.api.peer import without_claims
from gateway.api.problems import problem_of
from gateway.api.refusals import record_refusal
from gateway.api.requests import check_request, target_uri
from gateway.api.visit import Visit, peer_of, place_of, visit_of
from gateway.errors import NotFound, RateLimited, Refusal, RequestMalformed
from gateway.identifiers import new_id
from gateway.tokens.desk import TOKEN_PATH
from gateway.wire.problem import PROBLEM_JSON

WATCHED_PATHS = frozenset({"/healthz", "/readyz"})
# What binds whoever takes an answer: docs/PROTECTION.md, PP-11 and PP-20.
TERMS = b"no-individual-decision, no-onward-transfer"
FAULT_TITLES = {
    "en": "Our trouble; nothing is wrong with the request",
    "es": "Problema nuestro; la solicitud es correcta",
}

Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]

log = structlog.get_logger()


class Edge:
    """The ASGI application that the server runs; everything else is inside."""

    def __init__(self, inner: ASGIApp, desk: Desk) -> None:
        self._inner = inner
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        clock = self._desk.intake.clock
        at = clock.now()
        scope["headers"] = without_claims(scope["headers"], self._desk.peer_mode)
        visit = Visit(new_id(at), at, language_of(scope["headers"]), scope["raw_path"].decode("latin-1"), None)
        scope["state"]["visit"] = visit
        outgoing = _Outgoing(send, visit)
        answer: Send = outgoing.send
        if is_signed(scope):
            asked = asked_for(scope, target_uri(scope, self._desk.public_origin))
            answer = SignedAnswer(outgoing.send, self._desk.answer_signer, asked, now=clock.now).send
        with structlog.contextvars.bound_contextvars(request_id=visit.request_id):
            await self._serve(visit, scope, receive, answer, outgoing)

    async def _serve(self, visit: Visit, scope: Scope, receive: Receive, answer: Send, outgoing: _Outgoing) -> None:
        try:
            try:
                self._admit(visit, scope)
            except Refusal as refusal:
                response = await refused(self._desk, visit, refusal)
                await response(scope, receive, answer)
                return
            await self._inner(scope, receive, answer)
        except Exception:  # The one edge: whatever is wrong with us, the caller learns an incident id and no more.
            log.exception("fault", path=place_of(scope))
            if not outgoing.started:
                await fault(visit)(scope, receive, answer)
        finally:
            # Whatever event this request left goes into the log at once; that of a reading, whose receipt nobody waits
            # for, together with what comes after it (keeper.py).
            if scope["method"] not in _READING:
                self._desk.keeper.wake()
            log.info("request served", method=scope["method"], path=place_of(scope), status=outgoing.status)

    def _admit(self, visit: Visit, scope: Scope) -> None:
        """Let a request in.

        Raises:
            RequestMalformed: when its head cannot be read in one way only.
            RateLimited: when its caller asks too often.
        """
        try:
            visit.peer = peer_of(scope, self._desk)
            check_request(scope)
        except RequestMalformed:
            # What is refused here leaves an event, so that it is counted first, wherever it was going.
            self._desk.rate.take(visit.source, at=visit.at)
            raise
        if scope["method"] != "GET" or visit.path not in WATCHED_PATHS:
            self._spend(visit, action_of(scope["method"], visit.path))

    def _spend(self, visit: Visit, action: str) -> None:
        try:
            allowance = self._desk.rate.take(visit.source, action, at=visit.at)
        except RateLimited as refusal:
            allowance = replace(self._desk.rate.spent(), reset_seconds=refusal.retry_after_seconds or 1)
            visit.allowances.append(replace(allowance, name=action))
            raise
        visit.allowances.append(replace(allowance, name=action))


_READING = frozenset({"GET", "HEAD"})


def action_of(method: str, path: str) -> str:
    """Return the kind of action that a request counts as: each has a limit of its own."""
    if path.startswith("/sdmx/"):
        return "read"
    return "submit" if method == "POST" and path.startswith("/v1/submissions/") else "other"


class _Outgoing:
    """The answer on its way out: the request id joins its headers."""

    def __init__(self, send: Send, visit: Visit) -> None:
        self._send = send
        self._visit = visit
        self.started = False
        self.status = 0

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            extra = [
                *_limits(self._visit.allowances),
                (b"request-id", self._visit.request_id.encode()),
                (b"x-content-type-options", b"nosniff"),
                (b"data-terms", TERMS),
            ]
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        await self._send(message)


def _limits(allowances: Sequence[Allowance]) -> list[tuple[bytes, bytes]]:
    """Return RateLimit and RateLimit-Policy as the draft of IETF HTTPAPI writes them: lists of structured fields."""
    if not allowances:
        return []
    policy = ", ".join(f'"{one.name}";q={one.limit};w={one.window_seconds}' for one in allowances)
    left = ", ".join(f'"{one.name}";r={one.remaining};t={one.reset_seconds}' for one in allowances)
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())]


async def refused(desk: Desk, visit: Visit, refusal: Refusal) -> Response:
    """Return the problem document of a refusal, after its audit event is committed."""
    try:
        refusal.audit_event = await anyio.to_thread.run_sync(record_refusal, desk, visit, refusal)
    except Refusal as away:  # no answer without evidence: the event could not be written
        refusal = away
    visit.reason = refusal.reason.value
    problem = problem_of(refusal, public_origin=desk.public_origin, language=visit.language)
    headers = {"content-language": visit.language, "cache-control": "no-store"}
    if problem.audit_event:
        headers["audit-event"] = problem.audit_event
    if refusal.retry_after_seconds is not None:
        headers["retry-after"] = str(refusal.retry_after_seconds)
    if wanted := challenge(refusal, problem):
        headers["www-authenticate"] = wanted
    log.info("request refused", reason=problem.reason, audit_event=problem.audit_event)
    if visit.path == TOKEN_PATH:
        return JSONResponse(oauth_document(refusal, problem), problem.status, headers)
    return JSONResponse(problem.to_dict(), problem.status, headers, PROBLEM_JSON)


def fault(visit: Visit) -> Response:
    """Return what a caller is told of our trouble."""
    title = FAULT_TITLES[visit.language]
    body = {"type": "about:blank", "title": title, "status": 500, "incident": visit.request_id}
    return JSONResponse(body, 500, {"cache-control": "no-store"}, PROBLEM_JSON)


def handlers(desk: Desk) -> dict[int | type[Exception], Handler]:
    """Return what FastAPI does with what a route raises."""

    async def on_refusal(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return await refused(desk, visit_of(request.scope), error)

    async def on_unknown_route(request: Request, error: Exception) -> Response:
        del error
        return await refused(desk, visit_of(request.scope), NotFound())

    async def on_bad_parameter(request: Request, error: Exception) -> Response:
        where = ", ".join(sorted({str(item["loc"][-1]) for item in getattr(error, "errors", list)()}))
        return await refused(desk, visit_of(request.scope), RequestMalformed(what=f"parameters {where}"))

    async def on_fault(request: Request, error: Exception) -> Response:
        del error
        return fault(visit_of(request.scope))

    return {
        Refusal: on_refusal,
        HTTPException: on_unknown_route,
        RequestValidationError: on_bad_parameter,
        Exception: on_fault,
    }
