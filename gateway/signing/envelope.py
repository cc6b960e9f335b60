# SPDX-License-Identifier: Apache-2.0
"""The body that was signed; this file is about receiving it: digest while it streams, decoding, bounds, lines."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from gateway.errors import BodyIncomplete, BodyTooLarge, DigestMismatch, RequestMalformed
from gateway.signing.decoding import BodyBroken, Decoder
from gateway.signing.head import VerifiedHead
from gateway.signing.spool import SpooledLines
from gateway.trip import SignedRequest, VerifiedEnvelope

_MIB: Final = 1 << 20
# A body this small may be of any ratio: a short run of equal lines compresses well.
_RATIO_FROM_BYTES: Final = _MIB
_PIECE_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How large a body may be, as sent and decoded, and what of it stays in memory."""

    sent_bytes_max: int = 64 * _MIB
    decoded_bytes_max: int = 256 * _MIB
    ratio_max: int = 100
    memory_bytes_max: int = 8 * _MIB
    line_bytes_max: int = 65_536


def receive_body(request: SignedRequest, head: VerifiedHead, *, limits: BodyLimits) -> VerifiedEnvelope:
    """Return the envelope, its body received whole, of the signed digest and decoded.

    Raises:
        Refusal: body-too-large, body-incomplete, digest-mismatch, or request-malformed for a line too long.
    """
    _refuse_announced(request, limits)
    body = _Receiver(head, limits)
    for chunk in request.body:
        body.take(chunk)
    body.finish()
    return VerifiedEnvelope(
        partner=head.partner,
        request_id=request.request_id,
        method=request.method,
        path=request.path,
        media_type=head.media_type,
        received_at=request.received_at,
        keyid=head.keyid,
        algorithm=head.algorithm,
        nonce=head.nonce,
        created=head.created,
        signature_base=head.signature_base,
        signature=head.signature,
        content_digest=body.sent_digest(),
        decoded_digest=body.decoded_digest(),
        body_bytes=body.sent_bytes,
        idempotency_key=head.idempotency_key,
        claimed_records=head.claimed_records,
        lines=body.lines,
    )


class _Receiver:
    """What is known of a body while it comes in."""

    def __init__(self, head: VerifiedHead, limits: BodyLimits) -> None:
        self.sent_bytes = 0
        self.lines = SpooledLines(memory_bytes_max=limits.memory_bytes_max)
        self._limits = limits
        self._signed = head.digests
        self._digests = {name: hashlib.new(name.replace("-", "")) for name in {"sha-256", *head.digests}}
        self._decoder = Decoder(head.encoding)
        self._broken: BodyBroken | None = None
        self._decoded = hashlib.sha256()
        self._decoded_bytes = 0
        self._line_bytes = 0

    def take(self, chunk: bytes) -> None:
        """Take the next bytes as sent."""
        self.sent_bytes += len(chunk)
        if self.sent_bytes > self._limits.sent_bytes_max:
            raise BodyTooLarge(limit=f"{self._limits.sent_bytes_max} bytes", what="as sent")
        for digest in self._digests.values():
            digest.update(chunk)
        if self._broken is not None:
            return
        try:
            for decoded in self._decoder.decode(chunk):
                self._keep(decoded)
        except BodyBroken as error:
            # Read on: if the digest differs too, the body was damaged on its way, and that is the answer.
            self._broken = error

    def finish(self) -> None:
        """Check that all is there, and as signed."""
        if any(self._digests[name].digest() != signed for name, signed in self._signed.items()):
            raise DigestMismatch
        try:
            if self._broken is not None:
                raise self._broken
            self._decoder.finish()
        except BodyBroken as error:
            raise BodyIncomplete from error

    def sent_digest(self) -> bytes:
        """Return the SHA-256 of the body as sent."""
        return self._digests["sha-256"].digest()

    def decoded_digest(self) -> bytes:
        """Return the SHA-256 of the decoded body."""
        return self._decoded.digest()

    def _keep(self, decoded: bytes) -> None:
        self._decoded_bytes += len(decoded)
        if self._decoded_bytes > self._limits.decoded_bytes_max:
            raise BodyTooLarge(limit=f"{self._limits.decoded_bytes_max} bytes", what="decoded")
        if self._decoded_bytes > max(_RATIO_FROM_BYTES, self.sent_bytes * self._limits.ratio_max):
            raise BodyTooLarge(limit=f"{self._limits.ratio_max} times", what="decoded")
        self._measure_lines(decoded)
        self._decoded.update(decoded)
        self.lines.write(decoded)

    def _measure_lines(self, decoded: bytes) -> None:
        # Piece by piece: eight mebibytes of newlines would else become a list of eight million lines.
        for at in range(0, len(decoded), _PIECE_BYTES):
            first, *others = decoded[at : at + _PIECE_BYTES].split(b"\n")
            longest = max(self._line_bytes + len(first), *map(len, others), 0)
            if longest > self._limits.line_bytes_max:
                raise RequestMalformed(what=f"a line is longer than {self._limits.line_bytes_max} bytes")
            self._line_bytes = len(others[-1]) if others else self._line_bytes + len(first)


def _refuse_announced(request: SignedRequest, limits: BodyLimits) -> None:
    announced = request.header("content-length")
    if announced is not None and announced.isdecimal() and int(announced[:20]) > limits.sent_bytes_max:
        raise BodyTooLarge(limit=f"{limits.sent_bytes_max} bytes", what="as sent")
