# SPDX-License-Identifier: Apache-2.0
"""Officers ask the policies, and partners about themselves; this file is about those routes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from gateway.api.desk import Desk
from gateway.api.visit import Visit, known_caller, officer_of, visit_of
from gateway.errors import RequestMalformed
from gateway.review.policies import ask, explain_own
from gateway.review.search import TEXT_CHARS_MAX, ReviewDesk, ReviewRequest
from gateway.trip import Partner

_WORDS = frozenset({"as", "action", "owner", "product", "purpose", "since", "without", "change"})
_NO_STORE = {"cache-control": "no-store"}
_TOLD = {
    "explain": "Why a request of a partner of the officer's country, or the calling partner's own, is permitted or not",
    "matrix": "Who may do what, as far as it concerns the officer's country",
    "who-could-see": "Who could read numbers of the officer's country",
    "who-did-see": "Who did, from the audit log",
    "simulate": "Which recorded decisions would change without one agreement of the country, or with a change in force",
}


def policy_routes(desk: Desk) -> APIRouter:
    """Return the routes under `/v1/policy`."""
    router = APIRouter(tags=["policy"])
    for question, summary in _TOLD.items():
        router.add_api_route(f"/v1/policy/{question}", _route(desk, question), methods=["GET"], summary=summary)
    return router


def _route(desk: Desk, question: str) -> Any:
    async def answer(request: Request) -> Response:
        words = dict(request.query_params)
        found = await desk.read(_answer, desk, visit_of(request.scope), question, words)
        return JSONResponse(found, headers=_NO_STORE)

    return answer


def _answer(desk: Desk, visit: Visit, question: str, words: dict[str, str]) -> dict[str, Any]:
    caller = known_caller(visit, desk) if question == "explain" else officer_of(visit, desk)
    if not words.keys() <= _WORDS or any(len(value) > TEXT_CHARS_MAX for value in words.values()):
        raise RequestMalformed(what="unknown parameter, or too long")
    # Made for each request: the policies may have been exchanged since the last.
    review = ReviewDesk(desk.intake.storage, desk.intake.policy, desk.intake.clock, desk.log_policy, desk.changes.root)
    if isinstance(caller, Partner):
        return explain_own(review, caller, words)
    return ask(review, ReviewRequest(caller, visit.place, visit.source, visit.request_id), question, words)
