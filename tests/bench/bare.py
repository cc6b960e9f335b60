# SPDX-License-Identifier: Apache-2.0
"""What any server of signed requests must do; this file is about the gateway without contract, policy, storage or log.

The process, the port with mutual TLS, the edge, the check of certificate and signature, the body's digest and the
signed answer are the gateway's own code. The partner is remembered from one look, and the answer is a fixed text of the
size of a receipt. Run it with the settings of a sandbox.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Collection
from functools import cache
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from gateway.api.desk import Desk
from gateway.api.edge import Edge, handlers
from gateway.api.requests import signed_request, with_small_body
from gateway.api.server import Bounds, GatewayServer, open_port
from gateway.api.tls import TlsFiles, TlsKeeper
from gateway.api.visit import visit_of
from gateway.app import compose
from gateway.identity.identify import PinDirectory, PinnedOfficer, PinnedPartner, identify_partner
from gateway.intake.together import SENT_BYTES_MAX
from gateway.operational_log import configure_log
from gateway.settings import Settings, load_settings
from gateway.signing.envelope import receive_body
from gateway.signing.head import verify_signature
from gateway.trip import SignedRequest

FIXED = b'{"text":"' + b"x" * 4000 + b'"}'


class Remembered:
    """A directory that asks the registry about each certificate once."""

    def __init__(self, registry: PinDirectory) -> None:
        self._partner = cache(registry.pinned_partner)
        self._officer = cache(registry.pinned_officer)

    def pinned_partner(self, sha256: bytes) -> PinnedPartner | None:
        return self._partner(sha256)

    def pinned_partners(self, pins: Collection[bytes]) -> dict[bytes, PinnedPartner | None]:
        return {sha256: self._partner(sha256) for sha256 in pins}

    def pinned_officer(self, sha256: bytes) -> PinnedOfficer | None:
        return self._officer(sha256)


def bare_application(desk: Desk) -> ASGIApp:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, exception_handlers=handlers(desk))
    intake, directory = desk.intake, Remembered(desk.intake.directory)

    def verify(request: SignedRequest) -> None:
        partner = identify_partner(request.peer, directory, intake.anchors, at=request.received_at)
        receive_body(request, verify_signature(request, partner, at=request.received_at), limits=intake.limits)

    @app.post("/v1/submissions/{product}/{version}", status_code=201)
    async def submit(request: Request, product: str, version: str) -> Response:
        signed = signed_request(request.scope, request.receive, desk, visit_of(request.scope))
        signed, _ = await with_small_body(signed, request.scope, request.receive, desk, bytes_max=SENT_BYTES_MAX)
        await desk.submit(verify, signed)
        return Response(FIXED, 201, media_type="application/json")

    @app.get("/healthz")
    async def healthz() -> Response:
        return Response(b"{}", media_type="application/json")

    return Edge(app, desk)


def serve(settings: Settings) -> None:
    configure_log()
    gateway = compose(settings)
    gc.freeze()  # As the gateway does.
    assert settings.tls_certificate is not None
    assert settings.tls_key is not None
    tls = TlsKeeper(
        TlsFiles(
            certificate=settings.tls_certificate,
            key=settings.tls_key,
            anchors=tuple(settings.anchors.values()),
            revocation_lists=tuple(settings.revocation_lists.values()),
        )
    )
    try:
        GatewayServer(
            bare_application(gateway.desk),
            open_port(settings.listen_host, settings.listen_port),
            tls=tls,
            bounds=Bounds(connections_max=settings.connections_max, body_seconds=settings.body_seconds_max),
            on_refused=lambda *_: None,
        ).run()
    finally:
        gateway.close()


if __name__ == "__main__":
    serve(load_settings(Path(sys.argv[1])))
