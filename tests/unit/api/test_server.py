# SPDX-License-Identifier: Apache-2.0
"""The embedded server; this file is the contract test with uvicorn's inside, and about the bounds of a connection."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.api.connection import Bounds
from gateway.api.server import ListenerUnsafe, open_socket
from tests.unit.api.authority import Credentials
from tests.unit.api.doorstep import READ_SECONDS, Doorstep, read_all, serve

BOUNDS = Bounds(
    head_bytes_max=2000, head_seconds=0.4, body_seconds=0.4, keep_alive_seconds=1,
    connection_seconds=2, discard_bytes_max=100_000,
)  # fmt: skip


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Read the body on /read, never on other paths, and say what was seen."""
    if scope["type"] != "http":
        return
    if scope["path"] == "/flood":
        await flood(scope, send)
        return
    seen: dict[str, Any] = {"path": scope["path"], "unreadable": scope["state"].get("unreadable")}
    if scope["path"] == "/read":
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size += len(message["body"])
            more = message["more_body"]
        seen["size"] = size
    body = json.dumps(seen).encode()
    status = 400 if seen["unreadable"] else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


FLOOD_BYTES = 64 << 20
FLOODS_ENDED: queue.Queue[str] = queue.Queue()


async def flood(scope: dict[str, Any], send: Any) -> None:
    """Send more than the buffers between us and a peer can hold, and say when it is gone or given up."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % FLOOD_BYTES)]})
    for _ in range(FLOOD_BYTES >> 16):
        await send({"type": "http.response.body", "body": bytes(1 << 16), "more_body": True})
    await send({"type": "http.response.body", "body": b""})
    FLOODS_ENDED.put(scope["path"])


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorstep]:
    with serve(app, tmp_path_factory.mktemp("bounds"), bounds=BOUNDS) as running:
        yield running


def ended(tls: ssl.SSLSocket) -> bytes:
    """Read to the end, whether it is a clean one or not."""
    try:
        return read_all(tls)
    except (ConnectionError, ssl.SSLError):
        return b""


def upload(tls: ssl.SSLSocket, size: int) -> None:
    for _ in range(size // 100_000):
        tls.sendall(b"a" * 100_000)


def post(path: str, size: int, extra: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n{extra}\r\n".encode()


def test_no_continue_is_sent_until_the_body_is_wanted(door: Doorstep) -> None:
    """A caller that waits for 100 Continue uploads nothing before it is known."""
    expect = "Expect: 100-continue\r\n"
    with door.connection(door.authority.issue("polite")) as tls:
        tls.sendall(post("/unread", 4, expect))
        assert tls.recv(4096).startswith(b"HTTP/1.1 200")
    with door.connection(door.authority.issue("polite2")) as tls:
        tls.sendall(post("/read", 4, expect))
        assert tls.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        tls.sendall(b"abcd")
        assert b'"size": 4' in ended(tls)


def test_a_head_that_is_too_large_is_answered_by_the_application(door: Doorstep) -> None:
    """So that even this refusal has a problem document and an event."""
    answer = door.exchange(
        door.authority.issue("long"), b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 3000 + b"\r\n\r\n"
    )

    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"unreadable": "' in answer


def test_noise_inside_tls_is_answered_by_the_application(door: Doorstep) -> None:
    """What the parser cannot read is a refusal like others."""
    answer = door.exchange(door.authority.issue("noise"), b"\x00\x01 not http\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "target",
    [b"GET /\xff", b"GET http://", b"CONNECT a:1", b"GET a b", b"GET /\x00", b"PRI *", b"GET //\r"],
)
def test_a_target_that_is_no_path_is_answered_by_the_application(door: Doorstep, target: bytes) -> None:
    """Whatever stands on the first line, it is a refusal and never a fault of ours."""
    answer = door.exchange(door.authority.issue("odd"), target + b" HTTP/1.1\r\nHost: a\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400")


def test_an_upgrade_is_ignored(door: Doorstep) -> None:
    """No other protocol is spoken here."""
    head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n"

    assert door.exchange(door.authority.issue("upgrader"), head).startswith(b"HTTP/1.1 200")


def test_two_lengths_are_not_http(door: Doorstep) -> None:
    """The oldest smuggling trick: a length and a transfer coding at once."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"

    assert door.exchange(door.authority.issue("smuggler"), head).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: loc", post("/read", 10) + b"abc"])
def test_a_peer_that_stays_silent_is_disconnected(door: Doorstep, sent: bytes) -> None:
    """Before the head, inside the head, inside the body: each has its time."""
    with door.connection(door.authority.issue("slow")) as tls:
        tls.sendall(sent)

        assert ended(tls) == b""


def test_an_idle_connection_is_closed(door: Doorstep) -> None:
    """Keep-alive is a favour with an end."""
    with door.connection(door.authority.issue("idle")) as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

        assert ended(tls).startswith(b"HTTP/1.1 200")


def test_an_unwanted_body_is_dropped_so_that_its_sender_sees_the_refusal(door: Doorstep) -> None:
    """Closing at once would reset the connection and destroy the answer."""
    with door.connection(door.authority.issue("eager")) as tls:
        tls.sendall(post("/unread", 90_000) + b"a" * 90_000)
        first = tls.recv(65536)
        tls.sendall(b"GET /again HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        second = ended(tls)

    assert first.startswith(b"HTTP/1.1 200")
    assert b"/again" in second


def test_an_unwanted_body_is_not_read_for_ever(door: Doorstep) -> None:
    """Who goes on uploading after the refusal is cut off."""
    with door.connection(door.authority.issue("stubborn")) as tls:
        tls.sendall(post("/unread", 60_000_000))

        with pytest.raises((ConnectionError, ssl.SSLError)):
            upload(tls, 60_000_000)


def test_connections_over_the_bound_are_closed(tmp_path: Path) -> None:
    """The bound holds before the handshake, which is the costly part."""
    with serve(app, tmp_path, bounds=Bounds(connections_max=4)) as door, contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("localhost", door.port), timeout=READ_SECONDS))
            for _ in range(6)
        ]

        assert [one.recv(1) for one in silent[4:]] == [b"", b""]


def test_one_network_cannot_take_every_connection(tmp_path: Path) -> None:
    """Handshakes that nobody goes on with hold their place for seconds, and need no certificate."""
    bounds = Bounds(connections_max=100, handshakes_per_network_max=2)
    with serve(app, tmp_path, bounds=bounds) as door, contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", door.port), timeout=READ_SECONDS))
            for _ in range(4)
        ]
        assert [one.recv(1) for one in silent[2:]] == [b"", b""]
        for one in silent:
            one.close()

        assert_reachable(door, door.authority.issue("next"))


def test_one_certificate_cannot_take_every_connection(tmp_path: Path) -> None:
    """Just inside, just outside, another certificate, and again once one has gone."""
    get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    bounds = Bounds(connections_per_certificate_max=2)
    with serve(app, tmp_path, bounds=bounds) as door, contextlib.ExitStack() as stack:
        greedy, modest = door.authority.issue("greedy"), door.authority.issue("modest")
        first, second = (stack.enter_context(door.connection(greedy)) for _ in range(2))
        for tls in (first, second):
            tls.sendall(get)
            assert tls.recv(4096).startswith(b"HTTP/1.1 200")

        with door.connection(greedy) as third:
            assert ended(third) == b""
        with door.connection(modest) as other:
            other.sendall(get)
            assert other.recv(4096).startswith(b"HTTP/1.1 200")
        first.close()
        assert_reachable(door, greedy)


def assert_reachable(door: Doorstep, credentials: Credentials) -> None:
    """Try until the server has seen the others leave."""
    deadline = time.monotonic() + READ_SECONDS
    answer = b""
    while not answer.startswith(b"HTTP/1.1 200"):
        assert time.monotonic() < deadline
        with contextlib.suppress(OSError):
            answer = door.exchange(credentials, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    "bounds", [Bounds(write_seconds=0.3), Bounds(connection_seconds=0.2, body_seconds=0.2)], ids=["stalled", "old"]
)
def test_who_does_not_read_its_answer_is_cut_off(tmp_path: Path, bounds: Bounds) -> None:
    """Else it would keep its connection, and whatever the answer is read from, for ever."""
    with serve(app, tmp_path, bounds=bounds) as door, door.connection(door.authority.issue("deaf")) as tls:
        tls.sendall(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")

        FLOODS_ENDED.get(timeout=READ_SECONDS)
        assert len(ended_late(tls)) < FLOOD_BYTES


def ended_late(tls: ssl.SSLSocket) -> bytes:
    """Read what had left before the end."""
    answer = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while piece := tls.recv(1 << 16):
            answer += piece
    return answer


def test_a_proxy_socket_that_others_can_reach_is_refused(tmp_path: Path) -> None:
    """Whoever can open the socket can name any certificate."""
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(ListenerUnsafe, match="0750"):
        open_socket(folder / "gateway.sock")

    folder.chmod(0o750)
    opened = open_socket(folder / "gateway.sock")
    opened.close()
    assert (folder / "gateway.sock").stat().st_mode & 0o007 == 0
