# SPDX-License-Identifier: Apache-2.0
"""Whose certificate this request came with; this file is about the one decision where a certificate comes from.

Direct: the TLS layer put it into the scope, and a header that claims one is dropped and counted. Proxy: we listen
on a unix socket that only the proxy can open, TLS ended there, and the proxy's header is the certificate. Which of
the two is a setting and never guessed from the request.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gateway.errors import CertificateRequired, RequestMalformed
from gateway.trip import PeerCertificate

PeerMode = Literal["direct", "proxy"]
Headers = Sequence[tuple[bytes, bytes]]

CERTIFICATE_BYTES_MAX = 16 << 10
_RFC9440 = b"client-cert"
_NGINX = b"x-ssl-client-cert"
_CHAIN = b"client-cert-chain"
CLAIMING_HEADERS = frozenset({_RFC9440, _NGINX, _CHAIN})
_BYTE_SEQUENCE = re.compile(rb"^:([A-Za-z0-9+/]*={0,2}):$")

log = structlog.get_logger()


def peer_certificate(scope: Mapping[str, Any], mode: PeerMode) -> PeerCertificate:
    """Return the certificate that the caller proved to own, still unjudged.

    Raises:
        CertificateRequired: when there is none.
        RequestMalformed: when the proxy's header is not one certificate.
    """
    der: bytes | None = scope["state"].get("peer_der") if mode == "direct" else _from_proxy(scope["headers"])
    if not der:
        raise CertificateRequired
    return PeerCertificate(der, hashlib.sha256(der).digest())


def without_claims(headers: Headers, mode: PeerMode) -> Headers:
    """Drop headers that claim a certificate, unless a proxy of ours set them; a claim is worth a line in the log."""
    if mode == "proxy":
        return headers
    kept = [(name, value) for name, value in headers if name not in CLAIMING_HEADERS]
    if len(kept) != len(headers):
        log.warning("certificate header dropped", count=len(headers) - len(kept))
    return kept


def _from_proxy(headers: Headers) -> bytes | None:
    claims = [(name, value) for name, value in headers if name in {_RFC9440, _NGINX}]
    if not claims or claims == [(_NGINX, b"")]:
        return None
    # Two of them: one is the proxy's and one the caller's, and nobody can say which.
    if len(claims) > 1:
        raise RequestMalformed(what="more than one certificate header")
    name, value = claims[0]
    if len(value) > CERTIFICATE_BYTES_MAX:
        raise RequestMalformed(what="the certificate header is too long")
    try:
        return _rfc9440(value) if name == _RFC9440 else _escaped_pem(value)
    except (ValueError, x509.InvalidVersion) as error:
        raise RequestMalformed(what="the certificate header holds no certificate") from error


def _rfc9440(value: bytes) -> bytes:
    found = _BYTE_SEQUENCE.match(value.strip())
    if found is None:
        raise ValueError("not a byte sequence")
    return _whole(x509.load_der_x509_certificate(b64decode(found.group(1), validate=True)))


def _escaped_pem(value: bytes) -> bytes:
    return _whole(x509.load_pem_x509_certificate(unquote_to_bytes(value)))


def _whole(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)
