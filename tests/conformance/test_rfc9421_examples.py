# SPDX-License-Identifier: Apache-2.0
"""What the standard itself says; this file is about the published examples of RFC 9421."""

from __future__ import annotations

import base64
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from gateway.wire.http_message import AnswerHead, RequestHead
from gateway.wire.http_signature import parse_signature, signature_base
from gateway.wire.keys import FileSigner, InvalidSignature, public_der, verify_bytes

VECTORS = json.loads((Path(__file__).parent.parent / "vectors/http-signatures/rfc9421.json").read_text())
# RFC 9421, appendix B.1.4: a published test key.
ED25519_PRIVATE = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----
"""


def base_of(vector: dict[str, Any]) -> tuple[bytes, bytes]:
    parsed = parse_signature(
        f"sig={vector['params']}", f"sig=:{vector['signature']}:", tag=None, answer=vector["answer"] is not None
    )
    request, answer = vector["request"], vector["answer"]
    base = signature_base(
        parsed.components,
        parsed.params,
        request=RequestHead.of(request["method"], request["target_uri"], request["headers"]),
        answer=None if answer is None else AnswerHead.of(answer["status"], answer["headers"]),
    )
    return base, parsed.signature


def verify(vector: dict[str, Any], base: bytes, signature: bytes) -> None:
    if vector["algorithm"] == "hmac-sha256":
        if hmac.digest(base64.b64decode(vector["key"]), base, "sha256") != signature:
            raise InvalidSignature
        return
    key = load_pem_public_key(vector["key"].encode())
    verify_bytes(vector["algorithm"], public_der(key), signature, base)


@pytest.fixture(autouse=True)
def _let_the_published_rsa_key_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """B.1.2 has 2048 bits, which no partner may sign with here."""
    monkeypatch.setattr("gateway.wire.keys.RSA_BITS_MIN", 2048)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["section"] for vector in VECTORS])
def test_the_signature_base_is_that_of_the_standard(vector: dict[str, Any]) -> None:
    base, _ = base_of(vector)

    assert base.decode() == "\n".join([*vector["lines"], f'"@signature-params": {vector["params"]}'])


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["section"] for vector in VECTORS])
def test_the_published_signature_holds_over_the_base_that_we_build(vector: dict[str, Any]) -> None:
    verify(vector, *base_of(vector))


@pytest.mark.parametrize(
    "vector",
    [one for one in VECTORS if one["algorithm"] != "hmac-sha256"],
    ids=lambda one: one["section"],
)
def test_a_published_signature_with_one_bit_changed_does_not_hold(vector: dict[str, Any]) -> None:
    base, signature = base_of(vector)

    for at in (0, 31, 32, 63):
        changed = bytearray(signature)
        changed[at] ^= 1
        with pytest.raises(InvalidSignature):
            verify(vector, base, bytes(changed))
    with pytest.raises(InvalidSignature):
        verify(vector, base + b" ", signature)


def test_signing_with_the_published_ed25519_key_gives_the_published_signature() -> None:
    vector = next(one for one in VECTORS if one["section"] == "B.2.6")
    base, published = base_of(vector)
    key = load_pem_private_key(ED25519_PRIVATE, password=None)

    assert FileSigner.of(key).sign(base) == published
