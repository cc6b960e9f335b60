# SPDX-License-Identifier: Apache-2.0
"""Is it the gateway's answer, to this request, about these records; this file is about what the SDK believes.

An answer proves itself in this order: (1) its digest is that of its body; (2) it is signed with a pinned answer
key; (3) the signature covers status, content and the audit event, and binds them to the very request that was
sent; then a receipt must (4) verify under the pinned log policy and (5) speak of what was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway.client.channel import Answer
from gateway.client.failures import AnswerNotTrusted, ReceiptNotTrusted, Refused
from gateway.client.sending import Body, Prepared
from gateway.wire.digests import b64, parse_content_digest, sha256
from gateway.wire.http_message import SignatureRefused
from gateway.wire.http_signature import verify_answer
from gateway.wire.keys import KeyUnsupported, SigningPublic, public_of_jwk
from gateway.wire.policy_file import LogPolicy
from gateway.wire.receipt import ReceiptInvalid, VerifiedReceipt, verify_receipt

ANSWER_AGE_SECONDS_MAX: Final = 600


@dataclass(frozen=True, slots=True)
class AnswerKeys:
    """The gateway's answer keys that the partner pinned, by key id."""

    keys: Mapping[str, SigningPublic]


def answer_keys_of(jwks: Iterable[Mapping[str, Any]]) -> AnswerKeys:
    """Return the keys of a JWKS; a key of another kind is passed over, for it could verify nothing here."""
    keys: dict[str, SigningPublic] = {}
    for jwk in jwks:
        try:
            key = public_of_jwk(jwk)
        except KeyUnsupported:
            continue
        keys[key.keyid] = key
    return AnswerKeys(keys)


def trusted(answer: Answer, prepared: Prepared, keys: AnswerKeys, *, at: datetime) -> Answer:
    """Return the answer once it is proven to be the gateway's, to this request.

    Raises:
        AnswerNotTrusted: when it is not.
    """
    digest = answer.header("content-digest")
    try:
        digests = parse_content_digest(digest or "")
    except ValueError as error:
        raise AnswerNotTrusted("the answer has a malformed Content-Digest") from error
    if digests.get("sha-256") != sha256(answer.body):  # (1)
        raise AnswerNotTrusted("the answer's body does not have the digest that its head says")
    try:
        parsed = verify_answer(  # (2) (3)
            status=answer.status,
            headers=answer.headers,
            request=(prepared.method, prepared.target_uri, prepared.headers),
            keys=keys.keys,
        )
    except SignatureRefused as error:
        raise AnswerNotTrusted(f"the signature of the answer: {error}") from error
    # An old answer to this very request cannot exist, its nonce is new; a wrong clock on either side should be seen.
    if abs((parsed.created or 0) - at.timestamp()) > ANSWER_AGE_SECONDS_MAX:
        raise AnswerNotTrusted("the answer was signed at another time than now; compare the clocks")
    return answer


def refused(answer: Answer, *, signed: bool) -> Refused:
    """Return the refusal that an answer of 4xx or 5xx carries; a body that is no problem document counts as none."""
    try:
        problem = answer.document()
    except AnswerNotTrusted:
        problem = {}
    return Refused(answer.status, problem, signed=signed, retry_after=answer.header("retry-after"))


def proven(receipt: Mapping[str, Any], policy: LogPolicy) -> VerifiedReceipt:
    """Return what a receipt proves (4).

    Raises:
        ReceiptNotTrusted: when it does not verify under the policy.
    """
    try:
        return verify_receipt(dict(receipt), policy=policy)
    except ReceiptInvalid as error:
        raise ReceiptNotTrusted(str(error)) from error


def about(verified: VerifiedReceipt, body: Body, *, event_id: str) -> VerifiedReceipt:
    """Return the receipt once it speaks of the event that the answer named and the content that was sent (5).

    The digest compared is that of the decoded body: a repeat may be compressed otherwise than the first time.

    Raises:
        ReceiptNotTrusted: when it speaks of something else.
    """
    if verified.event_id != event_id:
        raise ReceiptNotTrusted("it is of another event than the answer names")
    fields = verified.fields
    if not same_digest(fields.get("decoded_digest"), body.decoded_digest):
        raise ReceiptNotTrusted("it is of other content")
    if body.count and (fields.get("received_count"), same_digest(fields.get("root_received"), body.root)) != (
        body.count,
        True,
    ):
        raise ReceiptNotTrusted("it is of other records")
    return verified


def same_digest(text: object, digest: bytes) -> bool:
    """Say whether a text of an event is a digest, which events spell in base64."""
    return text == b64(digest)
