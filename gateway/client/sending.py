# SPDX-License-Identifier: Apache-2.0
"""From lines to a signed request; this file is about what is put on the wire for a submission."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import zstandard

from gateway.client.failures import BodyTooLarge
from gateway.wire.digests import b64url, format_content_digest, sha256
from gateway.wire.fields import format_records
from gateway.wire.http_signature import request_covered, sign_request
from gateway.wire.keys import Signer
from gateway.wire.merkle import RunningRoot, leaf_hash

NDJSON: Final = "application/x-ndjson"
NIL: Final = "application/vnd.gateway.nil+json"
COMPRESS_ABOVE_BYTES: Final = 1024 * 1024
BODY_BYTES_MAX: Final = 64 * 1024 * 1024
DECODED_BYTES_MAX: Final = 256 * 1024 * 1024
_KEY_DOMAIN: Final = b"gateway submission 1\n"


@dataclass(frozen=True, slots=True)
class Body:
    """The content of one submission, and what its sender knows about it."""

    content: bytes = field(repr=False)
    encoding: str
    media_type: str
    content_digest: bytes
    decoded_digest: bytes
    count: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Prepared:
    """A signed POST, ready to send, and as often as one likes: the same bytes each time."""

    path: str
    target_uri: str
    headers: dict[str, str]
    content: bytes = field(repr=False)
    nonce: str


def body_of_lines(lines: Iterable[bytes]) -> Body:
    """Build the body of a submission from canonical lines without LF; BodyTooLarge when the gateway would say so."""
    root = RunningRoot()
    decoded = bytearray()
    for line in lines:
        root.append(leaf_hash(line))
        decoded += line
        decoded += b"\n"
    return _body(bytes(decoded), NDJSON, root)


def body_of_nil(document: bytes) -> Body:
    """Build the body of a nil return: the statement that there is nothing to send for a period."""
    return _body(document, NIL, RunningRoot())


def idempotency_key_of(*, partner: str, product: str, version: str, body: Body) -> str:
    """Return the key of a submission: the same content to the same contract always has the same.

    So a run after a crash, which remembers nothing, repeats what the run before it sent, and nothing is kept twice.
    """
    name = f"{partner}\n{product}\n{version}\n{body.media_type}\n".encode()
    return b64url(sha256(_KEY_DOMAIN + name + body.decoded_digest))


def prepare(
    body: Body,
    *,
    signer: Signer,
    path: str,
    target_uri: str,
    idempotency_key: str,
    at: datetime,
    nonce: str | None = None,
) -> Prepared:
    """Sign a submission (RFC 9421), covering everything that decides what is accepted."""
    headers = {
        "content-type": body.media_type,
        "content-digest": format_content_digest(body.content_digest),
        "idempotency-key": idempotency_key,
    }
    if body.encoding:
        headers["content-encoding"] = body.encoding
    if body.media_type == NDJSON:
        headers["gateway-records"] = format_records(body.count, body.root)
    nonce = nonce or secrets.token_urlsafe(24)
    signed = sign_request(
        signer,
        method="POST",
        target_uri=target_uri,
        headers=headers,
        covered=request_covered(headers),
        created=int(at.timestamp()),
        nonce=nonce,
    )
    return Prepared(path, target_uri, {**headers, **signed}, body.content, nonce)


def _body(decoded: bytes, media_type: str, records: RunningRoot) -> Body:
    if len(decoded) > DECODED_BYTES_MAX:
        raise BodyTooLarge(f"{len(decoded)} bytes; the gateway takes {DECODED_BYTES_MAX} in one submission")
    content, encoding = decoded, ""
    if len(decoded) > COMPRESS_ABOVE_BYTES:
        content, encoding = zstandard.ZstdCompressor(level=3).compress(decoded), "zstd"
    if len(content) > BODY_BYTES_MAX:
        raise BodyTooLarge(f"{len(content)} bytes; the gateway takes {BODY_BYTES_MAX} in one submission")
    return Body(content, encoding, media_type, sha256(content), sha256(decoded), records.size, records.root())
