# SPDX-License-Identifier: Apache-2.0
"""A proxy that only this machine reaches; this file is about what goes through it, byte for byte, and what does not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import httpx2
import pytest
import structlog.testing

from gateway.client import ClientConfig, InputUnusable
from gateway.client import channel as channel_module
from gateway.client.channel import Channel
from gateway.client.proxy import CONNECTIONS_MAX, Proxy

DATA = "/sdmx/v2/data/dataflow/GATEWAY/FLOW/1.0.0/*"
SECONDS_MAX = 10


class Body(httpx2.SyncByteStream):
    """A body in pieces; it breaks off at a piece that is empty."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            if not piece:
                raise httpx2.ReadError("cut")
            yield piece


@dataclass
class Upstream:
    """What the gateway is asked, and what it answers."""

    answer: httpx2.Response | Exception = field(default_factory=lambda: httpx2.Response(200, content=b"a,b\r\n"))
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append((request.method, request.extensions["target"].decode(), dict(request.headers)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def channel(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Iterator[Channel]:
    monkeypatch.setattr(channel_module, "tls_context", lambda _: True)
    none = Path("unused.pem")
    config = ClientConfig(gateway_url="https://gateway.test", server_ca=none, tls_cert=none, tls_key=none)
    opened = Channel(config, transport=httpx2.MockTransport(upstream))
    yield opened
    opened.close()


@contextmanager
def served(channel: Channel, *, purpose: str = "STATISTICS", host: str = "127.0.0.1") -> Iterator[Proxy]:
    with Proxy(channel, host=host, port=0, purpose=purpose) as proxy:
        thread = Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


@pytest.fixture
def proxy(channel: Channel) -> Iterator[Proxy]:
    with served(channel) as started:
        yield started


def exchange(proxy: Proxy, head: str, body: bytes = b"", *, host: str | None = "") -> bytes:
    """Send a request and return all that comes until the connection ends."""
    name = proxy.address if host == "" else host
    lines = head.splitlines() + ([] if name is None else [f"Host: {name}"]) + ["Connection: close"]
    address = proxy.server_address[:2]
    with socket.create_connection(address, timeout=SECONDS_MAX) as raw:
        raw.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        answer = b""
        while piece := raw.recv(1 << 16):
            answer += piece
        return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    "target",
    [
        f"{DATA}?c[REF_AREA]=GTM&c[TIME_PERIOD]=ge:2024-01+le:2024-12",
        f"{DATA}?c%5BREF_AREA%5D=GTM&c%5bSEX%5d=ne%3aF",
        f"{DATA}?",
        f"{DATA}?x=a%2Fb&x=/../&y='\"|{{}}",
        "/sdmx/v1/data/GATEWAY,FLOW,1.0.0/M.A+B..?startPeriod=2024",
        "/sdmx//v2/data",
    ],
)
def test_a_target_goes_on_byte_for_byte(proxy: Proxy, upstream: Upstream, target: str) -> None:
    """`+` is AND in SDMX, and the gateway signs the target as it came."""
    assert status(exchange(proxy, f"GET {target} HTTP/1.1")) == 200

    assert upstream.asked[0][:2] == ("GET", target)


def test_the_purpose_joins_and_the_accepted_forms_pass(proxy: Proxy, upstream: Upstream) -> None:
    accept = "application/vnd.sdmx.data+json;version=2.0.0;q=0.9, text/csv"
    exchange(proxy, f'GET {DATA} HTTP/1.1\nAccept: {accept}\nIf-None-Match: "1"\nAccept-Language: es')
    exchange(proxy, f"GET {DATA} HTTP/1.1\nGateway-Purpose: MONITORING")

    first, second = (headers for _, _, headers in upstream.asked)
    assert (first["accept"], first["if-none-match"], first["accept-language"]) == (accept, '"1"', "es")
    assert (first["gateway-purpose"], second["gateway-purpose"]) == ("STATISTICS", "MONITORING")
    # Who names no form gets another one than who takes anything.
    assert "accept" not in second


def test_nothing_else_that_a_tool_says_goes_on(proxy: Proxy, upstream: Upstream) -> None:
    exchange(
        proxy,
        f"GET {DATA} HTTP/1.1\nCookie: a=b\nAuthorization: Basic YTpi\nClient-Cert: :AAAA:\nAccept-Encoding: gzip",
    )

    headers = upstream.asked[0][2]
    assert not {"cookie", "authorization", "client-cert"} & headers.keys()
    # Digests are over the bytes as sent.
    assert headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("host", "passes"),
    [
        ("127.0.0.1:{port}", True),
        ("localhost:{port}", True),
        ("LOCALHOST:{port}", True),
        ("[::1]:{port}", True),
        ("localhost", False),
        ("localhost:1", False),
        ("evil.test:{port}", False),
        ("127.0.0.1.evil.test:{port}", False),
        ("", False),
        (None, False),
        ("localhost:{port}\r\nHost: localhost:{port}", False),
    ],
)
def test_only_who_names_this_host_is_heard(proxy: Proxy, upstream: Upstream, host: str | None, passes: bool) -> None:
    """A page's own name may resolve to 127.0.0.1: the browser then says that name."""
    port = proxy.server_address[1]
    named = host.format(port=port) if host else host
    lines = f"GET {DATA} HTTP/1.1" + ("\nHost:" if host == "" else "")

    answer = exchange(proxy, lines, host=named or None)

    assert status(answer) == (200 if passes else 421)
    assert len(upstream.asked) == passes


@pytest.mark.parametrize(
    ("line", "passes"),
    [
        ("Sec-Fetch-Site: none", True),
        ("Sec-Fetch-Site: same-origin", True),
        ("Sec-Fetch-Site: cross-site", False),
        ("Sec-Fetch-Site: same-site", False),
        ("Origin: https://evil.test", False),
        ("Origin: null", False),
    ],
)
def test_another_site_s_page_is_not_heard(proxy: Proxy, upstream: Upstream, line: str, passes: bool) -> None:
    answer = exchange(proxy, f"GET {DATA} HTTP/1.1\n{line}")

    assert status(answer) == (200 if passes else 403)
    assert len(upstream.asked) == passes


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/v1/own/flow", 404),
        ("/sdmx", 404),
        ("/sdmxx/v2", 404),
        ("//sdmx/v2", 404),
        ("/sdmx/../v1/own/flow", 404),
        ("/sdmx/%2e%2e/v1/own/flow", 404),
        ("/sdmx/%2E./v1/own/flow", 404),
        ("/sdmx/..%2fv1/own/flow", 404),
        ("/sdmx/v2/./data", 404),
        ("/sdmx/..\\v1/own/flow", 400),
        ("/sdmx/v2/dat\xe9", 400),
        ("https://gateway.test/sdmx/v2/data", 404),
        ("*", 404),
    ],
)
def test_nothing_but_statistics_is_asked(proxy: Proxy, upstream: Upstream, target: str, code: int) -> None:
    assert status(exchange(proxy, f"GET {target} HTTP/1.1")) == code
    assert upstream.asked == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"])
def test_nothing_but_reading_is_done(proxy: Proxy, upstream: Upstream, method: str) -> None:
    assert status(exchange(proxy, f"{method} {DATA} HTTP/1.1\nContent-Length: 2", b"{}")) == 405
    assert upstream.asked == []


@pytest.mark.parametrize("line", ["Content-Length: 2", "Transfer-Encoding: chunked"])
def test_a_body_is_not_taken_for_the_next_request(proxy: Proxy, upstream: Upstream, line: str) -> None:
    smuggled = f"GET {DATA} HTTP/1.1\r\nHost: {proxy.address}\r\n\r\n".encode()

    answer = exchange(proxy, f"GET {DATA} HTTP/1.1\n{line}", smuggled)

    assert (status(answer), answer.count(b"HTTP/1.1 ")) == (400, 1)
    assert upstream.asked == []


def test_an_answer_comes_as_it_is(proxy: Proxy, upstream: Upstream) -> None:
    lines = {"content-type": "text/csv", "etag": '"1"', "signature": "answer=:AAAA:", "connection": "x", "x": "1"}
    upstream.answer = httpx2.Response(406, headers=lines, content=b"a,b\r\n1,2\r\n")

    head, _, body = exchange(proxy, f"GET {DATA} HTTP/1.1").partition(b"\r\n\r\n")

    assert (status(head), body) == (406, b"a,b\r\n1,2\r\n")
    assert {b"content-type: text/csv", b'etag: "1"', b"signature: answer=:AAAA:"} <= set(head.split(b"\r\n"))
    assert b"connection: x" not in head


def test_an_answer_of_unknown_length_streams_in_chunks(proxy: Proxy, upstream: Upstream) -> None:
    upstream.answer = httpx2.Response(200, stream=Body(b"first", b"second"))

    assert exchange(proxy, f"GET {DATA} HTTP/1.1").endswith(b"\r\n\r\n5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n")


def test_to_an_old_tool_it_streams_until_the_end(proxy: Proxy, upstream: Upstream) -> None:
    upstream.answer = httpx2.Response(200, stream=Body(b"first", b"second"))

    head, _, body = exchange(proxy, f"GET {DATA} HTTP/1.0").partition(b"\r\n\r\n")

    assert body == b"firstsecond"
    assert b"chunked" not in head


def test_a_head_and_not_modified_have_no_body(proxy: Proxy, upstream: Upstream) -> None:
    upstream.answer = httpx2.Response(200, headers={"content-length": "7"})
    head = exchange(proxy, f"HEAD {DATA} HTTP/1.1")
    upstream.answer = httpx2.Response(304, headers={"etag": '"1"'})
    unchanged = exchange(proxy, f"GET {DATA} HTTP/1.1")

    assert upstream.asked[0][0] == "HEAD"
    assert b"content-length: 7" in head
    assert head.endswith(b"\r\n\r\n")
    assert status(unchanged) == 304
    assert unchanged.endswith(b"\r\n\r\n")


def test_a_gateway_that_is_away_is_said(proxy: Proxy, upstream: Upstream) -> None:
    upstream.answer = httpx2.ConnectError("refused")

    assert status(exchange(proxy, f"GET {DATA} HTTP/1.1")) == 502


def test_an_answer_that_breaks_off_breaks_off_here(proxy: Proxy, upstream: Upstream) -> None:
    """No last chunk: a tool must not take half a table for a whole one."""
    upstream.answer = httpx2.Response(200, stream=Body(b"first", b""))

    answer = exchange(proxy, f"GET {DATA} HTTP/1.1")

    assert status(answer) == 200
    assert answer.endswith(b"first\r\n")


def test_a_connection_serves_one_request_after_another(proxy: Proxy, upstream: Upstream) -> None:
    request = f"GET {DATA} HTTP/1.1\r\nHost: {proxy.address}\r\n\r\n".encode()
    last = request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with socket.create_connection(proxy.server_address[:2], timeout=SECONDS_MAX) as raw:
        raw.sendall(request + request + last)
        answer = b"".join(iter(lambda: raw.recv(1 << 16), b""))

    assert answer.count(b"HTTP/1.1 200") == 3


def test_each_connection_gives_its_place_back(proxy: Proxy, upstream: Upstream) -> None:
    for _ in range(CONNECTIONS_MAX + 2):
        upstream.answer = httpx2.Response(200, content=b"x")
        assert status(exchange(proxy, f"GET {DATA} HTTP/1.1")) == 200


def test_the_log_tells_nothing_of_what_is_asked(channel: Channel, upstream: Upstream) -> None:
    # Entered before the thread begins, which looks its processors up when it first speaks.
    with structlog.testing.capture_logs() as told, served(channel) as proxy:
        exchange(proxy, f"GET {DATA}?c[SEX]=F HTTP/1.1")

    assert [entry["event"] for entry in told] == ["request passed"]
    assert (told[0]["status"], told[0]["size"]) == (200, 5)
    assert "SEX" not in str(told)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "localhost", "gateway.test", ""])
def test_it_listens_nowhere_else(channel: Channel, host: str) -> None:
    with pytest.raises(InputUnusable, match="loopback") as failure:
        Proxy(channel, host=host, port=0)

    assert "quien llega aquí" in failure.value.es


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
def test_it_listens_on_loopback(channel: Channel, host: str) -> None:
    with served(channel, host=host) as proxy:
        assert proxy.address == f"{host}:{proxy.server_address[1]}"
        assert status(exchange(proxy, f"GET {DATA} HTTP/1.1")) == 200
