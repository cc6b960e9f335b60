# SPDX-License-Identifier: Apache-2.0
"""Faults of ours; this file is about what a caller learns of them: an incident id, signed, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from structlog.testing import capture_logs

from gateway.api.desk import Desk
from gateway.api.edge import Edge, handlers
from gateway.api.limits import Admission
from gateway.clock import SystemClock
from gateway.wire.http_signature import verify_answer
from gateway.wire.keys import FileSigner, public_of_der
from tests.running import parse_answer
from tests.unit.api.doorstep import Doorstep, serve

ORIGIN = "https://gw.example"
SIGNER = FileSigner.of(ed25519.Ed25519PrivateKey.generate())


def desk() -> Desk:
    """Return the parts of a desk that the outermost layer itself touches."""
    parts = SimpleNamespace(
        intake=SimpleNamespace(clock=SystemClock()), peer_mode="direct", public_origin=ORIGIN,
        answer_signer=SIGNER, rate=Admission(per_second=1000, burst=1000),
        keeper=SimpleNamespace(wake=lambda: None),
    )  # fmt: skip
    return cast("Desk", parts)


async def broken(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        raise RuntimeError("Specimen Person could not be saved")


def broken_route() -> Any:
    from fastapi import FastAPI

    app = FastAPI(exception_handlers=handlers(desk()))

    @app.get("/")
    @app.post("/")
    async def fail() -> None:
        raise RuntimeError("Specimen Person could not be saved")

    return app


@pytest.mark.parametrize("make", [lambda: broken, broken_route])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_fault_is_an_incident_id_and_nothing_else(tmp_path: Path, make: Any, method: str) -> None:
    """What went wrong may hold what was submitted; it stays with us."""
    with capture_logs() as told, serve(Edge(make(), desk()), tmp_path) as door:
        status, headers, body = ask(door, method)

    assert status == 500
    assert json.loads(body)["incident"] == headers["request-id"]
    assert b"Specimen" not in body
    assert "fault" in [entry["event"] for entry in told]
    if method == "POST":
        key = public_of_der(SIGNER.public_der)
        verify_answer(
            status=status, headers=headers, request=("POST", f"{ORIGIN}/", {}), keys={SIGNER.keyid: key},
        )  # fmt: skip


def ask(door: Doorstep, method: str) -> tuple[int, dict[str, str], bytes]:
    head = f"{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    return parse_answer(door.exchange(door.authority.issue("agency"), head.encode()))
