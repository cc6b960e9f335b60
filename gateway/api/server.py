# SPDX-License-Identifier: Apache-2.0
"""How the port is held; this file is about uvicorn embedded: accepting, shaking hands, reading files again."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import stat
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import Config

from gateway.api.connection import Bounds, GatewayProtocol
from gateway.api.limits import network_of
from gateway.api.tls import Doorway, TlsKeeper, cancel_later, reason_of
from gateway.errors import Reason
from gateway.identity.watched import FollowsFiles

FILES_LOOKED_AT_TICKS = 50  # uvicorn ticks ten times a second
ACCEPT_PAUSE_SECONDS = 0.1

OnRefused = Callable[[Reason, str], None]

log = structlog.get_logger()


class ListenerUnsafe(Exception):
    """The listener would be open to more than it says; the text tells how to mend it."""


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
        self._under_way: Counter[str] = Counter()
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
            address = _address_of(accepted)
            network = network_of(address)
            if self._tls and self._under_way[network] >= self._bounds.handshakes_per_network_max:
                log.warning("too many handshakes of one network", limit=self._bounds.handshakes_per_network_max)
                accepted.close()
                continue
            self._under_way[network] += 1
            greeting = loop.create_task(self._greet(accepted, address))
            self._greetings.add(greeting)
            greeting.add_done_callback(partial(self._greeted, network))

    def _greeted(self, network: str, greeting: asyncio.Task[None]) -> None:
        self._greetings.discard(greeting)
        self._under_way[network] -= 1
        if not self._under_way[network]:
            del self._under_way[network]

    async def _greet(self, accepted: socket.socket, address: str) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None

        def turned_away(error: ssl.SSLError) -> None:
            reason = reason_of(error)
            log.info("handshake refused", reason=reason, trouble=error.reason)
            cancel_later(task)
            if reason is not None:
                self._on_refused(reason, address)

        door = Doorway.of(self._tls.current, accepted, turned_away) if self._tls else None
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
        watched: Sequence[FollowsFiles] = (),
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
        self._watched: tuple[FollowsFiles, ...] = (*watched, tls) if tls else tuple(watched)
        self._reload_asked = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Run the application's start, then accept."""
        del sockets
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise SystemExit(uvicorn.config.STARTUP_FAILURE)
        state = self.server_state
        open_by_certificate: Counter[bytes] = Counter()

        def make_protocol() -> GatewayProtocol:
            return GatewayProtocol(self.config, state, self.lifespan.state, self._bounds, open_by_certificate)

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
        """Take SIGTERM and SIGINT as the wish to end in order, and return; SIGHUP as the wish to read files again."""
        with super().capture_signals():
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGHUP, self._ask_for_reload)
            yield
            # uvicorn would raise them again, and the process would die before the log and the database are closed.
            self._captured_signals.clear()

    def _ask_for_reload(self, *_: object) -> None:
        self._reload_asked = True

    async def on_tick(self, counter: int) -> bool:
        """Look at the files now and then, and when somebody asks, beside what uvicorn does."""
        asked = self._reload_asked
        if asked or counter % FILES_LOOKED_AT_TICKS == 0:
            self._reload_asked = False
            for one in self._watched:
                await asyncio.to_thread(one.refresh, asked=asked)
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
