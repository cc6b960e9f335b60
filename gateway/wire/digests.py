# SPDX-License-Identifier: Apache-2.0
"""Fingerprints and how they are written; this file is about SHA-256, Content-Digest (RFC 9530) and strict base64."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from gateway.wire.fields import parse_dictionary, serialize_bytes

SHA256_BYTES: Final = 32
_DIGEST_BYTES: Final = {"sha-256": 32, "sha-512": 64}


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 digest of some bytes."""
    return hashlib.sha256(data).digest()


def format_content_digest(digest: bytes) -> str:
    """Write a SHA-256 digest as a Content-Digest field, `sha-256=:…:`."""
    return f"sha-256={serialize_bytes(digest)}"


def parse_content_digest(value: str) -> dict[str, bytes]:
    """Return the digests of a Content-Digest field by algorithm; other algorithms than SHA-2's are left out.

    Raises:
        ValueError: when the field is malformed or a digest has the wrong length.
    """
    digests: dict[str, bytes] = {}
    for algorithm, (digest, parameters) in parse_dictionary(value).items():
        if not isinstance(digest, bytes) or parameters:
            raise ValueError("a digest is a byte sequence without parameters")
        if algorithm not in _DIGEST_BYTES:
            continue  # RFC 9530, section 2: an unknown algorithm is passed over.
        if len(digest) != _DIGEST_BYTES[algorithm]:
            raise ValueError(f"{algorithm} has another length")
        digests[algorithm] = digest
    return digests


def b64(data: bytes) -> str:
    """Write bytes in base64 with padding (RFC 4648, section 4)."""
    return base64.b64encode(data).decode()


def unb64(text: str) -> bytes:
    """Read base64 in its one canonical spelling; ValueError for any other character, padding or spare bits."""
    data = base64.b64decode(text.encode("ascii"), validate=True)
    # Spare bits that are not zero would give one value several spellings, so that a proof could be altered unnoticed.
    if b64(data) != text:
        raise ValueError("base64 is not canonical")
    return data


def b64url(data: bytes) -> str:
    """Write bytes in base64url without padding (RFC 4648, section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64url(text: str) -> bytes:
    """Read base64url without padding in its one canonical spelling; raises as `unb64`."""
    data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if b64url(data) != text:
        raise ValueError("base64url is not canonical")
    return data
