# SPDX-License-Identifier: Apache-2.0
"""Is it alive, is it ready; this file is about the two routes that machines watch."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from gateway.api.desk import Desk
from gateway.auditlog.keeper import KeeperStatus
from gateway.errors import Reason, RulesNotInForce, StorageUnavailable
from gateway.storage import log


def health_routes(desk: Desk) -> APIRouter:
    """Return the routes of health."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Alive")
    async def alive() -> Response:
        return JSONResponse({"alive": True})

    @router.get("/readyz", summary="Ready: a submission would be accepted now, or why not")
    async def ready() -> Response:
        reasons = await desk.read(reasons_against, desk)
        body: dict[str, Any] = {"ready": not reasons, "reasons": reasons, "warnings": _warnings(desk)}
        return JSONResponse(body, 503 if reasons else 200, {"cache-control": "no-store"})

    return router


def reasons_against(desk: Desk) -> list[str]:
    """Return why a submission would not be accepted now; none means ready."""
    reasons: list[str] = []
    status = desk.keeper.state.status
    if status is not KeeperStatus.RUNNING:
        reasons.append(status.value)
    try:
        desk.intake.storage.read(log.get_head)
    except StorageUnavailable:
        reasons.append(Reason.STORAGE_UNAVAILABLE.value)
    try:
        desk.intake.check_rules()
    except RulesNotInForce:
        reasons.append(Reason.RULES_NOT_IN_FORCE.value)
    if not desk.intake.contracts.contracts:
        reasons.append("no-contract-in-force")
    return sorted(set(reasons))


def _warnings(desk: Desk) -> list[str]:
    stale = desk.intake.anchors.stale(at=desk.intake.clock.now())
    return [f"revocation-list-stale:{country}" for country in stale]
