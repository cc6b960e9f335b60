# SPDX-License-Identifier: Apache-2.0
"""Behind a proxy; this file is about certificates that come in a header, on a unix socket that only the proxy opens."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.errors import Reason
from gateway.onboarding.sandbox import create_sandbox
from tests.api.asking import Asked, check_problem, check_signature, line, signed
from tests.running import READ_SECONDS, USA, Running, parse_answer


class Proxied(Running):
    """A gateway in proxy mode, reached as its proxy reaches it."""

    socket_path: Path

    def send(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
            raw.settimeout(READ_SECONDS)
            raw.connect(str(self.socket_path))
            raw.sendall(request)
            answer = b""
            while piece := raw.recv(1 << 20):
                answer += piece
        return parse_answer(answer)

    def answers(self) -> bool:
        try:
            return self.send(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")[0] == 200
        except OSError:
            return False


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("proxied")
    run = folder / "run"
    run.mkdir()
    run.chmod(0o750)
    path = run / "gateway.sock"
    environment = {"GATEWAY_PEER_MODE": "proxy", "GATEWAY_LISTEN_SOCKET": str(path)}
    started = Proxied(create_sandbox(folder / "sandbox"), environment)
    started.socket_path = path
    started.start(until_ready=False)
    try:
        yield started
    finally:
        started.stop()


def rfc9440(gateway: Running, name: str) -> tuple[str, str]:
    pem = gateway.credentials(name).tls_cert.read_bytes()
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    return "Client-Cert", f":{base64.b64encode(der).decode()}:"


def escaped_pem(gateway: Running, name: str) -> tuple[str, str]:
    return "X-SSL-Client-Cert", quote(gateway.credentials(name).tls_cert.read_text(), safe="")


def send(gateway: Proxied, asked: Asked, *certificates: tuple[str, str]) -> tuple[int, dict[str, str], Any]:
    """Send a request as a proxy would, and check the answer's signature."""
    status, headers, body = gateway.send(replace(asked, extra=certificates).wire())
    check_signature(gateway, asked, status, headers, body)
    return status, headers, json.loads(body)


@pytest.mark.parametrize("form", [rfc9440, escaped_pem])
def test_a_submission_through_a_proxy_is_accepted(proxied: Proxied, form: Any) -> None:
    """HAProxy and nginx write the certificate each in its own way."""
    status, _, document = send(proxied, signed(proxied, [line()]), form(proxied, USA))

    assert status == 201, document


@pytest.mark.parametrize(
    ("specimen", "reason"),
    [
        ("expired", Reason.CERTIFICATE_EXPIRED),
        ("not-yet-valid", Reason.CERTIFICATE_NOT_YET_VALID),
        ("revoked", Reason.CERTIFICATE_REVOKED),
        ("foreign", Reason.CERTIFICATE_UNTRUSTED),
        ("unpinned", Reason.UNKNOWN_PARTNER),
    ],
)
def test_a_certificate_that_does_not_hold_is_a_problem(proxied: Proxied, specimen: str, reason: Reason) -> None:
    """The gateway judges the certificate again, whatever the proxy thought of it."""
    status, headers, document = send(proxied, signed(proxied, [line()]), rfc9440(proxied, specimen))

    check_problem(proxied, status, headers, document, reason)


def test_without_a_certificate_there_is_a_problem(proxied: Proxied) -> None:
    """A proxy may let callers without one through; we do not."""
    status, headers, document = send(proxied, signed(proxied, [line()]))

    check_problem(proxied, status, headers, document, Reason.CERTIFICATE_REQUIRED)


def test_tricks_with_the_header_are_refused(proxied: Proxied) -> None:
    """A caller's own header beside the proxy's, or one that some servers fold into it."""
    asked, own = signed(proxied, [line()]), rfc9440(proxied, USA)
    for extra in (rfc9440(proxied, "unpinned"), escaped_pem(proxied, USA), ("Client_Cert", own[1])):
        status, headers, document = send(proxied, asked, own, extra)

        check_problem(proxied, status, headers, document, Reason.REQUEST_MALFORMED)
    status, headers, document = send(proxied, asked, ("Client-Cert", ":AAAA:"))
    check_problem(proxied, status, headers, document, Reason.REQUEST_MALFORMED)
