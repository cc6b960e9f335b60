# SPDX-License-Identifier: Apache-2.0
"""Did the partner say it; this file is about the signature over a submission's head, checked before its body is read.

So a caller without a valid signature uploads nothing. Whether the nonce was seen before only the database knows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn

from gateway.clock import format_instant
from gateway.errors import (
    DigestMissing,
    EncodingUnsupported,
    IdempotencyKeyMissing,
    MediaTypeUnsupported,
    RequestMalformed,
    SignatureAlgorithmMismatch,
    SignatureComponentMissing,
    SignatureExpired,
    SignatureInvalid,
    SignatureKeyUnknown,
    SignatureMalformed,
    SignatureMissing,
    SignatureNotYetValid,
)
from gateway.trip import ClaimedRecords, Partner, SignedRequest, SigningKey
from gateway.wire.digests import parse_content_digest
from gateway.wire.fields import parse_records
from gateway.wire.http_message import RequestHead, SignatureFlaw, SignatureRefused
from gateway.wire.http_signature import (
    REQUEST_COVERED,
    REQUEST_COVERED_IF_PRESENT,
    REQUEST_TAG,
    ParsedSignature,
    parse_signature,
    signature_base,
)
from gateway.wire.keys import InvalidSignature, verify_bytes

MEDIA_TYPES: Final = ("application/x-ndjson", "application/vnd.gateway.nil+json")
ENCODINGS: Final = ("zstd", "gzip", "identity")

CLOCK_AHEAD_SECONDS: Final = 30
SIGNATURE_AGE_SECONDS_MAX: Final = 300
_NONCE_CHARS: Final = range(16, 129)
_IDEMPOTENCY_KEY: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
# A field that may stand once: two lines of it would let two readers each believe another one.
_SINGLE: Final = frozenset(
    {"content-type", "content-digest", "content-encoding", "idempotency-key", "authorization", "gateway-records"}
    | {"content-length", "host"}
)


@dataclass(frozen=True, slots=True)
class VerifiedHead:
    """The head of a submission that a key of the partner signed; built here, its body still unread."""

    partner: Partner
    keyid: str
    algorithm: str
    nonce: str
    created: datetime
    signature_base: bytes
    signature: bytes
    media_type: str
    encoding: str
    digests: Mapping[str, bytes]
    idempotency_key: str
    claimed_records: ClaimedRecords | None


def verify_signature(
    request: SignedRequest,
    partner: Partner,
    *,
    at: datetime,
    reveal_base: bool = False,
    media_types: Collection[str] = MEDIA_TYPES,
) -> VerifiedHead:
    """Return the head of a submission, its signature verified.

    The order is fixed, so that a request with several faults is always refused for the same one: (1) one
    signature with our tag, (2) its components, (3) its key, (4) the algorithm, (5) its time, (6) the signature,
    (7) what the signed fields say.

    Raises:
        Refusal: one of the signature reasons, or digest-missing, idempotency-key-missing, request-malformed,
            media-type-unsupported, encoding-unsupported.
    """
    head = RequestHead.of(request.method, request.target_uri, request.headers)
    try:
        # (1) One signature with our tag.
        parsed = parse_signature(
            head.fields.get("signature-input", ""), head.fields.get("signature", ""), tag=REQUEST_TAG
        )
        keyid, nonce, created, expires = _required(parsed)
        # (2) The base is built here already: a component that cannot be built is a fault of the signature.
        _require_components(head, parsed)
        base = signature_base(parsed.components, parsed.params, request=head)
    except SignatureRefused as error:
        if error.flaw is SignatureFlaw.MISSING:
            raise SignatureMissing from error
        raise SignatureMalformed(what=error.what) from error
    # (3) The key.
    key = _active_key(partner, keyid, at)
    # (4) The algorithm.
    if parsed.alg != key.algorithm:
        raise SignatureAlgorithmMismatch(registered=key.algorithm)
    # (5) The time before the signature: it costs less, and the gateway's time is no secret.
    if created > at + timedelta(seconds=CLOCK_AHEAD_SECONDS):
        raise SignatureNotYetValid(now=format_instant(at))
    if expires < at:
        raise SignatureExpired(now=format_instant(at))
    # (6) The signature.
    try:
        verify_bytes(key.algorithm, key.public, parsed.signature, base)
    except InvalidSignature as error:
        raise SignatureInvalid(hint=base.decode() if reveal_base else "") from error
    # (7) What the signed fields say.
    _refuse_repeated_fields(request)
    return VerifiedHead(
        partner=partner,
        keyid=keyid,
        algorithm=key.algorithm,
        nonce=nonce,
        created=created,
        signature_base=base,
        signature=parsed.signature,
        media_type=_media_type(head, media_types),
        encoding=_encoding(head),
        digests=_digests(head),
        idempotency_key=_idempotency_key(head),
        claimed_records=_claimed_records(head),
    )


def _required(parsed: ParsedSignature) -> tuple[str, str, datetime, datetime]:
    """Return the parameters that must be there: key id, nonce, and from when until when the signature holds."""
    if parsed.created is None or parsed.nonce is None or parsed.keyid is None or parsed.alg is None:
        _malformed("created, nonce, keyid and alg are required")
    if len(parsed.nonce) not in _NONCE_CHARS:
        _malformed("a nonce has 16 to 128 characters")
    created, oldest = parsed.created, parsed.created + SIGNATURE_AGE_SECONDS_MAX
    expires = oldest if parsed.expires is None else parsed.expires
    if not created <= expires <= oldest:
        _malformed(f"expires is from 0 to {SIGNATURE_AGE_SECONDS_MAX} seconds after created")
    try:
        return parsed.keyid, parsed.nonce, datetime.fromtimestamp(created, UTC), datetime.fromtimestamp(expires, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise SignatureRefused(SignatureFlaw.MALFORMED, "created is no time") from error


def _require_components(head: RequestHead, parsed: ParsedSignature) -> None:
    # What is not there cannot be covered; two absences have reasons of their own.
    if "content-digest" not in head.fields:
        raise DigestMissing
    if "idempotency-key" not in head.fields:
        raise IdempotencyKeyMissing
    covered = {component.name for component in parsed.components}
    present = [name for name in REQUEST_COVERED_IF_PRESENT if name in head.fields]
    for name in (*REQUEST_COVERED, *present):
        if name not in covered:
            raise SignatureComponentMissing(component=name)


def _active_key(partner: Partner, keyid: str, at: datetime) -> SigningKey:
    for key in partner.signing_keys:
        if key.keyid == keyid and key.not_before <= at and (key.not_after is None or at < key.not_after):
            return key
    raise SignatureKeyUnknown


def _refuse_repeated_fields(request: SignedRequest) -> None:
    names = [name for name, _ in request.headers if name in _SINGLE]
    for name in names:
        if names.count(name) > 1:
            raise RequestMalformed(what=f"{name} appears more than once")


def _media_type(head: RequestHead, known: Collection[str]) -> str:
    media_type = head.fields["content-type"].split(";", 1)[0].strip(" \t").lower()
    if media_type not in known:
        raise MediaTypeUnsupported(supported=", ".join(known))
    return media_type


def _encoding(head: RequestHead) -> str:
    encoding = head.fields.get("content-encoding", "identity").lower()
    if encoding not in ENCODINGS:
        raise EncodingUnsupported(supported=", ".join(ENCODINGS))
    return encoding


def _digests(head: RequestHead) -> Mapping[str, bytes]:
    try:
        digests = parse_content_digest(head.fields["content-digest"])
    except ValueError as error:
        raise RequestMalformed(what="content-digest") from error
    if not digests:
        raise DigestMissing
    return digests


def _idempotency_key(head: RequestHead) -> str:
    key = head.fields["idempotency-key"]
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise IdempotencyKeyMissing
    return key


def _claimed_records(head: RequestHead) -> ClaimedRecords | None:
    value = head.fields.get("gateway-records")
    if value is None:
        return None
    try:
        return ClaimedRecords(*parse_records(value))
    except ValueError as error:
        raise RequestMalformed(what="gateway-records") from error


def _malformed(what: str) -> NoReturn:
    raise SignatureRefused(SignatureFlaw.MALFORMED, what)
