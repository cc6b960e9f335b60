# SPDX-License-Identifier: Apache-2.0
"""A real server on a real port in this process; this file is about reaching it with real TLS."""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gateway.api.connection import Bounds
from gateway.api.server import GatewayServer, open_port
from gateway.api.tls import TlsFiles, TlsKeeper
from gateway.errors import Reason
from tests.unit.api.authority import Authority, Credentials

READ_SECONDS = 5


@dataclass
class Doorstep:
    """Where a running server is, and what it said about refused handshakes."""

    port: int
    authority: Authority
    keeper: TlsKeeper
    server: GatewayServer
    refused: queue.Queue[tuple[Reason, str]] = field(default_factory=queue.Queue)

    def client(self, credentials: Credentials | None) -> ssl.SSLContext:
        """Return a client's context that trusts the server."""
        context = ssl.create_default_context(cafile=str(self.authority.anchor))
        if credentials is not None:
            context.load_cert_chain(credentials.certificate, credentials.key)
        return context

    @contextlib.contextmanager
    def connection(self, credentials: Credentials | None) -> Iterator[ssl.SSLSocket]:
        """Open a connection; it may turn out to be refused at the first read."""
        with (
            socket.create_connection(("localhost", self.port), timeout=READ_SECONDS) as raw,
            self.client(credentials).wrap_socket(raw, server_hostname="localhost") as tls,
        ):
            yield tls

    def exchange(self, credentials: Credentials | None, request: bytes) -> bytes:
        """Send bytes and read until the server closes."""
        with self.connection(credentials) as tls:
            tls.sendall(request)
            return read_all(tls)


def read_all(tls: ssl.SSLSocket) -> bytes:
    """Read until the peer ends the connection."""
    answer = b""
    while piece := tls.recv(65536):
        answer += piece
    return answer


@contextlib.contextmanager
def serve(app: Any, folder: Path, *, bounds: Bounds | None = None, tls12: bool = False) -> Iterator[Doorstep]:
    """Run a server for an ASGI application until the block ends."""
    authority = Authority(folder, "mex")
    own = authority.issue("server", server=True)
    files = TlsFiles(own.certificate, own.key, (authority.anchor,), (authority.list,), tls12=tls12)
    keeper = TlsKeeper(files)
    port = open_port("127.0.0.1", 0)
    refused: queue.Queue[tuple[Reason, str]] = queue.Queue()
    server = GatewayServer(
        app, port, tls=keeper, bounds=bounds or replace(Bounds(), keep_alive_seconds=1),
        on_refused=lambda reason, address: refused.put((reason, address)),
    )  # fmt: skip
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + READ_SECONDS
    while not server.started:
        assert time.monotonic() < deadline
        thread.join(0.01)
    try:
        yield Doorstep(port.getsockname()[1], authority, keeper, server, refused)
    finally:
        server.should_exit = True
        thread.join(READ_SECONDS)
        assert not thread.is_alive()
