# SPDX-License-Identifier: Apache-2.0
"""A token by itself; this file is about its binding to a certificate (RFC 8705), its time, and whose it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jwt

from gateway.errors import TokenInvalid
from gateway.onboarding.pki import write_key
from gateway.tokens.access import TokenKey, read_token, sign_token, thumbprint
from gateway.trip import PeerCertificate
from gateway.wire.digests import sha256
from gateway.wire.keys import KeyUnsupported

AT = datetime(2026, 11, 24, 2, 0, 0, tzinfo=UTC)
ORIGIN, ME = "https://gateway.example", "USA.DHS.CBP"
VECTORS = Path(__file__).parents[2] / "vectors" / "rfc8705"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> TokenKey:
    path = write_key(tmp_path_factory.mktemp("key") / "token.key", ec.generate_private_key(ec.SECP256R1()))
    return TokenKey.load(path)


def peer(content: bytes = b"certificate") -> PeerCertificate:
    return PeerCertificate(content, sha256(content))


def claims(**changes: object) -> dict[str, object]:
    now = int(AT.timestamp())
    own = {"iss": ORIGIN, "aud": ORIGIN, "sub": ME, "iat": now, "exp": now + 300, "jti": "1"}
    return own | {"scope": "submit read-own"} | changes


def read(text: str, key: TokenKey, *, at: datetime = AT, by: PeerCertificate | None = None) -> frozenset[str]:
    return read_token(text, key, by or peer(), issuer=ORIGIN, subject=ME, at=at)


def test_the_thumbprint_is_that_of_rfc_8705_appendix_a() -> None:
    """The RFC's own certificate has the RFC's own thumbprint."""
    certificate = x509.load_pem_x509_certificate((VECTORS / "certificate.pem").read_bytes())

    found = thumbprint(peer(certificate.public_bytes(Encoding.DER)))

    assert found == (VECTORS / "x5t-s256.txt").read_text().strip()


def test_a_token_tells_its_scopes_until_it_ends(key: TokenKey) -> None:
    token = sign_token(key, claims(), peer())

    assert read(token, key, at=AT + timedelta(seconds=299)) == {"submit", "read-own"}
    with pytest.raises(TokenInvalid):
        read(token, key, at=AT + timedelta(seconds=300))


def test_a_token_may_be_a_little_younger_than_our_clock_and_no_more(key: TokenKey) -> None:
    token = sign_token(key, claims(), peer())

    assert read(token, key, at=AT - timedelta(seconds=30))
    with pytest.raises(TokenInvalid):
        read(token, key, at=AT - timedelta(seconds=31))


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://elsewhere.example"},
        {"aud": "https://elsewhere.example"},
        {"sub": "MEX.INM"},
        {"exp": "tomorrow"},
        {"iat": None},
        {"jti": None},
        {"exp": None},
    ],
)
def test_a_token_of_anything_else_is_refused(key: TokenKey, change: dict[str, object]) -> None:
    """Signed by our own key, and still not for here."""
    with pytest.raises(TokenInvalid):
        read(sign_token(key, claims(**change), peer()), key)


def test_a_token_of_another_certificate_key_or_type_is_refused(key: TokenKey, tmp_path: Path) -> None:
    token = sign_token(key, claims(), peer())
    other = TokenKey.load(write_key(tmp_path / "other.key", ec.generate_private_key(ec.SECP256R1())))
    bound = claims(cnf={"x5t#S256": thumbprint(peer())})
    untyped = jwt.encode({"alg": "ES256", "kid": key.public["kid"]}, bound, key.key)

    for text, by in ((token, peer(b"other")), (sign_token(other, claims(), peer()), peer()), (untyped, peer())):
        with pytest.raises(TokenInvalid):
            read(text, key, by=by)
    for text in ("", "x", "a.b.c", token + "x", "a" * 5000):
        with pytest.raises(TokenInvalid):
            read(text, key)


def test_a_key_that_not_every_library_verifies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyUnsupported, match="P-256"):
        TokenKey.load(write_key(tmp_path / "token.key", ed25519.Ed25519PrivateKey.generate()))
