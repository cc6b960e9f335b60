# SPDX-License-Identifier: Apache-2.0
"""A partner with another library; this file is about a submission that nothing of ours signed or sent."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import ssl
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, algorithms
from http_message_signatures.resolvers import HTTPSignatureKeyResolver

from tests.api.asking import line

COVERED = ("@method", "@target-uri", "content-digest", "content-type", "idempotency-key")
ANSWER_REQUIRED = ('"@status"', '"content-digest"', '"audit-event"', '"@target-uri";req', '"signature";req')


@dataclass
class Request:
    method: str
    url: str
    headers: dict[str, str]


@dataclass
class Response:
    status_code: int
    headers: dict[str, str]
    request: Request


@dataclass
class Keys(HTTPSignatureKeyResolver):
    private: Any
    public: dict[str, Any]

    def resolve_private_key(self, key_id: str) -> Any:
        del key_id
        return self.private

    def resolve_public_key(self, key_id: str) -> Any:
        return self.public[key_id]


def digest(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


@pytest.mark.parametrize("partner", ["USA.DHS.CBP", "MEX.SEGOB.UPMRIP", "GTM.IGM"])
def test_a_submission_signed_by_the_other_library_is_accepted_and_its_answer_verifies_there(
    server: dict[str, Any], partner: str
) -> None:
    """The standard is the interface, not our client: Python's http.client and http-message-signatures suffice."""
    party = next(one for one in server["partners"] if one["id"] == partner)
    private = load_pem_private_key(Path(party["signing_key"]).read_bytes(), password=None)
    kind = algorithms.ED25519 if isinstance(private, ed25519.Ed25519PrivateKey) else algorithms.ECDSA_P256_SHA256
    path = "/v1/submissions/border-event/1.0.0"
    body = line(partner) + b"\n"
    request = Request(
        "POST",
        server["public_origin"] + path,
        {
            "Content-Type": "application/x-ndjson",
            "Content-Digest": digest(body),
            "Idempotency-Key": str(uuid.uuid4()),
        },
    )
    HTTPMessageSigner(signature_algorithm=kind, key_resolver=Keys(private, {})).sign(
        request,
        key_id=party["keyid"],
        created=datetime.now(UTC),
        nonce=uuid.uuid4().hex,
        tag="gateway-submission",
        covered_component_ids=COVERED,
        use_existing_digest=True,
    )

    status, headers, answered = post(server, party, path, request.headers, body)

    assert status == 201, answered
    assert headers["content-digest"] == digest(answered)
    verifier = HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=Keys(None, answer_keys(server)))
    verifier.verify(Response(status, headers, request), expect_tag="gateway-answer", require_components=ANSWER_REQUIRED)
    document = json.loads(answered)
    assert document["records"]["accepted"] == 1
    assert document["receipt"]["status"] == "unwitnessed"


def post(
    server: dict[str, Any], party: dict[str, Any], path: str, headers: dict[str, str], body: bytes
) -> tuple[int, dict[str, str], bytes]:
    context = ssl.create_default_context(cafile=server["server_ca"])
    context.load_cert_chain(party["tls_cert"], party["tls_key"])
    address = urlsplit(server["public_origin"])
    assert address.hostname
    connection = http.client.HTTPSConnection(address.hostname, address.port, context=context, timeout=30)
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def answer_keys(server: dict[str, Any]) -> dict[str, ed25519.Ed25519PublicKey]:
    keys = json.loads(Path(server["answer_keys"]).read_text())["keys"]
    return {
        key["kid"]: ed25519.Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "=="))
        for key in keys
    }
