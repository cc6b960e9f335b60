# SPDX-License-Identifier: Apache-2.0
"""How a partner stands; this file is about the route that tells a partner what of its own ends, and when."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from gateway.api.desk import Desk
from gateway.api.visit import Visit, partner_of, visit_of
from gateway.clock import format_instant
from gateway.onboarding.expiry import endings


def partner_routes(desk: Desk) -> APIRouter:
    """Return the route of a partner's own standing."""
    router = APIRouter(tags=["partner"])

    @router.get("/v1/partner", summary="The caller's own standing: roles, signing keys, and what ends when")
    async def standing(request: Request) -> Response:
        document = await desk.read(_standing, desk, visit_of(request.scope))
        return JSONResponse(document, headers={"cache-control": "no-store"})

    return router


def _standing(desk: Desk, visit: Visit) -> dict[str, Any]:
    partner, intake = partner_of(visit, desk), desk.intake
    anchors, agreements = intake.anchors.by_country.values(), intake.policy.policies.agreements
    found = intake.storage.read(lambda tx: list(endings(tx, anchors, agreements)))
    # Of others only what is its country's as well: an agreement, the anchors.
    own = [
        one
        for one in found
        if one.subject == partner.id or ("." not in one.subject and partner.country in one.countries)
    ]
    return {
        "partner": partner.id,
        "country": partner.country,
        "roles": sorted(partner.roles),
        "keys": [
            {
                "keyid": key.keyid,
                "not_before": format_instant(key.not_before),
                **({"not_after": format_instant(key.not_after)} if key.not_after else {}),
            }
            for key in partner.signing_keys
        ],
        "ends": [{"what": one.what, "subject": one.subject, "at": format_instant(one.ends_at)} for one in own],
    }
