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
    signed = pre_authentication_encoding(payload_type, payload)
    signatures = [{"keyid": signer.keyid, "sig": b64(signer.sign(signed))} for signer in signers]
    return {"payloadType": payload_type, "payload": b64(payload), "signatures": signatures}


def verify_envelope(
    envelope: Mapping[str, Any], keys: Mapping[str, SigningPublic], *, payload_type: str
) -> tuple[bytes, frozenset[str]]:
    """Return the payload and the ids of those known keys that signed it; keys that are not known count for nothing.

    Raises:
        EnvelopeInvalid: when it is malformed or of another type, none signed it, or a known key's signature fails.
    """
    try:
        payload, signatures = _take_apart(envelope, payload_type)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EnvelopeInvalid("malformed envelope, or of another type") from error
    signed = pre_authentication_encoding(payload_type, payload)
    verified: set[str] = set()
    for keyid, signature in signatures:
        if (key := keys.get(keyid)) is None:
            continue
        try:
            verify_bytes(key.algorithm, key.der, signature, signed)
        except InvalidSignature as error:
            raise EnvelopeInvalid("a signature does not hold") from error
        verified.add(key.keyid)
    if not verified:
        raise EnvelopeInvalid("signed by no known key")
    return payload, frozenset(verified)


def _take_apart(envelope: Mapping[str, Any], payload_type: str) -> tuple[bytes, list[tuple[str, bytes]]]:
    match envelope:
        case {"payloadType": kind, "payload": str(payload), "signatures": [*signatures], **rest} if (
            kind == payload_type and not rest and all(one.keys() == {"keyid", "sig"} for one in signatures)
        ):
            if len(signatures) > SIGNATURES_MAX:
                raise ValueError("too many signatures")
            return unb64(payload), [(str(one["keyid"]), unb64(one["sig"])) for one in signatures]
    raise ValueError("another form or type")
