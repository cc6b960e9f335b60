# SPDX-License-Identifier: Apache-2.0
"""The token itself; this file is about access tokens as signed JWTs (RFC 9068) that one certificate alone can use.

A token is bound to the certificate of the connection that asked for it (RFC 8705, section 3.1). Whoever finds it has
nothing: it is good for no other certificate, and with that one it opens less than the certificate alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from gateway.errors import TokenInvalid
from gateway.trip import PeerCertificate
from gateway.wire.digests import b64url
from gateway.wire.keys import FileSigner, KeyUnsupported, published_jwk

ALGORITHM: Final = "ES256"
TYPE: Final = "at+jwt"
TOKEN_CHARS_MAX: Final = 4096
CLOCK_AHEAD_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class TokenKey:
    """The key that signs access tokens; `public` is its JWK as it is published."""

    key: ECKey
    public: dict[str, str]

    @classmethod
    def load(cls, path: Path) -> TokenKey:
        """Read an unencrypted PKCS#8 PEM file.

        Raises:
            KeyUnsupported: when its key is not on P-256, which every OAuth library can verify.
        """
        public = published_jwk(FileSigner.load(path))
        if public["alg"] != ALGORITHM:
            raise KeyUnsupported(f"{path}: a token key is on P-256")
        return cls(ECKey.import_key(path.read_bytes()), public)


def thumbprint(peer: PeerCertificate) -> str:
    """Return a certificate's `x5t#S256`."""
    return b64url(peer.sha256)


def sign_token(key: TokenKey, claims: Mapping[str, Any], peer: PeerCertificate) -> str:
    """Return the token of some claims, bound to a certificate."""
    header = {"alg": ALGORITHM, "typ": TYPE, "kid": key.public["kid"]}
    bound = {**claims, "cnf": {"x5t#S256": thumbprint(peer)}}
    return jwt.encode(header, bound, key.key, algorithms=[ALGORITHM])


def read_token(
    text: str, key: TokenKey, peer: PeerCertificate, *, issuer: str, subject: str, at: datetime
) -> frozenset[str]:
    """Return the scopes of a token that this partner presents over this certificate's connection.

    Raises:
        TokenInvalid: when it is not one of ours, of another time, partner or certificate.
    """
    if len(text) > TOKEN_CHARS_MAX:
        raise TokenInvalid(what="too long")
    claims_of = jwt.JWTClaimsRegistry(
        now=int(at.timestamp()),
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": issuer},
        sub={"essential": True, "value": subject},
        exp={"essential": True},
        jti={"essential": True},
    )
    try:
        token = jwt.decode(text, key.key, algorithms=[ALGORITHM])
        # By itself: gateways that share a key need not share a clock to the second, and exp has no leeway.
        issued = token.claims.pop("iat", None)
        claims_of.validate(token.claims)
    except (JoseError, ValueError) as error:
        raise TokenInvalid(what=getattr(error, "error", "") or "malformed") from error
    if token.header.get("typ") != TYPE or not isinstance(issued, int):
        raise TokenInvalid(what="not an access token")
    if issued > at.timestamp() + CLOCK_AHEAD_SECONDS:
        raise TokenInvalid(what="issued in the future")
    if token.claims.get("cnf") != {"x5t#S256": thumbprint(peer)}:
        raise TokenInvalid(what="bound to another certificate")
    return frozenset(str(token.claims.get("scope", "")).split())
