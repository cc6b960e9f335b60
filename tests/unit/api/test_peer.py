# SPDX-License-Identifier: Apache-2.0
"""Where a certificate comes from; this file is about never believing a header from the wrong side."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gateway.api.peer import peer_certificate, without_claims
from gateway.errors import CertificateRequired, RequestMalformed
from tests.unit.api.authority import Authority


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return Authority(tmp_path_factory.mktemp("peer"), "mex").issue("agency").certificate.read_bytes()


def der_of(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


def scope(headers: list[tuple[bytes, bytes]], der: bytes | None = None) -> dict[str, Any]:
    return {"headers": headers, "state": {"peer_der": der}}


def rfc9440(pem: bytes) -> bytes:
    return b":" + base64.b64encode(der_of(pem)) + b":"


def test_a_direct_listener_believes_the_tls_layer_only(pem: bytes) -> None:
    """Anyone can send a header."""
    claimed = scope([(b"client-cert", rfc9440(pem))])

    with pytest.raises(CertificateRequired):
        peer_certificate(claimed, "direct")
    assert peer_certificate(scope([], der_of(pem)), "direct").der == der_of(pem)


def test_claims_are_dropped_on_a_direct_listener() -> None:
    """Nothing behind the edge may ever see them."""
    headers = [(b"client-cert", b":AAAA:"), (b"x-ssl-client-cert", b"x"), (b"accept", b"*/*")]

    assert without_claims(headers, "direct") == [(b"accept", b"*/*")]
    assert without_claims(headers, "proxy") == headers


def test_a_proxy_may_speak_rfc_9440_or_escaped_pem(pem: bytes) -> None:
    """HAProxy writes the one, nginx the other."""
    escaped = quote(pem.decode(), safe="").encode()

    assert peer_certificate(scope([(b"client-cert", rfc9440(pem))]), "proxy").der == der_of(pem)
    assert peer_certificate(scope([(b"x-ssl-client-cert", escaped)]), "proxy").der == der_of(pem)


def test_a_proxy_without_a_client_certificate_has_none() -> None:
    """A proxy of the nginx kind sends an empty header then, HAProxy none."""
    for headers in ([], [(b"x-ssl-client-cert", b"")]):
        with pytest.raises(CertificateRequired):
            peer_certificate(scope(headers), "proxy")


@pytest.mark.parametrize("value", [b":AAAA:", b"AAAA", b":%%:", b"", b":" + b"A" * 20_000 + b":"])
def test_what_is_no_certificate_is_refused(value: bytes) -> None:
    """A header that half parses must not become a caller."""
    with pytest.raises(RequestMalformed):
        peer_certificate(scope([(b"client-cert", value)]), "proxy")


def test_two_certificates_are_refused(pem: bytes, tmp_path: Path) -> None:
    """One is the proxy's and one the caller's, and nobody can say which."""
    other = Authority(tmp_path, "usa").issue("other").certificate.read_bytes()

    with pytest.raises(RequestMalformed):
        peer_certificate(scope([(b"client-cert", rfc9440(pem)), (b"client-cert", rfc9440(other))]), "proxy")
    with pytest.raises(RequestMalformed):
        peer_certificate(scope([(b"client-cert", rfc9440(pem)), (b"x-ssl-client-cert", b"")]), "proxy")
