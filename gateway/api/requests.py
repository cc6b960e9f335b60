# SPDX-License-Identifier: Apache-2.0
"""From the wire to a value; this file is about reading a request's head strictly and its body only when asked.

The trip runs on a worker thread and pulls the body through the event loop, piece by piece. Until it pulls, not a
byte of the body is read and no `100 Continue` is sent: who signs nothing uploads nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote_to_bytes

import anyio
import anyio.from_thread
from starlette.requests import ClientDisconnect, Request

from gateway.api.desk import Desk
from gateway.api.peer import CLAIMING_HEADERS, Headers, peer_certificate
from gateway.api.visit import Visit
from gateway.errors import BodyIncomplete, BodyTooLarge, RequestMalformed
from gateway.trip import SignedRequest

Receive = Callable[[], Awaitable[Any]]

_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")
# Two values of one of these would be read differently by a proxy, a log and us.
_SINGLE = frozenset({
    b"host", b"content-type", b"content-encoding", b"content-length", b"content-digest", b"idempotency-key",
    b"gateway-records", b"gateway-purpose", b"authorization", b"prefer",
}) | CLAIMING_HEADERS  # fmt: skip


def check_request(scope: Mapping[str, Any]) -> None:
    """Refuse requests that are no HTTP/1.1, or that two programs could read in two ways.

    Raises:
        RequestMalformed: with what is wrong.
    """
    if unreadable := scope["state"].get("unreadable"):
        raise RequestMalformed(what=unreadable)
    # Older versions know neither Host nor a certain end of the body; no agency and no proxy of ours needs them.
    if scope["http_version"] != "1.1":
        raise RequestMalformed(what="only HTTP/1.1 is spoken here")
    if [name for name, _ in scope["headers"]].count(b"host") != 1:
        raise RequestMalformed(what="the field host is there once")
    # No name of ours has one, and databases, logs and terminals read them each in their own way.
    if _CONTROLS.search(unquote_to_bytes(scope["raw_path"] + b"?" + scope["query_string"])):
        raise RequestMalformed(what="a control character in the address")
    check_head(scope["headers"])


def check_head(headers: Headers) -> None:
    """Refuse heads that two programs could read in two ways.

    Raises:
        RequestMalformed: for a doubled field, a field spelled with underscores, or bytes that are not ASCII.
    """
    seen: set[bytes] = set()
    for name, value in headers:
        # Some servers fold `content_digest` into `content-digest`, so that one field could pose as another.
        if b"_" in name and name.replace(b"_", b"-") in _SINGLE:
            raise RequestMalformed(what="a field name is spelled with underscores")
        if name in _SINGLE and name in seen:
            raise RequestMalformed(what=f"the field {name.decode('ascii', 'replace')} appears twice")
        if not value.isascii() or not name.isascii():
            raise RequestMalformed(what="a field is not ASCII")
        seen.add(name)


def target_uri(scope: Mapping[str, Any], public_origin: str) -> str:
    """Return the `@target-uri`: our public origin, then path and query byte for byte as they came."""
    path = scope["raw_path"].decode("ascii")
    query = scope["query_string"].decode("ascii")
    return f"{public_origin}{path}?{query}" if query else f"{public_origin}{path}"


def signed_request(scope: Mapping[str, Any], receive: Receive, desk: Desk, visit: Visit) -> SignedRequest:
    """Return the request as a value for the trip.

    Raises:
        CertificateRequired: when the caller proved none.
    """
    headers = tuple((name.decode("ascii"), value.decode("ascii").strip()) for name, value in scope["headers"])
    declared = next((value for name, value in headers if name == "content-length"), "0")
    return SignedRequest(
        request_id=visit.request_id,
        method=scope["method"],
        target_uri=target_uri(scope, desk.public_origin),
        path=visit.path,
        headers=headers,
        peer=peer_certificate(scope, desk.peer_mode),
        body=_body(_unbroken(scope, receive), int(declared), bytes_max=desk.body_bytes_max, seconds=desk.body_seconds),
        received_at=visit.at,
        language=visit.language,
    )


async def with_small_body(
    request: SignedRequest, scope: Mapping[str, Any], receive: Receive, desk: Desk, *, bytes_max: int
) -> tuple[SignedRequest, bool]:
    """Return a request and whether its whole body is in hand, read on the event loop; of a larger one nothing is."""
    announced = request.header("content-length") or ""
    # Who waits for our `100 Continue` wants to hear a refusal of the head before.
    small = announced.isdecimal() and len(announced) <= len(str(bytes_max)) and 0 < int(announced) <= bytes_max
    if not small or request.header("transfer-encoding") or request.header("expect"):
        return request, False
    receive, end, pieces, more = _unbroken(scope, receive), time.monotonic() + desk.body_seconds, [], True
    try:
        while more:
            piece, more = _piece(await _receive_before(receive, end))
            pieces.append(piece)
    except BodyIncomplete:
        return replace(request, body=_BrokenOff()), False
    return replace(request, body=(b"".join(pieces),)), True


async def small_body(request: Request, *, bytes_max: int) -> bytes:
    """Return a whole body that has to be small.

    Raises:
        BodyTooLarge: when it is not.
        BodyIncomplete: when the peer goes away.
    """
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > bytes_max:
                raise BodyTooLarge(limit=f"{bytes_max} bytes", what="as sent")
    except ClientDisconnect as error:
        raise BodyIncomplete from error
    return bytes(body)


class _BrokenOff:
    """Says what happened to a body where the trip reads it, which refuses in the caller's name."""

    def __iter__(self) -> Iterator[bytes]:
        raise BodyIncomplete


def _piece(message: Any) -> tuple[bytes, bool]:
    """Return the next bytes of a body, and whether there are more."""
    if message["type"] == "http.disconnect":
        raise BodyIncomplete
    return message.get("body", b""), message.get("more_body", False)


def _body(receive: Receive, declared_bytes: int, *, bytes_max: int, seconds: float) -> Iterator[bytes]:
    """Yield the body as it arrives; runs on a worker thread.

    Raises:
        BodyTooLarge: before the first byte, when the declared length is over the bound.
        BodyIncomplete: when the peer goes away or does not finish in time.
    """
    if declared_bytes > bytes_max:
        raise BodyTooLarge(limit=f"{bytes_max} bytes", what="Content-Length")
    end = time.monotonic() + seconds
    more = True
    while more:
        # Asked here as well: who sends just fast enough for us never lets `_receive_before` wait.
        if time.monotonic() > end:
            raise BodyIncomplete
        piece, more = _piece(anyio.from_thread.run(_receive_before, receive, end))
        if piece:
            yield piece


def _unbroken(scope: Mapping[str, Any], receive: Receive) -> Receive:
    async def receive_unbroken() -> Any:
        message = await receive()
        if scope["state"].get("broken"):
            raise BodyIncomplete
        return message

    return receive_unbroken


async def _receive_before(receive: Receive, end: float) -> Any:
    try:
        with anyio.fail_after(max(0.0, end - time.monotonic())):
            return await receive()
    except TimeoutError as error:
        raise BodyIncomplete from error
