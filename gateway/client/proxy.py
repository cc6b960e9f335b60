# SPDX-License-Identifier: Apache-2.0
"""Tools that have no certificate; this file is about the loopback proxy that lends them the partner's, and a purpose.

It reads statistics and nothing else. Whoever may open a port of this machine may use it, so it listens on loopback
only. A page in a browser could reach it there too, hence (1) the request must name this very host (a name of somebody
else's that resolves to 127.0.0.1 does not), and (2) a browser must not say that another site asks.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from ipaddress import IPv6Address, ip_address
from socket import AF_INET, AF_INET6, socket
from socketserver import TCPServer, ThreadingMixIn
from threading import BoundedSemaphore
from typing import Any, Final, NoReturn
from urllib.parse import unquote

import structlog

from gateway.client.channel import Answer, Channel
from gateway.client.failures import AnswerNotTrusted, CannotReach, InputUnusable
from gateway.client.saved import PURPOSE

CONNECTIONS_MAX: Final = 32
IDLE_SECONDS: Final = 30
_STATISTICS: Final = "/sdmx/"
_READING: Final = frozenset({"GET", "HEAD"})
# What a tool may say to the gateway; no cookie, no credential and no hop-by-hop field among them.
_ASKING: Final = ("accept", "accept-language", "if-modified-since", "if-none-match", PURPOSE)
_HOP_BY_HOP: Final = frozenset({
    "connection", "date", "keep-alive", "proxy-authenticate", "server", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
_BODILESS: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_TARGET: Final = re.compile(r"[\x21-\x7e]+")
_STEPS: Final = frozenset({".", ".."})

log = structlog.get_logger()


class Proxy(ThreadingMixIn, TCPServer):
    """The server; a context manager like its base. `address` is where it listens."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = CONNECTIONS_MAX

    def __init__(self, channel: Channel, *, host: str, port: int, purpose: str = "") -> None:
        self.address_family = _family(host)
        self.channel = channel
        self.purpose = purpose
        self._slots = BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__((host, port), _Handler)
        self.address = f"[{host}]" if self.address_family == AF_INET6 else host
        self.address += f":{self.server_address[1]}"
        own = (f"{name}:{self.server_address[1]}" for name in ("localhost", "127.0.0.1", "[::1]"))
        self.names = frozenset({self.address, *own})

    def process_request(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """Serve a connection on a thread; at the bound, wait until one ends, which an idle one soon does."""
        self._slots.acquire()
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket | tuple[bytes, socket]) -> None:
        """End a connection."""
        super().shutdown_request(request)
        self._slots.release()


class _Turned(Exception):
    """A request that does not go to the gateway."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        self.status = status
        super().__init__(text)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    server: Proxy

    def do_GET(self) -> None:
        began, self.sent, self.answered = time.monotonic(), 0, 0
        try:
            target = self._admitted()
            headers = {name: ", ".join(self.headers.get_all(name, [])) for name in _ASKING if name in self.headers}
            if self.server.purpose:
                headers.setdefault(PURPOSE, self.server.purpose)
            with self.server.channel.stream(
                self.command, _STATISTICS, headers=headers, target=target.encode("ascii")
            ) as (head, chunks):
                self._relay(head, chunks)
        except _Turned as turned:
            self._say(turned.status, str(turned))
        except (CannotReach, AnswerNotTrusted) as failure:
            if self.answered:
                self.close_connection = True  # Too late for another status: cut, the length tells the tool.
            else:
                self._say(HTTPStatus.BAD_GATEWAY, f"the gateway cannot be reached: {failure}")
        except OSError:
            self.close_connection = True  # The tool went away.
        finally:
            seconds = round(time.monotonic() - began, 3)
            log.info("request passed", method=self.command, status=self.answered, size=self.sent, seconds=seconds)

    def do_HEAD(self) -> None:
        self.do_GET()

    def parse_request(self) -> bool:
        """Read a head, and refuse what is no reading; a body that came with it is not looked at."""
        if not super().parse_request():
            return False
        if self.command not in _READING:
            self._say(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD: this reads statistics")
        return self.command in _READING

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Say what the base cannot read."""
        self._say(HTTPStatus(code), message or explain or "")

    def version_string(self) -> str:
        return "gateway-proxy"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base names it
        """Say nothing: what is asked for is no matter of a log."""

    def _admitted(self) -> str:
        """Return the target of a request that may go on, as it came, or raise."""
        if [name.lower() for name in self.headers.get_all("host", [])] not in ([name] for name in self.server.names):
            _turn(HTTPStatus.MISDIRECTED_REQUEST, f"ask for http://{self.server.address}/")  # (1)
        if "origin" in self.headers or self.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            _turn(HTTPStatus.FORBIDDEN, "not for the pages of other sites")  # (2)
        if "transfer-encoding" in self.headers or self.headers.get("content-length", "0") != "0":
            _turn(HTTPStatus.BAD_REQUEST, "a request for data has no body")
        # The base makes `//x` of a path `/x`; the line as it came is what goes on.
        target = self.requestline.split()[1]
        path = unquote(target.partition("?")[0])
        if not _TARGET.fullmatch(target) or "\\" in path:
            _turn(HTTPStatus.BAD_REQUEST, "percent-encode what is not printable ASCII")
        if not path.startswith(_STATISTICS) or _STEPS & set(path.split("/")):
            _turn(HTTPStatus.NOT_FOUND, f"only {_STATISTICS} is here")
        return target

    def _relay(self, head: Answer, chunks: Iterator[bytes]) -> None:
        fields = [(name, value) for name, value in head.headers if name not in _HOP_BY_HOP]
        has_body = self.command != "HEAD" and head.status not in _BODILESS
        chunked = has_body and head.header("content-length") is None
        if chunked and self.request_version == "HTTP/1.0":
            chunked, self.close_connection = False, True
        self._begin(head.status, {"transfer-encoding": "chunked"} if chunked else {}, fields)
        for chunk in chunks if has_body else ():
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
            self.sent += len(chunk)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _begin(self, status: int, more: Mapping[str, str], fields: list[tuple[str, str]]) -> None:
        self.answered = status
        self.send_response(status)
        for name, value in [*fields, *more.items()]:
            self.send_header(name, value)
        self.end_headers()

    def _say(self, status: HTTPStatus, text: str) -> None:
        body = f"{status.value} {status.phrase}: {text}\n".encode()
        # Whatever else the tool has sent is not read.
        fields = [("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body)))]
        with suppress(OSError):
            self._begin(status, {"connection": "close"}, fields)
            if self.command != "HEAD":
                self.wfile.write(body)


def _turn(status: HTTPStatus, text: str) -> NoReturn:
    raise _Turned(status, text)


def _family(host: str) -> int:
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise InputUnusable(
            f"{host} is no loopback address: who reaches this reads as you; 127.0.0.1 or ::1",
            f"{host} no es una dirección local: quien llega aquí lee como usted; 127.0.0.1 o ::1",
        )
    return AF_INET6 if isinstance(address, IPv6Address) else AF_INET
