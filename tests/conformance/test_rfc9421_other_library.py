# SPDX-License-Identifier: Apache-2.0
"""Two readings of one standard; this file is about agreement with a library for RFC 9421 that we did not write."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, algorithms
from http_message_signatures.exceptions import HTTPMessageSignaturesException
from http_message_signatures.resolvers import MappingKeyResolver
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.http_message import RequestHead, SignatureRefused
from gateway.wire.http_signature import (
    ANSWER_TAG,
    REQUEST_COVERED,
    REQUEST_TAG,
    answer_covered,
    parse_signature,
    request_covered,
    sign_answer,
    sign_request,
    signature_base,
    verify_answer,
)
from gateway.wire.keys import FileSigner, public_of_der, verify_bytes

URI = "https://gateway.example/v1/submissions/flow/1.0.0?a=b%20c&d"
NONCE = "0123456789abcdefghij"
KEYS = {
    "ed25519": (ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))), algorithms.ED25519),
    "ecdsa-p256-sha256": (ec.derive_private_key(0xC0FFEE, ec.SECP256R1()), algorithms.ECDSA_P256_SHA256),
    "ecdsa-p384-sha384": (ec.derive_private_key(0xC0FFEE, ec.SECP384R1()), algorithms.ECDSA_P384_SHA384),
    "rsa-pss-sha512": (rsa.generate_private_key(65537, 3072), algorithms.RSA_PSS_SHA512),
}
HEADERS = {
    "Content-Digest": "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
    "Content-Type": "application/x-ndjson",
    "Idempotency-Key": "0123456789abcdef",
    "Gateway-Records": "count=0, root=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
}
ANSWER_HEADERS = {
    "Content-Type": "application/json",
    "Content-Digest": "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
    "Audit-Event": "01976b1e-0000-7000-8000-000000000000",
}


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


@pytest.fixture(params=KEYS)
def key(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def ours(key: str) -> FileSigner:
    return FileSigner.of(KEYS[key][0])


def theirs(kind: Any, key: str) -> Any:
    private, algorithm = KEYS[key]
    keyid = ours(key).keyid
    resolver = MappingKeyResolver(public_keys={keyid: private.public_key()}, private_keys={keyid: private})
    return kind(signature_algorithm=algorithm, key_resolver=resolver)


def test_a_request_that_the_other_library_signs_verifies_here(key: str) -> None:
    request = Request("POST", URI, dict(HEADERS))
    theirs(HTTPMessageSigner, key).sign(
        request,
        key_id=ours(key).keyid,
        created=datetime.now(UTC),
        nonce=NONCE,
        tag=REQUEST_TAG,
        covered_component_ids=request_covered(HEADERS),
        use_existing_digest=True,
    )

    parsed = parse_signature(request.headers["Signature-Input"], request.headers["Signature"], tag=REQUEST_TAG)
    base = signature_base(parsed.components, parsed.params, request=RequestHead.of("POST", URI, request.headers))
    verify_bytes(key, ours(key).public_der, parsed.signature, base)

    assert (parsed.nonce, parsed.keyid, parsed.alg) == (NONCE, ours(key).keyid, key)


def test_a_request_that_we_sign_verifies_there(key: str) -> None:
    now = int(datetime.now(UTC).timestamp())
    signed = sign_request(
        ours(key),
        method="POST",
        target_uri=URI,
        headers=HEADERS,
        covered=request_covered(HEADERS),
        created=now,
        nonce=NONCE,
        expires=now + 60,
    )

    request = Request("POST", URI, {**HEADERS, **signed})
    (result,) = theirs(HTTPMessageVerifier, key).verify(
        request, expect_tag=REQUEST_TAG, require_components=request_covered(HEADERS)
    )

    assert result.nonce == NONCE
    request.headers["Idempotency-Key"] += "0"
    with pytest.raises(HTTPMessageSignaturesException):
        theirs(HTTPMessageVerifier, key).verify(request, expect_tag=REQUEST_TAG)


def signed_request(key: str) -> Request:
    signed = sign_request(
        ours(key), method="POST", target_uri=URI, headers=HEADERS, covered=REQUEST_COVERED, created=1, nonce=NONCE
    )
    return Request("POST", URI, {**HEADERS, **signed})


def test_an_answer_that_we_sign_verifies_there_with_its_request(key: str) -> None:
    request = signed_request(key)
    asked = ("POST", URI, request.headers)
    signed = sign_answer(
        ours(key),
        status=201,
        headers=ANSWER_HEADERS,
        request=asked,
        created=int(datetime.now(UTC).timestamp()),
    )

    response = Response(201, {**ANSWER_HEADERS, **signed}, request)
    required = [
        f'"{one.name}";req' if one.of_request else f'"{one.name}"' for one in answer_covered(ANSWER_HEADERS, asked)
    ]
    theirs(HTTPMessageVerifier, key).verify(response, expect_tag=ANSWER_TAG, require_components=required)

    assert len(required) == 9
    for changed in (
        Response(200, response.headers, request),
        Response(201, response.headers, Request("POST", URI + "x", request.headers)),
        Response(201, response.headers, Request("POST", URI, {**request.headers, "Signature": "submission=:AA==:"})),
    ):
        with pytest.raises(HTTPMessageSignaturesException):
            theirs(HTTPMessageVerifier, key).verify(changed, expect_tag=ANSWER_TAG)


def test_an_answer_that_the_other_library_signs_verifies_here(key: str) -> None:
    request = signed_request(key)
    asked = ("POST", URI, request.headers)
    response = Response(409, dict(ANSWER_HEADERS), request)
    theirs(HTTPMessageSigner, key).sign(
        response,
        key_id=ours(key).keyid,
        tag=ANSWER_TAG,
        use_existing_digest=True,
        covered_component_ids=[
            f'"{one.name}";req' if one.of_request else f'"{one.name}"' for one in answer_covered(ANSWER_HEADERS, asked)
        ],
    )
    keys = {ours(key).keyid: public_of_der(ours(key).public_der)}

    verify_answer(status=409, headers=response.headers, request=asked, keys=keys)

    with pytest.raises(SignatureRefused):
        verify_answer(status=201, headers=response.headers, request=asked, keys=keys)


FIELD_NAMES = st.sampled_from(["x-a", "x-b", "accept", "date", "gateway-purpose", "content-type", "authorization"])
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)
DERIVED = st.sampled_from(["@method", "@target-uri", "@authority", "@scheme", "@path", "@query", "@request-target"])
QUERIES = st.sampled_from(["", "?", "?a=b", "?a=%20&b=%C3%A9", "?x"])


@given(
    headers=st.dictionaries(FIELD_NAMES, VALUES, min_size=1),
    derived=st.lists(DERIVED, unique=True),
    host=st.sampled_from(["gateway.example", "Gateway.Example:443", "gateway.example:8443"]),
    query=QUERIES,
    order=st.randoms(use_true_random=False),
)
def test_both_build_the_same_signature_base(
    headers: dict[str, str], derived: list[str], host: str, query: str, order: Any
) -> None:
    """The differential test: whatever is covered, in whatever order, the bytes to sign are the same."""
    covered = [*headers, *derived]
    order.shuffle(covered)
    host = host if "@target-uri" not in derived else host.lower().removesuffix(":443")
    uri = f"https://{host}/v1/x{query}"
    prepared = theirs(HTTPMessageSigner, "ed25519").prepare(
        Request("POST", uri, dict(headers)),
        key_id="k",
        created=datetime.fromtimestamp(1, UTC),
        nonce=NONCE,
        tag=REQUEST_TAG,
        covered_component_ids=covered,
    )
    parsed = parse_signature(f"a={prepared.signature_params}", "a=:AA==:", tag=REQUEST_TAG)

    assert signature_base(parsed.components, parsed.params, request=RequestHead.of("POST", uri, headers)) == (
        prepared.signature_base
    )
