# SPDX-License-Identifier: Apache-2.0
"""What was agreed; this file is about the routes that show the contracts in force."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from gateway.api.desk import Desk
from gateway.api.language import localized
from gateway.api.visit import known_caller, visit_of
from gateway.contracting.contract import Contract
from gateway.errors import NotFound


def contract_routes(desk: Desk) -> APIRouter:
    """Return the routes of contracts."""
    router = APIRouter(tags=["contracts"])
    contracts = desk.intake.contracts

    async def find(request: Request, product: str, version: str) -> Contract:
        await desk.read(known_caller, visit_of(request.scope), desk)
        found = next((c for c in contracts.contracts if (c.ref.product, c.ref.version) == (product, version)), None)
        if found is None or contracts.states.get((product, version)) == "draft":
            raise NotFound
        return found

    def summary_of(contract: Contract) -> dict[str, Any]:
        ref = contract.ref
        path = f"/v1/contracts/{ref.product}/{ref.version}"
        return {
            "product": ref.product,
            "version": ref.version,
            "digest": ref.digest,
            "state": contracts.states.get((ref.product, ref.version), "active"),
            "acceptance": contract.acceptance.mode,
            "title": {"en": contract.title.en, "es": contract.title.es},
            "url": path,
            "schema_url": f"{path}/schema.json",
            "template_url": f"{path}/template.csv",
            "submit_url": f"/v1/submissions/{ref.product}/{ref.version}",
        }

    @router.get("/v1/contracts", summary="The contracts in force")
    async def list_all(request: Request) -> Response:
        visit = visit_of(request.scope)
        await desk.read(known_caller, visit, desk)
        return JSONResponse({"contracts": localized([summary_of(c) for c in contracts.contracts], visit.language)})

    @router.get("/v1/contracts/{product}/{version}", summary="The signed document of a contract, byte for byte")
    async def show(request: Request, product: str, version: str) -> Response:
        contract = await find(request, product, version)
        return Response(contract.document, media_type="application/json", headers=_digest(contract))

    @router.get("/v1/contracts/{product}/{version}/schema.json", summary="The JSON Schema that is enforced")
    async def schema(request: Request, product: str, version: str) -> Response:
        contract = await find(request, product, version)
        text = json.dumps(contract.schema, ensure_ascii=False, indent=2)
        return Response(text, media_type="application/schema+json", headers=_digest(contract))

    @router.get("/v1/contracts/{product}/{version}/template.csv", summary="The column names as an empty CSV file")
    async def template(request: Request, product: str, version: str) -> Response:
        contract = await find(request, product, version)
        header = ",".join(field.name for field in contract.fields)
        return Response(f"{header}\r\n", media_type="text/csv; charset=utf-8", headers=_digest(contract))

    return router


def _digest(contract: Contract) -> dict[str, str]:
    return {"contract-digest": contract.ref.digest}
