# SPDX-License-Identifier: Apache-2.0
"""What tokens need around them; this file is about their desk, a request for one, and which scopes a partner has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway.clock import Clock
from gateway.policy.decide import Decisions
from gateway.policy.load import PolicySet
from gateway.storage.engine import Storage
from gateway.tokens.access import TokenKey
from gateway.trip import Partner, PeerCertificate

TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 -- a path
# Scopes are named like the actions of the policies.
SUBMIT, READ_OWN, READ_FLOW, CONTEST = "submit", "read-own", "read-flow", "contest"
SCOPES: Final = (CONTEST, READ_FLOW, READ_OWN, SUBMIT)


@dataclass(frozen=True, slots=True)
class TokensDesk:
    """The parts that `app.py` composes; `issuer` is the public origin, which is the audience as well."""

    clock: Clock
    storage: Storage
    policy: Decisions
    key: TokenKey
    issuer: str
    seconds: int

    @property
    def policies(self) -> PolicySet:
        """Return the policies in force now."""
        return self.policy.policies

    @property
    def endpoint(self) -> str:
        """Return the URL of the token endpoint."""
        return self.issuer + TOKEN_PATH

    def metadata(self) -> dict[str, Any]:
        """Return what programs discover (RFC 8414, section 2; RFC 8705, section 3.3)."""
        return {
            "issuer": self.issuer,
            "token_endpoint": self.endpoint,
            "jwks_uri": f"{self.issuer}/oauth/keys",
            "scopes_supported": list(SCOPES),
            # The endpoint answers no front-channel request at all; the member is required and may not be empty.
            "response_types_supported": ["none"],
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt", "tls_client_auth"],
            "token_endpoint_auth_signing_alg_values_supported": ["ES256", "ES384", "Ed25519", "EdDSA", "PS512"],
            "tls_client_certificate_bound_access_tokens": True,
            "service_documentation": f"{self.issuer}/openapi.json",
        }


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """Who asks for a token, proven by certificate, and with which words."""

    partner: Partner
    peer: PeerCertificate
    form: Mapping[str, str]
    request_id: str
    at: datetime


def granted(partner: Partner, policies: PolicySet, *, at: datetime) -> frozenset[str]:
    """Return the scopes that a partner has by its roles and by the agreements in force today."""
    scopes = {SUBMIT, READ_OWN, CONTEST} if "provider" in partner.roles else set()
    clauses = [clause for clause in policies.clauses.values() if clause.reader == partner.country]
    if "reader" in partner.roles and any(one.valid_from <= at.date() <= one.valid_until for one in clauses):
        scopes.add(READ_FLOW)
    return frozenset(scopes)
