# SPDX-License-Identifier: Apache-2.0
"""What the gateway says, provably; this file is about signing answers (RFC 9421) to signed requests.

An answer covers its own status, type, digest and audit event and, with `;req`, what identifies the request it
answers. Only parts of the request that could be read are bound: a refusal of a broken signature still is signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from gateway.trip import SignedRequest
from gateway.wire.digests import format_content_digest, parse_content_digest, sha256
from gateway.wire.http_signature import SignatureHeaderInvalid, parse_signature, sign_answer
from gateway.wire.keys import Signer
from gateway.wire.structured import FIELD_BYTES_MAX

REQUEST_TAG = "gateway-submission"
ANSWER_TAG = "gateway-answer"


@dataclass(frozen=True, slots=True)
class AskedFor:
    """The parts of a request that its answer can be bound to."""

    method: str
    target_uri: str
    headers: Mapping[str, str]


def asked_for(method: str, target_uri: str, headers: Mapping[str, str]) -> AskedFor:
    """Return the request's parts, without those that are malformed."""
    readable: dict[str, str] = {}
    if digest := headers.get("content-digest"):
        with suppress(ValueError):
            parse_content_digest(digest)
            readable["content-digest"] = digest
    both = {name: headers[name] for name in ("signature", "signature-input") if name in headers}
    if len(both) == 2 and all(len(value) <= FIELD_BYTES_MAX for value in both.values()):  # noqa: PLR2004 -- both
        with suppress(SignatureHeaderInvalid):
            parse_signature(both["signature-input"], both["signature"], tag=REQUEST_TAG)
            readable |= both
    return AskedFor(method, target_uri, readable)
