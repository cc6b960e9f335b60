# SPDX-License-Identifier: Apache-2.0
"""The document that officers sign; this file is about what is none, and about signatures that are joined."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.clock import format_instant
from gateway.identifiers import new_id
from gateway.wire.canonical import canonical_bytes
from gateway.wire.change import (
    VALID,
    Change,
    ChangeMalformed,
    countersign,
    joined,
    read_change,
    sign_change,
    written_in,
)
from gateway.wire.digests import b64
from gateway.wire.keys import FileSigner, SigningPublic, public_of_der

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
FIRST, SECOND = (FileSigner.of(Ed25519PrivateKey.generate()) for _ in range(2))
CHANGE = Change("suspend", format_instant(NOW), "https://gateway.example", new_id(NOW), {"id": "MEX.INM"})
ENVELOPE = sign_change(CHANGE, FIRST)


def keys(*signers: FileSigner) -> dict[str, SigningPublic]:
    return {signer.keyid: public_of_der(signer.public_der) for signer in signers}


def test_two_signatures_under_one_document_are_two_signers() -> None:
    whole = joined(ENVELOPE, countersign(ENVELOPE, SECOND))

    assert read_change(whole, keys(FIRST, SECOND)) == (CHANGE, {FIRST.keyid, SECOND.keyid})
    assert read_change(whole, keys(SECOND)) == (CHANGE, {SECOND.keyid})
    assert CHANGE.expires_at == NOW + VALID


@pytest.mark.parametrize(
    "bent",
    [
        {"padding": "x" * 9},
        {"signatures": [{**ENVELOPE["signatures"][0], "note": "x"}]},
        {"signatures": []},
        {"payloadType": "application/vnd.gateway.approval+json"},
        {"payload": b64(canonical_bytes({"act": "suspend"}))},
    ],
)
def test_an_envelope_with_anything_else_in_it_is_none(bent: dict[str, Any]) -> None:
    """What no signature covers would be stored, and read again and again."""
    with pytest.raises(ChangeMalformed):
        read_change({**ENVELOPE, **bent}, keys(FIRST))


@pytest.mark.parametrize("word", ["id", "at", "act", "words"])
def test_a_document_of_another_form_is_none(word: str) -> None:
    said = {"act": "suspend", "at": CHANGE.at, "gateway": CHANGE.gateway, "id": CHANGE.id, "words": {"id": "MEX.INM"}}

    with pytest.raises(ChangeMalformed):
        written_in({"payload": b64(canonical_bytes({**said, word: 7}))})


def test_a_private_key_is_in_no_document() -> None:
    with pytest.raises(ChangeMalformed, match="its owner"):
        Change("add-key", CHANGE.at, CHANGE.gateway, CHANGE.id, {"signing_key": "-----BEGIN EC PRIVATE KEY-----"})
