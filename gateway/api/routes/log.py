# SPDX-License-Identifier: Apache-2.0
"""The audit log as a static tree; this file is about the routes of C2SP tlog-tiles, its keys and its policy.

Only partners and officers are served: the times of the entries alone tell when a country read or searched.
"""

from __future__ import annotations

import re
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

IMMUTABLE = "private, max-age=31536000, immutable"
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
_TILE = re.compile(r"(0|[1-9]\d?|entries)/((?:x\d{3}/)*\d{3})(?:\.p/([1-9]\d{0,2}))?")
_FULL = 256


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
    """Return what reads the tile or bundle that a path names.

    Raises:
        NotFound: when the path is not in its one canonical form.
    """
    named = _TILE.fullmatch(path)
    if named is None:
        raise NotFound
    level, groups, partial = named.groups()
    parts = groups.split("/")
    # `x000/001` would be a second name of tile 1.
    if len(parts) > 1 and parts[0] == "x000":
        raise NotFound
    index = int("".join(part.removeprefix("x") for part in parts))
    width = int(partial) if partial else _FULL
    if width > _FULL or (partial and width == _FULL):
        raise NotFound
    if level == "entries":
        return lambda tx: entries_bytes(tx, index=index, width=width)
    return lambda tx: tile_bytes(tx, level=int(level), index=index, width=width)


def _serve(desk: Desk, visit: Visit, shard: str, read: Callable[[Tx], bytes]) -> bytes:
    known_caller(visit, desk)
    origins = {key.verifier.name for key in desk.log_policy.logs}
    if not any(origin.endswith(f"/log/{shard}") for origin in origins):
        raise NotFound
    return desk.intake.storage.read(read)
