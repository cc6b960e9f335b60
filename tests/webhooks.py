# SPDX-License-Identifier: Apache-2.0
"""A partner's webhook; this file is about an https server that keeps what it is sent, and answers as it is told."""

from __future__ import annotations

import contextlib
import queue
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SECONDS_MAX = 60


@dataclass(frozen=True)
class Posted:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Webhook:
    """What came in, in order; `answers` are the next statuses, 204 when there are none left."""

    url: str = ""
    posted: queue.Queue[Posted] = field(default_factory=queue.Queue)
    answers: deque[int] = field(default_factory=deque)

    def next(self) -> Posted:
        """Return what came next, waiting for it for a bounded time."""
        return self.posted.get(timeout=SECONDS_MAX)


@contextlib.contextmanager
def webhook(certificate: Path, key: Path, *, port: int = 0) -> Iterator[Webhook]:
    """Listen on this machine with a certificate for localhost until the block ends."""
    kept = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = kept.answers.popleft() if kept.answers else 204
            self.send_response(status)
            if status == 302:
                self.send_header("location", "/elsewhere")
            self.end_headers()
            kept.posted.put(Posted(self.path, headers, body))

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    kept.url = f"https://localhost:{server.server_address[1]}/notices?from=gateway"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
