# SPDX-License-Identifier: Apache-2.0
"""One connection; this file is about uvicorn's protocol with the peer's certificate in the scope, and with bounds.

No server hands the client certificate to the application by itself, so a protocol subclass puts it into the
scope. It leans on the inside of uvicorn: the minor version is pinned in pyproject.toml and
tests/unit/api/test_server.py is the contract test.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

import httptools
import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one connection may take."""

    connections_max: int = 512
    # So that neither one address nor one certificate can take all of them.
    handshakes_per_network_max: int = 128
    connections_per_certificate_max: int = 128
    handshake_seconds: float = 10
    head_bytes_max: int = 32 << 10
    head_seconds: float = 10
    body_seconds: float = 120
    keep_alive_seconds: int = 30
    connection_seconds: float = 3600
    # How long an answer may wait for a peer that does not read.
    write_seconds: float = 60
    # How much of an unwanted body is read and dropped, so that its sender can see the refusal.
    discard_bytes_max: int = 1 << 20


class GatewayProtocol(HttpToolsProtocol):
    """One connection: uvicorn's protocol with the peer's certificate in the scope, and with bounds."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        bounds: Bounds,
        open_by_certificate: Counter[bytes],
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._bounds = bounds
        self._open_by_certificate = open_by_certificate
        self._peer_der: bytes | None = None
        self._head_bytes = 0
        self._discarded_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._age: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Read the certificate once for the connection, and start its clocks."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        self._peer_der = tls.getpeercert(binary_form=True) if tls is not None else None
        self._age = self.loop.call_later(self._bounds.connection_seconds, self._grow_old)
        self._expect_within(self._bounds.head_seconds)
        if self._peer_der is not None:
            self._open_by_certificate[self._peer_der] += 1
            if self._open_by_certificate[self._peer_der] > self._bounds.connections_per_certificate_max:
                log.warning("too many connections of one certificate")
                transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        for timer in (self._deadline, self._age, self._unread):
            if timer is not None:
                timer.cancel()
        if self._peer_der is not None:
            self._open_by_certificate[self._peer_der] -= 1
            if not self._open_by_certificate[self._peer_der]:
                del self._open_by_certificate[self._peer_der]
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Give a peer that does not read what it asked for a while."""
        super().pause_writing()
        self._unread = self.loop.call_later(self._bounds.write_seconds, self._too_slow)

    def resume_writing(self) -> None:
        """Go on: the peer reads."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def on_message_begin(self) -> None:
        """Begin a request: the certificate goes into its state."""
        super().on_message_begin()
        self._head_bytes = self._discarded_bytes = 0
        self.scope["state"]["peer_der"] = self._peer_der
        self._expect_within(self._bounds.head_seconds)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request target."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field."""
        self._count_head(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request over; its body now has a time to arrive."""
        self._expect_within(self._bounds.body_seconds)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body, or drop it when the answer is out already."""
        if self.cycle.response_complete:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > self._bounds.discard_bytes_max:
                # A polite end would go on reading until the peer agrees to it; the answer left long ago.
                self.transport.abort()
                return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note the end of the request; between requests uvicorn's keep-alive clock runs."""
        self._stop_deadline()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Let the application refuse what the parser cannot read, so that it has a problem document and an event."""
        self._stop_deadline()
        if self._is_answering():
            # The body broke off in the middle of its coding: who reads it is woken, refuses, and the answer ends this.
            self.scope["state"]["broken"] = True
            self.cycle.keep_alive = False
            self.cycle.message_event.set()
            return
        state = {**self.app_state, "peer_der": self._peer_der, "unreadable": msg}
        scope: Any = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "headers": [],
            "state": state,
            "method": "GET",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
        }
        self.cycle = self._cycle_without_body(scope)
        self._start_asgi_task(self.cycle, self.app)

    def _cycle_without_body(self, scope: Any) -> RequestResponseCycle:
        cycle = RequestResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        cycle.more_body = False
        return cycle

    def _is_answering(self) -> bool:
        # uvicorn types the cycle as always there, yet it is None before the first request.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._bounds.head_bytes_max:
            raise httptools.HttpParserError("the head is too large")

    def _expect_within(self, seconds: float) -> None:
        self._stop_deadline()
        self._deadline = self.loop.call_later(seconds, self._too_slow)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _grow_old(self) -> None:
        # What is under way may end, but not for ever: who reads a byte a minute would stay as long as it likes.
        self.shutdown()
        self._age = self.loop.call_later(self._bounds.body_seconds, self._too_slow)

    def _too_slow(self) -> None:
        log.info("connection too slow")
        self.transport.abort()
