# SPDX-License-Identifier: Apache-2.0
"""All routes together; this file is about the application that the server runs, and its OpenAPI description."""

from __future__ import annotations

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp, Lifespan

from gateway.api.bearer import bearer_guard
from gateway.api.description import DescribedApplication
from gateway.api.desk import Desk
from gateway.api.edge import Edge, handlers
from gateway.api.routes.audit import audit_routes
from gateway.api.routes.changes import change_routes
from gateway.api.routes.contracts import contract_routes
from gateway.api.routes.corrections import correction_routes
from gateway.api.routes.health import health_routes
from gateway.api.routes.invitations import invitation_routes
from gateway.api.routes.log import log_routes
from gateway.api.routes.own import own_routes
from gateway.api.routes.partner import partner_routes
from gateway.api.routes.policies import policy_routes
from gateway.api.routes.receipts import receipt_routes
from gateway.api.routes.sdmx import sdmx_routes
from gateway.api.routes.submissions import submission_routes
from gateway.api.routes.tokens import token_routes
from gateway.api.routes.wellknown import wellknown_routes

ROUTES = (
    submission_routes,
    receipt_routes,
    contract_routes,
    own_routes,
    partner_routes,
    sdmx_routes,
    log_routes,
    audit_routes,
    policy_routes,
    change_routes,
    correction_routes,
    invitation_routes,
    token_routes,
    wellknown_routes,
    health_routes,
)


def create_application(desk: Desk, *, lifespan: Lifespan[FastAPI]) -> ASGIApp:
    """Return the ASGI application of the partner listener; `lifespan` runs the jobs beside it."""
    # No page of documentation: it would load scripts from elsewhere. /openapi.json is served.
    app = DescribedApplication(
        title="Gateway",
        version="1",
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        exception_handlers=handlers(desk),
    )
    guards = [Depends(bearer_guard(desk))]
    for routes in ROUTES:
        app.include_router(routes(desk), dependencies=guards)
    return Edge(app, desk)
