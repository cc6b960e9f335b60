# SPDX-License-Identifier: Apache-2.0
"""A partner asks for a token; this file is about the client credentials grant (RFC 6749, section 4.4), by authlib.

The certificate of the connection names the partner, as for every request; the partner then authenticates as an OAuth
client with that certificate (`tls_client_auth`, RFC 8705) or with its registered signing key (`private_key_jwt`,
RFC 7523). Both ways a token is bound to the certificate.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, InvalidClientError, OAuth2Request
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from cryptography.hazmat.primitives.serialization import load_der_public_key
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key

from gateway.auditlog.event_kinds_exchange import TokenIssued
from gateway.auditlog.events import record_event
from gateway.clock import format_instant
from gateway.errors import ClientUnauthenticated, GrantUnsupported, Refusal, RequestMalformed, ScopeNotGranted
from gateway.identifiers import new_id
from gateway.storage import submissions
from gateway.storage.engine import Tx
from gateway.storage.submissions import SpentNonce
from gateway.tokens.access import sign_token
from gateway.tokens.desk import TOKEN_PATH, TokenRequest, TokensDesk, granted
from gateway.trip import SigningKey
from gateway.wire.digests import sha256
from gateway.wire.keys import ECDSA_P256, ECDSA_P384, ED25519, RSA_PSS, PublicKey, jwk_of

BY_CERTIFICATE: Final = "tls_client_auth"
BY_ASSERTION: Final = "private_key_jwt"
ASSERTION_CHARS_MAX: Final = 4096
ASSERTION_SECONDS_MAX: Final = 600
CLOCK_LEEWAY_SECONDS: Final = 30
_ALGORITHMS: Final = {
    ED25519: ["Ed25519", "EdDSA"],
    ECDSA_P256: ["ES256"],
    ECDSA_P384: ["ES384"],
    RSA_PSS: ["PS512"],
}


class _Registry(jws.JWSRegistry):
    """Signatures by the older name of Ed25519 too, which most programs still write, without a warning for each."""

    algorithms = {**jws.JWSRegistry.algorithms, "EdDSA": copy.copy(jws.JWSRegistry.algorithms["EdDSA"])}  # noqa: RUF012 - as the base declares it
    algorithms["EdDSA"].security_warning = None


def issue(desk: TokensDesk, asked: TokenRequest) -> dict[str, Any]:
    """Return a token's answer (RFC 6749, section 5.1), its event committed and the assertion spent.

    Raises:
        Refusal: client-unauthenticated, replayed, scope-not-granted, grant-unsupported or request-malformed.
    """
    answer: dict[str, Any] = _TokenServer(desk, asked).create_token_response(_Request(desk, asked))
    return answer


class _Request(OAuth2Request):
    """A request in the words of the library."""

    def __init__(self, desk: TokensDesk, asked: TokenRequest) -> None:
        super().__init__("POST", desk.endpoint, headers={})
        self.payload = BasicOAuth2Payload(dict(asked.form))

    @property
    def form(self) -> Mapping[str, str]:
        """Return the words of the body; nothing is read from the URL."""
        words: Mapping[str, str] = self.payload.data
        return words


class _Client(ClientMixin):
    """A partner in the words of the library."""

    def __init__(self, partner_id: str) -> None:
        self._id = partner_id

    def get_client_id(self) -> str:
        return self._id

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        del endpoint
        return method in {BY_CERTIFICATE, BY_ASSERTION}

    def check_grant_type(self, grant_type: str) -> bool:
        return bool(grant_type == ClientCredentialsGrant.GRANT_TYPE)


class _Grant(ClientCredentialsGrant):
    """The one grant: without secrets, because nobody here has any."""

    TOKEN_ENDPOINT_AUTH_METHODS = (BY_ASSERTION, BY_CERTIFICATE)


class _Assertion(JWTBearerClientAssertion):
    """The signed assertion of a partner about itself (RFC 7523, section 3)."""

    CLIENT_AUTH_METHOD = BY_ASSERTION

    def __init__(self, desk: TokensDesk, asked: TokenRequest) -> None:
        super().__init__(leeway=CLOCK_LEEWAY_SECONDS)
        self._desk, self._asked = desk, asked
        self.spent: tuple[str, datetime] | None = None

    def extract_assertion(self, assertion: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        if len(assertion) > ASSERTION_CHARS_MAX:
            raise InvalidClientError(description="the assertion is too long")
        found: tuple[Mapping[str, Any], Mapping[str, Any]] = super().extract_assertion(assertion)
        return found

    def resolve_client_public_key(self, client: _Client) -> Key:
        del client
        keys = [_jose_key(key) for key in self._active()]
        if not keys:
            raise InvalidClientError(description="no active signing key")
        return keys[0]

    def process_assertion_claims(self, assertion: str, resolve_key: Key) -> None:
        """Verify an assertion with each active key that may have signed it, then what it says."""
        del resolve_key
        keyid = self.extract_assertion(assertion)[0].get("kid")
        for key in self._active():
            if keyid in {None, key.keyid}:
                try:
                    known = _ALGORITHMS[key.algorithm]
                    token = jwt.decode(
                        assertion, _jose_key(key), algorithms=known, registry=_Registry(algorithms=known)
                    )
                except (JoseError, ValueError):
                    continue
                self.verify_claims(token.claims)
                return
        raise InvalidClientError(description="no active signing key of this partner verifies the assertion")

    def verify_claims(self, claims: dict[str, Any]) -> None:
        """Check audience, subject, times and the id, which is noted to be spent with the token's event."""
        me, now = self._asked.partner.id, int(self._asked.at.timestamp())
        registry = jwt.JWTClaimsRegistry(
            now=now,
            leeway=self.leeway,
            iss={"essential": True, "value": me},
            sub={"essential": True, "value": me},
            aud={"essential": True, "values": [self._desk.endpoint, self._desk.issuer]},
            exp={"essential": True},
            jti={"essential": True},
        )
        try:
            registry.validate(claims)
        except JoseError as error:
            raise InvalidClientError(description=_plain(f"{error.error} {error.description or ''}")) from error
        if claims["exp"] > now + ASSERTION_SECONDS_MAX:
            raise InvalidClientError(description=f"exp is at most {ASSERTION_SECONDS_MAX} seconds away")
        self.spent = str(claims["jti"]), datetime.fromtimestamp(claims["exp"] + self.leeway, UTC)

    def _active(self) -> list[SigningKey]:
        at = self._asked.at
        keys = self._asked.partner.signing_keys
        return [key for key in keys if key.not_before <= at and (key.not_after is None or at < key.not_after)]


class _TokenServer(AuthorizationServer):
    """The library's server for one request."""

    def __init__(self, desk: TokensDesk, asked: TokenRequest) -> None:
        super().__init__()
        self._desk, self._asked = desk, asked
        self._assertion = _Assertion(desk, asked)
        self._scopes: frozenset[str] = frozenset()
        self._token_id = new_id(asked.at)
        self.register_client_auth_method(BY_ASSERTION, self._assertion)
        self.register_client_auth_method(BY_CERTIFICATE, _by_certificate)
        self.register_grant(_Grant)
        self.register_token_generator("default", self._generate)

    def create_oauth2_request(self, request: _Request) -> _Request:
        return request

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Tell nobody: the audit event is the signal."""

    def query_client(self, client_id: str) -> _Client | None:
        """Return the partner of the certificate, and nobody else: a token for another could not be used."""
        return _Client(client_id) if client_id == self._asked.partner.id else None

    def validate_requested_scope(self, scope: str | None) -> None:
        """Take all that the partner has when none is asked for (RFC 6749, section 3.3)."""
        have = granted(self._asked.partner, self._desk.policies, at=self._asked.at)
        self._scopes = frozenset((scope or "").split()) or have
        if not self._scopes or not self._scopes <= have:
            raise ScopeNotGranted(granted=", ".join(sorted(have)) or "-")

    def _generate(self, *, client: _Client, **_: object) -> dict[str, Any]:
        desk, now = self._desk, int(self._asked.at.timestamp())
        claims = {
            "iss": desk.issuer,
            "aud": desk.issuer,
            "sub": client.get_client_id(),
            "client_id": client.get_client_id(),
            "iat": now,
            "exp": now + desk.seconds,
            "jti": self._token_id,
            "scope": " ".join(sorted(self._scopes)),
        }
        token = sign_token(desk.key, claims, self._asked.peer)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": desk.seconds,
            "scope": claims["scope"],
        }

    def save_token(self, token: dict[str, Any], request: _Request) -> None:
        """Spend the assertion and record the token, which is not kept itself; before this commit nobody has seen it."""
        del token
        desk, asked = self._desk, self._asked

        def work(tx: Tx) -> None:
            if self._assertion.spent:
                jti, until = self._assertion.spent
                words = jti.encode("utf-8", "surrogatepass")
                digest = sha256(words)
                submissions.claim_nonces(tx, [SpentNonce(asked.partner.id, f"jti:{digest.hex()}", digest, until)])
            record_event(
                tx,
                TokenIssued(
                    path=TOKEN_PATH,
                    source=asked.peer.sha256.hex(),
                    token_id=self._token_id,
                    scopes=tuple(sorted(self._scopes)),
                    method=request.auth_method,
                    expires_at=format_instant(asked.at + timedelta(seconds=desk.seconds)),
                    policy_set=desk.policies.digest,
                ),
                at=desk.clock.now(),
                partner_id=asked.partner.id,
                audience=frozenset({asked.partner.country}),
                actor=asked.partner.id,
                request_id=asked.request_id,
            )

        desk.storage.write(work)

    def handle_response(self, status: int, body: dict[str, Any], headers: object) -> dict[str, Any]:
        del status, headers
        return body

    def handle_error_response(self, request: _Request, error: OAuth2Error) -> dict[str, Any]:
        """Say no in the words of the house; the edge writes them as RFC 6749, section 5.2, asks."""
        del request
        raise _refusal_of(error) from error


def _refusal_of(error: OAuth2Error) -> Refusal:
    if error.error == "unsupported_grant_type":
        return GrantUnsupported()
    if error.error == "invalid_client":
        return ClientUnauthenticated(what=error.description)
    return RequestMalformed(what=error.error)


def _by_certificate(query_client: Any, request: _Request) -> _Client | None:
    """Authenticate by the certificate alone; RFC 8705, section 2, wants the client's name in words as well."""
    if {"client_assertion", "client_assertion_type", "client_secret"} & set(request.form):
        return None
    client: _Client | None = query_client(request.form.get("client_id"))
    return client


def _jose_key(key: SigningKey) -> Key:
    public = load_der_public_key(key.public)
    assert isinstance(public, PublicKey)
    return import_key({**jwk_of(public), "kid": key.keyid})


def _plain(text: str) -> str:
    """Leave out what RFC 6749, section 5.2, has no place for in a description."""
    return text.replace('"', "'").replace("\\", "/").strip()
