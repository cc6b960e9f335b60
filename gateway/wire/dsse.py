# SPDX-License-Identifier: Apache-2.0
"""One document, several signers; this file is about DSSE envelopes, in which approvals are signed.

The type is signed with the payload, and the reader names the type that it expects, so that a signature given for
one kind of document can never be shown as one for another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.wire.digests import b64, unb64
from gateway.wire.keys import InvalidSignature, Signer, SigningPublic, verify_bytes

SIGNATURES_MAX: Final = 64


class EnvelopeInvalid(ValueError):
    """An envelope that is malformed, of another type, or signed wrongly."""


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that are signed (DSSE protocol, PAE)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def sign_envelope(payload_type: str, payload: bytes, signers: Sequence[Signer]) -> dict[str, Any]:
    """Return a payload in an envelope signed by each of the signers."""
    envelope = {"payloadType": payload_type, "payload": b64(payload), "signatures": []}
    for signer in signers:
        envelope = add_signature(envelope, signer)
    return envelope


def add_signature(envelope: Mapping[str, Any], signer: Signer) -> dict[str, Any]:
    """Return an envelope with one more signature; nothing is said of those that stand there.

    Raises:
        EnvelopeInvalid: when it is malformed, or this key has signed it before.
    """
    payload_type, payload, signatures = _take_apart(envelope)
    if any(keyid == signer.keyid for keyid, _ in signatures):
        raise EnvelopeInvalid("signed by this key before")
    signature = signer.sign(pre_authentication_encoding(payload_type, payload))
    added = {"keyid": signer.keyid, "sig": b64(signature)}
    return {**envelope, "signatures": [*envelope["signatures"], added]}


def verify_envelope(
    envelope: Mapping[str, Any], keys: Mapping[str, SigningPublic], *, payload_type: str
) -> tuple[bytes, frozenset[str]]:
    """Return the payload and the ids of those known keys that signed it; keys that are not known count for nothing.

    Raises:
        EnvelopeInvalid: when it is malformed or of another type, none signed it, or a known key's signature fails.
    """
    kind, payload, signatures = _take_apart(envelope)
    if kind != payload_type:
        raise EnvelopeInvalid("envelope of another type")
    signed = pre_authentication_encoding(kind, payload)
    verified: set[str] = set()
    for keyid, signature in signatures:
        key = keys.get(keyid)
        if key is None:
            continue
        try:
            verify_bytes(key.algorithm, key.der, signature, signed)
        except InvalidSignature as error:
            raise EnvelopeInvalid("a signature does not hold") from error
        verified.add(key.keyid)
    if not verified:
        raise EnvelopeInvalid("signed by no known key")
    return payload, frozenset(verified)


def _take_apart(envelope: Mapping[str, Any]) -> tuple[str, bytes, list[tuple[str, bytes]]]:
    try:
        signatures = envelope["signatures"]
        if not isinstance(signatures, list) or len(signatures) > SIGNATURES_MAX:
            raise EnvelopeInvalid("signatures are not a list, or too many")
        return (
            _text(envelope["payloadType"]),
            unb64(_text(envelope["payload"])),
            [(_text(one["keyid"]), unb64(_text(one["sig"]))) for one in signatures],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise EnvelopeInvalid("malformed envelope") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise EnvelopeInvalid("not a text")
    return value
