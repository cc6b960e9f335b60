# SPDX-License-Identifier: Apache-2.0
"""How the port is held; this file is about uvicorn embedded: certificate into the scope, and bounds on everything.

No server hands the client certificate to the application by itself, so a protocol subclass puts it into the
scope. It leans on the inside of uvicorn: the minor version is pinned in pyproject.toml and
tests/unit/api/test_server.py is the contract test.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httptools
import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from gateway.api.tls import Doorway, TlsKeeper, cancel_later, reason_of
from gateway.errors import Reason

FILES_LOOKED_AT_TICKS = 50  # uvicorn ticks ten times a second
ACCEPT_PAUSE_SECONDS = 0.1

OnRefused = Callable[[Reason, str], None]

log = structlog.get_logger()


class ListenerUnsafe(Exception):
    """The listener would be open to more than it says; the text tells how to mend it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one connection may take."""

    connections_max: int = 512
    handshake_seconds: float = 10
    head_bytes_max: int = 32 << 10
    head_seconds: float = 10
    body_seconds: float = 120
    keep_alive_seconds: int = 30
    connection_seconds: float = 3600
    # How much of an unwanted body is read and dropped, so that its sender can see the refusal.
    discard_bytes_max: int = 1 << 20


class GatewayProtocol(HttpToolsProtocol):
    """One connection: uvicorn's protocol with the peer's certificate in the scope, and with bounds."""

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any], bounds: Bounds) -> None:
        super().__init__(config, server_state, app_state)
        self._bounds = bounds
        self._peer_der: bytes | None = None
        self._head_bytes = 0
        self._discarded_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._age: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Read the certificate once for the connection, and start its clocks."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        self._peer_der = tls.getpeercert(binary_form=True) if tls is not None else None
        self._age = self.loop.call_later(self._bounds.connection_seconds, self.shutdown)
        self._expect_within(self._bounds.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        for timer in (self._deadline, self._age):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

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

    def _too_slow(self) -> None:
        log.info("connection too slow")
        self.transport.abort()


class Listener:
    """One open port or socket: accepts, shakes hands, and hands each connection to a protocol."""

    def __init__(
        self,
        port: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        open_count: Callable[[], int],
        *,
        tls: TlsKeeper | None,
        bounds: Bounds,
        on_refused: OnRefused,
    ) -> None:
        self._port = port
        self._make_protocol = make_protocol
        self._open_count = open_count
        self._tls = tls
        self._bounds = bounds
        self._on_refused = on_refused
        self._greetings: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    def close(self) -> None:
        """Accept no more; conversations go on."""
        self._accepting.cancel()
        for greeting in self._greetings:
            greeting.cancel()
        self._port.close()

    async def wait_closed(self) -> None:
        """Return when accepting has ended."""
        await asyncio.gather(self._accepting, *self._greetings, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._port)
            except OSError as error:
                # Out of file descriptors, or the peer left while it waited: neither may end the listener.
                log.warning("accept failed", trouble=error.strerror)
                await asyncio.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            if self._open_count() + len(self._greetings) >= self._bounds.connections_max:
                log.warning("too many connections", limit=self._bounds.connections_max)
                accepted.close()
                continue
            greeting = loop.create_task(self._greet(accepted))
            self._greetings.add(greeting)
            greeting.add_done_callback(self._greetings.discard)

    async def _greet(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        address = _address_of(accepted)

        def turned_away(error: ssl.SSLError) -> None:
            reason = reason_of(error)
            log.info("handshake refused", reason=reason, trouble=error.reason)
            cancel_later(task)
            if reason is not None:
                self._on_refused(reason, address)

        door = Doorway.of(self._tls.context, accepted, turned_away) if self._tls else None
        seconds = self._bounds.handshake_seconds if door else None
        # What went wrong here is known to `turned_away`, or is a peer that left or stayed silent.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await loop.connect_accepted_socket(
                self._make_protocol, accepted, ssl=door, ssl_handshake_timeout=seconds, ssl_shutdown_timeout=seconds
            )


class GatewayServer(uvicorn.Server):
    """uvicorn's server around our listener: life span, ticks and graceful end are uvicorn's."""

    def __init__(
        self,
        app: ASGIApp,
        port: socket.socket,
        *,
        tls: TlsKeeper | None,
        bounds: Bounds,
        on_refused: OnRefused,
    ) -> None:
        super().__init__(
            Config(
                app,
                loop="uvloop",
                http=GatewayProtocol,
                ws="none",
                lifespan="auto",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=bounds.keep_alive_seconds,
                timeout_graceful_shutdown=20,
            )
        )
        self._port = port
        self._tls = tls
        self._bounds = bounds
        self._on_refused = on_refused

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Run the application's start, then accept."""
        del sockets
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise SystemExit(uvicorn.config.STARTUP_FAILURE)
        state = self.server_state

        def make_protocol() -> GatewayProtocol:
            return GatewayProtocol(self.config, state, self.lifespan.state, self._bounds)

        listener: Any = Listener(
            self._port,
            make_protocol,
            lambda: len(state.connections),
            tls=self._tls,
            bounds=self._bounds,
            on_refused=self._on_refused,
        )
        self.servers = [listener]
        self.started = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT as the wish to end in order, and return."""
        with super().capture_signals():
            yield
            # uvicorn would raise them again, and the process would die before the log and the database are closed.
            self._captured_signals.clear()

    async def on_tick(self, counter: int) -> bool:
        """Look at the TLS files now and then, beside what uvicorn does."""
        if self._tls is not None and counter % FILES_LOOKED_AT_TICKS == 0:
            await asyncio.to_thread(self._tls.refresh)
            if counter == 0:
                await asyncio.to_thread(self._tls.warn_of_stale_lists, at=datetime.now(UTC))
        return await super().on_tick(counter)


def open_port(host: str, port: int, *, backlog: int = 1024) -> socket.socket:
    """Return a listening TCP socket; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=backlog)
    listening.setblocking(False)  # noqa: FBT003 -- the standard library's only form
    return listening


def open_socket(path: Path, *, backlog: int = 1024) -> socket.socket:
    """Return a listening unix socket for the proxy.

    Raises:
        ListenerUnsafe: when others than owner and group could reach it: whoever can, names any certificate.
    """
    mode = stat.S_IMODE(path.parent.stat().st_mode)
    if mode & 0o027:
        raise ListenerUnsafe(f"{path.parent} has mode {mode:04o}; the folder of the proxy socket must be 0750 or less")
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    path.chmod(0o660)
    listening.listen(backlog)
    listening.setblocking(False)  # noqa: FBT003 -- the standard library's only form
    return listening


def _address_of(accepted: socket.socket) -> str:
    try:
        name = accepted.getpeername()
    except OSError:
        return "unknown"
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "unix"
