# SPDX-License-Identifier: Apache-2.0
"""What anyone who reaches us may know; this file is about answer keys, and the pages that problems point to."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from gateway.api.desk import Desk
from gateway.api.problems import problem_page
from gateway.api.visit import visit_of
from gateway.errors import NotFound, Reason

DAY_SECONDS = 86_400


def wellknown_routes(desk: Desk) -> APIRouter:
    """Return the routes that need no registry entry."""
    router = APIRouter(tags=["public"])

    @router.get("/.well-known/gateway-keys", summary="The keys that sign answers (JWKS)")
    async def keys() -> Response:
        return JSONResponse(
            {"keys": list(desk.answer_keys)},
            headers={"cache-control": f"max-age={DAY_SECONDS}"},
            media_type="application/jwk-set+json",
        )

    @router.get("/problems/{reason}", summary="What a reason means and what to do")
    async def problem(request: Request, reason: str, lang: str = "") -> Response:
        if reason not in set(Reason):
            raise NotFound
        language = lang if lang in {"en", "es"} else visit_of(request.scope).language
        headers = {"content-language": language, "content-security-policy": "default-src 'none'"}
        return HTMLResponse(problem_page(Reason(reason), language), headers=headers)

    return router
