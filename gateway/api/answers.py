# SPDX-License-Identifier: Apache-2.0
"""What the gateway says, provably; this file is about signing its answers (RFC 9421, RFC 9530).

An answer covers its own status, type, digest and audit event and, with `;req`, what identifies the request it
answers. It stands between application and server, so that no answer to a submission, and none of the statistics,
can leave unsigned: receipts, data, refusals and faults alike.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

from gateway.wire.digests import format_content_digest, sha256
from gateway.wire.http_signature import sign_answer
from gateway.wire.keys import Signer

Send = Callable[[Any], Awaitable[None]]
AskedFor = tuple[str, str, list[tuple[str, str]]]
_SUBMITTING = "POST"
_READING = "GET"
_STATISTICS = b"/sdmx/"


def asked_for(scope: Mapping[str, Any], target_uri: str) -> AskedFor:
    """Return the request that an answer is bound to: method, target URI and fields."""
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    return scope["method"], target_uri, fields


def is_signed(scope: Mapping[str, Any]) -> bool:
    """Say whether the answer to a request is signed: to a submission, and to whoever reads statistics."""
    reads: bool = scope["raw_path"].startswith(_STATISTICS)
    return scope["method"] == _SUBMITTING or (scope["method"] == _READING and reads)


class SignedAnswer:
    """Takes an answer's pieces, and sends it signed.

    An answer whose head names its digest is signed at once, and its body passes; any other is kept until it is whole.
    """

    def __init__(self, send: Send, signer: Signer, asked: AskedFor, *, now: Callable[[], datetime]) -> None:
        self._send = send
        self._signer = signer
        self._asked = asked
        self._now = now
        self._start: MutableMapping[str, Any] = {}
        self._body = bytearray()
        self._passing = False

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Take one ASGI message; the last one lets the answer go."""
        if self._passing:
            await self._send(message)
        elif message["type"] == "http.response.start":
            self._start, self._body = message, bytearray()
            # "Not modified" has nothing to sign but what was signed when it was sent.
            self._passing = message["status"] == HTTPStatus.NOT_MODIFIED
            if self._passing:
                await self._send(message)
            elif any(name.lower() == b"content-digest" for name, _ in message["headers"]):
                self._passing = True
                await self._send({**message, "headers": self._signed(message["headers"])})
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                digest = format_content_digest(sha256(bytes(self._body))).encode()
                headers = self._signed([*self._start["headers"], (b"content-digest", digest)])
                await self._send({**self._start, "headers": headers})
                await self._send({"type": "http.response.body", "body": bytes(self._body)})

    def _signed(self, encoded: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in encoded]
        signed = sign_answer(
            self._signer,
            status=self._start["status"],
            headers=headers,
            request=self._asked,
            created=int(self._now().timestamp()),
        )
        return [*encoded, *((name.lower().encode(), value.encode("latin-1")) for name, value in signed.items())]
