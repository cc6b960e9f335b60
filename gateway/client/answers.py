# SPDX-License-Identifier: Apache-2.0
"""Is it the gateway's answer, to this request, about these records; this file is about what the SDK believes.

An answer proves itself in this order: (1) its digest is that of its body; (2) it is signed with a pinned answer
key; (3) the signature covers status, content and the audit event, and binds them to the very request that was
sent; then a receipt must (4) verify under the pinned log policy, be of the event that was asked for, and (5) say
of what was sent the same as the answer does: who holds the answer key alone, and not the log's, is not believed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from gateway.client.channel import Answer
from gateway.client.failures import AnswerNotTrusted, ConfigInvalid, ReceiptNotTrusted, Refused
from gateway.client.outcome import RecordCounts
from gateway.client.sending import Body, Prepared
from gateway.wire.digests import b64, parse_content_digest, sha256
from gateway.wire.http_message import Headers, SignatureRefused
from gateway.wire.http_signature import ParsedSignature, verify_answer
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


def signed(
    answer: Answer, digest: bytes, request: tuple[str, str, Headers], keys: Mapping[str, SigningPublic]
) -> ParsedSignature:
    """Return the signature by which an answer, whose body has a digest, is the gateway's to this very request.

    Raises:
        AnswerNotTrusted: when it is not.
    """
    try:
        digests = parse_content_digest(answer.header("content-digest") or "")
    except ValueError as error:
        raise AnswerNotTrusted("the answer has a malformed Content-Digest") from error
    if digests.get("sha-256") != digest:  # (1)
        raise AnswerNotTrusted("the answer's body does not have the digest that its head says")
    try:
        return verify_answer(status=answer.status, headers=answer.headers, request=request, keys=keys)  # (2) (3)
    except SignatureRefused as error:
        raise AnswerNotTrusted(f"the signature of the answer: {error}") from error


def fresh(parsed: ParsedSignature, *, at: datetime) -> ParsedSignature:
    """Return a signature that was made now, or raise AnswerNotTrusted.

    Who could keep an answer back, or a wrong clock on either side, should be seen.
    """
    if abs((parsed.created or 0) - at.timestamp()) > ANSWER_AGE_SECONDS_MAX:
        raise AnswerNotTrusted("the answer was signed at another time than now; compare the clocks")
    return parsed


def trusted(answer: Answer, prepared: Prepared, keys: Mapping[str, SigningPublic], *, at: datetime) -> Answer:
    """Return the answer once it is proven to be the gateway's, to this request, or raise AnswerNotTrusted."""
    fresh(signed(answer, sha256(answer.body), ("POST", prepared.target_uri, prepared.headers), keys), at=at)
    return answer


def refused(answer: Answer, *, signed: bool) -> Refused:
    """Return the refusal that an answer of 4xx or 5xx carries; a body that is no problem document counts as none."""
    try:
        problem = answer.document()
    except AnswerNotTrusted:
        problem = {}
    return Refused(answer.status, problem, signed=signed, retry_after=answer.header("retry-after"))


def proven(receipt: object, policy: LogPolicy, *, event_id: str | None = None) -> VerifiedReceipt:
    """Return what a receipt, of this event if one is named, proves under the policy (4), or raise ReceiptNotTrusted."""
    if not isinstance(receipt, Mapping):
        raise ReceiptNotTrusted("it is no JSON object")
    try:
        verified = verify_receipt(receipt, policy=policy)
    except ReceiptInvalid as error:
        raise ReceiptNotTrusted(str(error)) from error
    if event_id is not None and verified.event_id != event_id:
        raise ReceiptNotTrusted("it is of another event")
    return verified


def about(verified: VerifiedReceipt, body: Body) -> VerifiedReceipt:
    """Return the receipt once it speaks of what was sent (5), or raise ReceiptNotTrusted.

    The digest compared is that of the decoded body: a repeat may be compressed otherwise than the first time.
    """
    if verified.fields.get("decoded_digest") != b64(body.decoded_digest):
        raise ReceiptNotTrusted("it is of other content")
    if _records_of(verified) != (body.count, b64(body.root)):
        raise ReceiptNotTrusted("it is of other records")
    return verified


def accepted(
    document: Mapping[str, Any], verified: VerifiedReceipt, asked: Mapping[str, str]
) -> tuple[str, RecordCounts]:
    """Return the submission id and counts of an acceptance, once the receipt proves them and what was asked (5).

    Raises:
        AnswerNotTrusted: when the answer lacks what an acceptance says.
        ReceiptNotTrusted: when the receipt says anything else.
    """
    try:
        counts = RecordCounts(**{name: int(value) for name, value in document["records"].items()})
        submission_id, contract = str(document["submission_id"]), document["contract"]
        told = {"contract_digest": contract["digest"], "submission_id": submission_id, "kind": "submission.accepted"}
        told |= {name: contract[name] for name in ("product", "version")}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AnswerNotTrusted("the answer lacks what an acceptance says") from error
    counted = {f"{name}_count": count for name, count in asdict(counts).items()}
    for name, value in (*told.items(), *counted.items(), *asked.items()):
        if verified.fields.get(name) != value:
            raise ReceiptNotTrusted(f"its {name} is another than that of the answer")
    return submission_id, counts


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
