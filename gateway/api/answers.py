# SPDX-License-Identifier: Apache-2.0
"""What the gateway says, provably; this file is about signing every answer to a submission (RFC 9421, RFC 9530).

An answer covers its own status, type, digest and audit event and, with `;req`, what identifies the request it
answers. It stands between application and server, so that no answer to a submission can leave unsigned: receipts,
refusals and faults alike.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from datetime import datetime
from typing import Any

from gateway.wire.digests import format_content_digest, sha256
from gateway.wire.http_signature import sign_answer
from gateway.wire.keys import Signer

Send = Callable[[Any], Awaitable[None]]
AskedFor = tuple[str, str, list[tuple[str, str]]]


def asked_for(scope: Mapping[str, Any], target_uri: str) -> AskedFor:
    """Return the request that an answer is bound to: method, target URI and fields."""
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    return scope["method"], target_uri, fields


class SignedAnswer:
    """Takes an answer's pieces, and sends it whole and signed."""

    def __init__(self, send: Send, signer: Signer, asked: AskedFor, *, now: Callable[[], datetime]) -> None:
        self._send = send
        self._signer = signer
        self._asked = asked
        self._now = now
        self._start: MutableMapping[str, Any] = {}
        self._body = bytearray()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Take one ASGI message; the last one lets the answer go."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body", False):
            return
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._start["headers"]]
        headers.append(("content-digest", format_content_digest(sha256(bytes(self._body)))))
        signed = sign_answer(
            self._signer,
            status=self._start["status"],
            headers=headers,
            request=self._asked,
            created=int(self._now().timestamp()),
        )
        headers += [(name.lower(), value) for name, value in signed.items()]
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await self._send({**self._start, "headers": encoded})
        await self._send({"type": "http.response.body", "body": bytes(self._body)})
