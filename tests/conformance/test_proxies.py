# SPDX-License-Identifier: Apache-2.0
"""The trip through real proxies; this file is about what they hand over, and what no caller can slip in."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.errors import Reason
from tests.api.asking import check_signature, line, refused, send, signed
from tests.proxies import PROXIES, behind
from tests.running import GTM, USA, Running, parse_answer

pytestmark = pytest.mark.conformance


@pytest.fixture(scope="module", params=PROXIES)
def proxied(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with behind(request.param, tmp_path_factory.mktemp(request.param)) as gateway:
        yield gateway


def claims(gateway: Running, name: str) -> list[tuple[str, str]]:
    """Return every way to claim to be someone by a header."""
    pem = gateway.credentials(name).tls_cert.read_bytes()
    der = base64.b64encode(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)).decode()
    escaped = quote(pem.decode(), safe="")
    return [("Client-Cert", f":{der}:"), ("X-SSL-Client-Cert", escaped), ("client-cert-chain", f":{der}:")]


def test_a_submission_is_accepted(proxied: Running) -> None:
    """The signed path, the body and the certificate arrive as they were sent."""
    answer = send(proxied, signed(proxied, [line() for _ in range(200)]))

    assert answer.status == 201, answer.document


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("expired", Reason.CERTIFICATE_EXPIRED),
        ("not-yet-valid", Reason.CERTIFICATE_NOT_YET_VALID),
        ("revoked", Reason.CERTIFICATE_REVOKED),
        ("foreign", Reason.CERTIFICATE_UNTRUSTED),
        ("unpinned", Reason.UNKNOWN_PARTNER),
        (None, Reason.CERTIFICATE_REQUIRED),
    ],
)
def test_a_certificate_that_does_not_hold_is_refused_by_the_gateway(
    proxied: Running, name: str | None, reason: Reason
) -> None:
    """Signed, with an event: the proxy itself refuses nobody."""
    asked = signed(proxied, [line()])
    status, headers, body = parse_answer(proxied.exchange(name, asked.wire()))
    check_signature(proxied, asked, status, headers, body)

    assert status == 401
    assert reason in body.decode()


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("times", [1, 2])
def test_a_claim_in_a_header_names_nobody(proxied: Running, number: int, times: int) -> None:
    """Who has no certificate, or another's, stays who they are, however often the header is there."""
    claim = claims(proxied, USA)[number]
    asked = replace(signed(proxied, [line()]), extra=(claim,) * times)

    anonymous = parse_answer(proxied.exchange(None, asked.wire()))
    other = parse_answer(proxied.exchange(GTM, asked.wire()))

    assert Reason.CERTIFICATE_REQUIRED in anonymous[2].decode()
    assert Reason.SIGNATURE_KEY_UNKNOWN in other[2].decode()


def test_a_claim_beside_the_own_certificate_changes_nothing(proxied: Running) -> None:
    """The caller's header is gone before the proxy writes its own."""
    status, _, body = parse_answer(
        proxied.exchange(USA, replace(signed(proxied, [line()]), extra=tuple(claims(proxied, GTM))).wire())
    )

    assert status == 201, body


def test_a_name_with_underscores_is_refused(proxied: Running) -> None:
    """Some servers read Client_Cert as Client-Cert; the gateway reads neither and says so."""
    for name, value in claims(proxied, GTM):
        extra = ((name.replace("-", "_"), value),)

        refused(proxied, replace(signed(proxied, [line()]), extra=extra), Reason.REQUEST_MALFORMED)


def test_a_large_body_is_refused_by_the_gateway(proxied: Running) -> None:
    """Beyond body_bytes_max and within the proxy's own wall."""
    refused(proxied, replace(signed(proxied, [line()]), declared=(64 << 20) + 1), Reason.BODY_TOO_LARGE)


def test_tls_1_2_is_turned_away(proxied: Running) -> None:
    context = ssl.create_default_context(cafile=str(proxied.files.server_ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("localhost", proxied.files.port)) as raw, pytest.raises(ssl.SSLError):
        context.wrap_socket(raw, server_hostname="localhost")
