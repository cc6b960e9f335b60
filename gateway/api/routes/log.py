# SPDX-License-Identifier: Apache-2.0
"""The audit log as a static tree; this file is about the routes of C2SP tlog-tiles, its keys and its policy.

Only partners and officers are served: the times of the entries alone tell when a country read or searched.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from gateway.api.desk import Desk
from gateway.api.visit import Visit, known_caller, visit_of
from gateway.auditlog.tiles import checkpoint_bytes, entries_bytes, tile_bytes
from gateway.errors import NotFound
from gateway.storage.engine import Tx
from gateway.wire.note import format_vkey
from gateway.wire.policy_file import format_policy
from gateway.wire.tiles import parse_tile_path

IMMUTABLE = "private, max-age=31536000, immutable"
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"


def log_routes(desk: Desk) -> APIRouter:
    """Return the routes of the log."""
    router = APIRouter(tags=["log"])

    @router.get("/log/keys", summary="The log's verification keys, one a line")
    async def keys(request: Request) -> Response:
        await desk.read(known_caller, visit_of(request.scope), desk)
        return PlainTextResponse("".join(f"{format_vkey(key.verifier)}\n" for key in desk.log_policy.logs))

    @router.get("/log/policy", summary="The policy under which receipts are checked (C2SP tlog-policy)")
    async def policy(request: Request) -> Response:
        await desk.read(known_caller, visit_of(request.scope), desk)
        return PlainTextResponse(format_policy(desk.log_policy))

    @router.get("/log/{shard}/checkpoint", summary="The newest signed checkpoint")
    async def checkpoint(request: Request, shard: str) -> Response:
        note = await desk.read(_serve, desk, visit_of(request.scope), shard, checkpoint_bytes)
        return Response(note, media_type=TEXT, headers={"cache-control": "no-store"})

    @router.get("/log/{shard}/tile/{path:path}", summary="A tile of hashes, or a bundle of entries")
    async def tile(request: Request, shard: str, path: str) -> Response:
        data = await desk.read(_serve, desk, visit_of(request.scope), shard, tile_reader(path))
        return Response(data, media_type=BYTES, headers={"cache-control": IMMUTABLE})

    return router


def tile_reader(path: str) -> Callable[[Tx], bytes]:
    """Return what reads the tile or bundle that a path names; NotFound when it is not in its one canonical form."""
    try:
        named = parse_tile_path(f"tile/{path}")
    except ValueError as error:
        raise NotFound from error
    if named.level is None:
        return lambda tx: entries_bytes(tx, index=named.index, width=named.width)
    level = named.level
    return lambda tx: tile_bytes(tx, level=level, index=named.index, width=named.width)


def _serve(desk: Desk, visit: Visit, shard: str, read: Callable[[Tx], bytes]) -> bytes:
    known_caller(visit, desk)
    origins = {key.verifier.name for key in desk.log_policy.logs}
    if not any(origin.endswith(f"/log/{shard}") for origin in origins):
        raise NotFound
    return desk.intake.storage.read(read)
