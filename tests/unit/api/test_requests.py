# SPDX-License-Identifier: Apache-2.0
"""Heads read strictly and bodies read late; this file is about what reaches the trip."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import anyio
import anyio.to_thread
import pytest

from gateway.api.desk import Desk
from gateway.api.language import language_of
from gateway.api.requests import check_head, check_request, signed_request, target_uri
from gateway.api.visit import Visit
from gateway.errors import BodyIncomplete, BodyTooLarge, RequestMalformed
from gateway.trip import SignedRequest

AT = datetime(2026, 11, 24, 2, tzinfo=UTC)
SCOPE = {
    "method": "POST",
    "raw_path": b"/v1/submissions/flow/1.0.0",
    "query_string": b"a=b%20c+d",
    "headers": [(b"content-type", b" application/x-ndjson "), (b"content-length", b"4")],
    "state": {"peer_der": b"\x30\x00"},
}


def request(receive: Any, *, seconds: float = 5, bytes_max: int = 100, scope: Any = SCOPE) -> SignedRequest:
    parts = SimpleNamespace(
        public_origin="https://gw.example", peer_mode="direct", body_bytes_max=bytes_max, body_seconds=seconds
    )
    visit = Visit("r", AT, "en", scope["raw_path"].decode(), None)
    return signed_request(scope, receive, cast("Desk", parts), visit)


def messages(*given: dict[str, Any]) -> Callable[[], Awaitable[dict[str, Any]]]:
    waiting = list(given)

    async def receive() -> dict[str, Any]:
        if not waiting:
            await anyio.sleep_forever()
        return waiting.pop(0)

    return receive


def read(signed: SignedRequest) -> bytes:
    async def main() -> bytes:
        return await anyio.to_thread.run_sync(lambda: b"".join(signed.body))

    return anyio.run(main)


def piece(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_the_target_uri_is_the_public_origin_with_the_raw_path_and_query() -> None:
    """A decoded and re-encoded path would be another URI than the one that was signed."""
    assert target_uri(SCOPE, "https://gw.example") == "https://gw.example/v1/submissions/flow/1.0.0?a=b%20c+d"


def test_the_body_is_pulled_only_when_it_is_asked_for() -> None:
    """Nothing is received, and so no 100 Continue sent, before the signature is proven."""
    asked: list[str] = []
    given = messages(piece(b"ab", more=True), piece(b"cd", more=False))

    async def receive() -> dict[str, Any]:
        asked.append("asked")
        return await given()

    signed = request(receive)
    assert asked == []

    assert read(signed) == b"abcd"
    assert len(asked) == 2
    assert signed.header("content-type") == "application/x-ndjson"


def test_a_peer_that_goes_away_leaves_an_incomplete_body() -> None:
    """Half a body must never look like a whole one."""
    with pytest.raises(BodyIncomplete):
        read(request(messages(piece(b"ab", more=True), {"type": "http.disconnect"})))


def test_a_body_that_does_not_come_in_time_is_incomplete() -> None:
    """A thread is not held for ever."""
    with pytest.raises(BodyIncomplete):
        read(request(messages(piece(b"ab", more=True)), seconds=0.05))


def test_a_declared_length_over_the_bound_is_refused_before_the_first_byte() -> None:
    """Just inside is read, just outside is not even asked for."""
    inside = request(messages(piece(b"abcd", more=False)), bytes_max=4)
    outside = request(messages(), bytes_max=3)

    assert read(inside) == b"abcd"
    with pytest.raises(BodyTooLarge):
        read(outside)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-type", b"a"), (b"content-type", b"a")],
        [(b"content_digest", b"a")],
        [(b"idempotency_key", b"a")],
        [(b"client_cert", b"a")],
        [(b"x-note", "ñ".encode())],
    ],
)
def test_a_head_that_can_be_read_in_two_ways_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    """A proxy, a log and the gateway must read the same request."""
    with pytest.raises(RequestMalformed):
        check_head(headers)


def test_an_ordinary_head_passes() -> None:
    """Lists may be repeated, and unknown fields may have underscores."""
    check_head([(b"accept", b"a"), (b"accept", b"b"), (b"x_custom", b"c"), (b"signature", b"a=:AA==:")])


@pytest.mark.parametrize(
    ("wanted", "language"),
    [
        (b"", "en"), (b"es", "es"), (b"es-MX,en;q=0.5", "es"), (b"en,es;q=0.9", "en"), (b"fr,es;q=0.2", "es"),
        (b"de", "en"), (b"es;q=x", "en"), (b"es;q=0", "en"), (b"en; q=0.1, es ; q=0.5", "es"),
        (b"est", "en"), (b"es;q=nan, en", "en"), (b"en, es;q=7", "en"),
    ],
)  # fmt: skip
def test_the_language_is_the_one_that_the_reader_prefers(wanted: bytes, language: str) -> None:
    """Spanish is not an afterthought."""
    assert language_of([(b"accept-language", wanted)]) == language


GOOD: dict[str, Any] = {
    "http_version": "1.1", "raw_path": b"/v1/submissions", "query_string": b"after=%C3%A9", "state": {},
    "headers": [(b"host", b"localhost")],
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"state": {"unreadable": "noise"}},
        {"http_version": "1.0"},
        {"http_version": "0.9"},
        {"headers": []},
        {"headers": [(b"host", b"localhost"), (b"host", b"localhost")]},
        {"raw_path": b"/v1/audit/events/%00"},
        {"query_string": b"after=%00"},
        {"query_string": b"after=%0a"},
        {"query_string": b"after=%7F"},
    ],
)
def test_what_is_no_request_of_ours_is_malformed(changes: dict[str, Any]) -> None:
    """Other versions, no host or two, and bytes that a database, a log or a terminal may take for an order."""
    check_request(GOOD)

    with pytest.raises(RequestMalformed):
        check_request({**GOOD, **changes})


def test_a_body_that_never_lets_us_wait_ends_in_time_too() -> None:
    """The bound is on the whole time, decoding included, not on the time spent waiting for the peer."""

    async def always(_count: list[int] = []) -> dict[str, Any]:  # noqa: B006 -- counts over all calls
        _count.append(1)
        assert len(_count) < 1_000_000
        return piece(b"x", more=True)

    with pytest.raises(BodyIncomplete):
        read(request(always, seconds=0.05))
