# SPDX-License-Identifier: Apache-2.0
"""Files that change under a running gateway; this file is about revocations that count on open connections too."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.onboarding import pki
from gateway.onboarding.sandbox import create_sandbox
from tests.api.test_proxy import Proxied, rfc9440
from tests.running import GTM, READ_SECONDS, USA, Running, parse_answer, running

RELOAD_SECONDS_MAX = 20
Line = ssl.SSLSocket | socket.socket


def revoke(gateway: Running, country: str, *names: str) -> None:
    """Let a country's authority publish a list that names these parties' certificates."""
    folder = gateway.files.folder / "authorities" / country
    key = load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    authority = pki.Issued(x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes()), key)
    certificates = [x509.load_pem_x509_certificate(gateway.credentials(name).tls_cert.read_bytes()) for name in names]
    pki.write_public(folder / "crl.pem", pki.revocation_list(authority, certificates, pki.Validity.days(now(), 30)))


def now() -> datetime:
    return datetime.now(UTC)


def told(gateway: Running, phrase: str, cause: str) -> int:
    """Count what the operational log says of one set of files."""
    lines = gateway.log_file.read_text(encoding="utf-8").splitlines()
    return sum(f'"event": "{phrase}"' in line and f'"cause": "{cause}"' in line for line in lines)


def reload(gateway: Running, how: str, phrase: str, cause: str) -> None:
    """Ask for the files to be read, or let the gateway see by itself, and wait until it says so."""
    assert gateway.process is not None
    before = told(gateway, phrase, cause)
    if how == "signal":
        gateway.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + RELOAD_SECONDS_MAX
    while told(gateway, phrase, cause) == before:
        assert gateway.process.poll() is None
        assert time.monotonic() < deadline, gateway.log_file.read_text()[-2000:]
        with contextlib.suppress(Exception):
            gateway.process.wait(0.05)


def ask(line: Line, *headers: tuple[str, str]) -> tuple[int, bytes]:
    """Ask for something over a connection that stays open."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
    line.sendall(f"GET /v1/contracts HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode())
    answer = line.recv(1 << 20)
    while not answer.endswith((b"}", b"]")):
        piece = line.recv(1 << 20)
        assert piece, answer
        answer += piece
    status, _, body = parse_answer(answer)
    return status, body


@pytest.mark.parametrize("how", ["signal", "change"])
def test_a_revoked_certificate_is_refused_on_its_open_connection(tmp_path: Path, how: str) -> None:
    """The handshake was good and its connection may live for an hour; nobody else's is dropped."""
    with (
        running(tmp_path / "sandbox") as gateway,
        gateway.connection(USA) as revoked,
        gateway.connection(GTM) as other,
    ):
        assert (ask(revoked)[0], ask(other)[0]) == (200, 200)
        if how == "signal":
            reload(gateway, how, "files reloaded", "tls")  # Though nothing has changed: an order is an order.

        revoke(gateway, "USA", USA)
        reload(gateway, how, "files reloaded", "anchors of USA")

        status, body = ask(revoked)
        assert (status, b"certificate-revoked" in body) == (401, True)
        assert ask(other)[0] == 200
        reload_done(gateway, 2 if how == "signal" else 1)
        with pytest.raises(ssl.SSLError, match="revoked"):
            gateway.get(USA, "/v1/contracts")
        (gateway.files.folder / "authorities" / "USA" / "crl.pem").write_bytes(b"no list")
        reload(gateway, how, "files not reloaded", "anchors of USA")
        with pytest.raises(ssl.SSLError, match="revoked"):
            gateway.get(USA, "/v1/contracts")
        assert ask(other)[0] == 200


def reload_done(gateway: Running, times: int) -> None:
    """Wait for the TLS context, which is made after the anchors."""
    deadline = time.monotonic() + RELOAD_SECONDS_MAX
    while told(gateway, "files reloaded", "tls") < times:
        assert time.monotonic() < deadline


@contextlib.contextmanager
def opened(gateway: Proxied) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
        raw.settimeout(READ_SECONDS)
        raw.connect(str(gateway.socket_path))
        yield raw


def test_behind_a_proxy_a_revocation_is_heard_as_well(tmp_path: Path) -> None:
    """The gateway judges the certificate that the proxy hands over, by its own lists."""
    run = tmp_path / "run"
    run.mkdir(mode=0o750)
    path = run / "gateway.sock"
    environment = {"GATEWAY_PEER_MODE": "proxy", "GATEWAY_LISTEN_SOCKET": str(path)}
    gateway = Proxied(create_sandbox(tmp_path / "sandbox"), environment)
    gateway.socket_path = path
    gateway.start(until_ready=False)
    try:
        with opened(gateway) as proxy:
            assert ask(proxy, rfc9440(gateway, USA))[0] == 200

            revoke(gateway, "USA", USA)
            reload(gateway, "signal", "files reloaded", "anchors of USA")

            status, body = ask(proxy, rfc9440(gateway, USA))
            assert (status, b"certificate-revoked" in body) == (401, True)
            assert ask(proxy, rfc9440(gateway, GTM))[0] == 200
    finally:
        gateway.stop()
