# SPDX-License-Identifier: Apache-2.0
"""Is it the gateway's answer, to this request, about these records; this file is about what the SDK believes.

An answer proves itself in this order: (1) its digest is that of its body; (2) it is signed with a pinned answer
key; (3) the signature covers status, content and the audit event, and binds them to the very request that was
sent; then a receipt must (4) verify under the pinned log policy and (5) speak of what was sent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from gateway.client.channel import Answer
from gateway.client.failures import AnswerNotTrusted, ConfigInvalid, ReceiptNotTrusted, Refused
from gateway.client.sending import Body, Prepared
from gateway.wire.digests import b64, parse_content_digest, sha256
from gateway.wire.http_message import SignatureRefused
from gateway.wire.http_signature import verify_answer
from gateway.wire.keys import KeyUnsupported, SigningPublic, public_of_jwk
from gateway.wire.merkle import RunningRoot, leaf_hash
from gateway.wire.policy_file import LogPolicy
from gateway.wire.receipt import ReceiptInvalid, VerifiedReceipt, verify_receipt

ANSWER_AGE_SECONDS_MAX: Final = 600


def load_answer_keys(path: Path) -> dict[str, SigningPublic]:
    """Read the gateway's answer keys that the partner pinned, a JWKS file; ConfigInvalid when it is none."""
    keys = {}
    try:
        for jwk in json.loads(path.read_bytes())["keys"]:
            with suppress(KeyUnsupported):  # A key of another kind could verify nothing here.
                key = public_of_jwk(dict(jwk))
                keys[key.keyid] = key
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigInvalid(f"{path}: not a JWKS") from error
    return keys


def trusted(answer: Answer, prepared: Prepared, keys: Mapping[str, SigningPublic], *, at: datetime) -> Answer:
    """Return the answer once it is proven to be the gateway's, to this request, or raise AnswerNotTrusted."""
    try:
        digests = parse_content_digest(answer.header("content-digest") or "")
    except ValueError as error:
        raise AnswerNotTrusted("the answer has a malformed Content-Digest") from error
    if digests.get("sha-256") != sha256(answer.body):  # (1)
        raise AnswerNotTrusted("the answer's body does not have the digest that its head says")
    try:
        parsed = verify_answer(  # (2) (3)
            status=answer.status,
            headers=answer.headers,
            request=("POST", prepared.target_uri, prepared.headers),
            keys=keys,
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


def proven(receipt: object, policy: LogPolicy) -> VerifiedReceipt:
    """Return what a receipt proves under the policy (4), or raise ReceiptNotTrusted."""
    if not isinstance(receipt, Mapping):
        raise ReceiptNotTrusted("it is no JSON object")
    try:
        return verify_receipt(receipt, policy=policy)
    except ReceiptInvalid as error:
        raise ReceiptNotTrusted(str(error)) from error


def about(verified: VerifiedReceipt, body: Body, *, event_id: str) -> VerifiedReceipt:
    """Return the receipt once it speaks of the event that the answer named and of what was sent (5), or raise.

    The digest compared is that of the decoded body: a repeat may be compressed otherwise than the first time.
    """
    if verified.event_id != event_id:
        raise ReceiptNotTrusted("it is of another event than the answer names")
    if verified.fields.get("decoded_digest") != b64(body.decoded_digest):
        raise ReceiptNotTrusted("it is of other content")
    if body.count and _records_of(verified) != (body.count, b64(body.root)):
        raise ReceiptNotTrusted("it is of other records")
    return verified


def matches_file(verified: VerifiedReceipt, path: Path) -> int:
    """Return how many records a file has, once their root and digest are those that the receipt commits to.

    Raises:
        ReceiptNotTrusted: when the file holds other lines, or other bytes, than were received.
    """
    root, digest = RunningRoot(), hashlib.sha256()
    with path.open("rb") as file:
        for line in file:
            digest.update(line)
            root.append(leaf_hash(line.removesuffix(b"\n")))
    if _records_of(verified) != (root.size, b64(root.root())):
        raise ReceiptNotTrusted(f"{path}: the records are not those of the receipt")
    if verified.fields.get("decoded_digest") != b64(digest.digest()):
        raise ReceiptNotTrusted(f"{path}: the records are the same, the bytes between them are not")
    return root.size


def _records_of(verified: VerifiedReceipt) -> tuple[object, object]:
    return verified.fields.get("received_count"), verified.fields.get("root_received")
