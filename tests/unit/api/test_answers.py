# SPDX-License-Identifier: Apache-2.0
"""Answers that prove themselves; this file is about which are signed, over what, and when they leave."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.api.answers import SignedAnswer, asked_for, is_signed
from gateway.wire.digests import format_content_digest, sha256
from gateway.wire.http_message import SignatureRefused
from gateway.wire.http_signature import verify_answer
from gateway.wire.keys import FileSigner, public_of_der

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SIGNER = FileSigner.of(Ed25519PrivateKey.generate())
KEYS = {SIGNER.keyid: public_of_der(SIGNER.public_der)}
URI = "https://gateway.test/sdmx/v2/data/dataflow/GATEWAY/FLOW/1.0.0/*?c[SEX]=F+M"
PURPOSE = ("gateway-purpose", "STATISTICS")


def scope(method: str = "GET", path: str = "/sdmx/v2/data", headers: tuple[tuple[str, str], ...] = (PURPOSE,)) -> Any:
    return {
        "method": method,
        "raw_path": path.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }


def start(status: int = 200, **headers: str) -> dict[str, Any]:
    lines = {"content-type": "text/csv", **{name.replace("_", "-"): value for name, value in headers.items()}}
    encoded = [(name.encode(), value.encode()) for name, value in lines.items()]
    return {"type": "http.response.start", "status": status, "headers": encoded}


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def sent_after_each(*messages: dict[str, Any], asked: Any = None) -> list[list[dict[str, Any]]]:
    """Send messages through a signed answer, and return what had left after each."""
    left: list[dict[str, Any]] = []

    async def out(message: dict[str, Any]) -> None:
        left.append(message)

    async def run() -> list[list[dict[str, Any]]]:
        answer = SignedAnswer(out, SIGNER, asked_for(asked or scope(), URI), now=lambda: NOW)
        after = []
        for message in messages:
            await answer.send(message)
            after.append(list(left))
        return after

    return asyncio.run(run())


def verified(head: dict[str, Any], *, uri: str = URI, purpose: tuple[str, str] = PURPOSE) -> list[str]:
    headers = [(name.decode(), value.decode()) for name, value in head["headers"]]
    parsed = verify_answer(status=head["status"], headers=headers, request=("GET", uri, [purpose]), keys=KEYS)
    return [one.name for one in parsed.components]


@pytest.mark.parametrize(
    ("method", "path", "signed"),
    [
        ("POST", "/v1/submissions/flow/1.0.0", True),
        ("GET", "/sdmx/v2/data/dataflow/GATEWAY/FLOW/1.0.0", True),
        ("GET", "/sdmx", False),
        ("HEAD", "/sdmx/v2/data/dataflow/GATEWAY/FLOW/1.0.0", False),
        ("GET", "/v1/contracts", False),
    ],
)
def test_submissions_and_statistics_are_answered_with_a_signature(method: str, path: str, signed: bool) -> None:
    assert is_signed(scope(method, path)) is signed


def test_an_answer_without_a_digest_is_kept_until_it_is_whole() -> None:
    after = sent_after_each(start(), body(b"a,b\r\n", more=True), body(b"1,2\r\n"))

    assert [len(left) for left in after] == [0, 0, 2]
    head, only = after[-1]
    assert only["body"] == b"a,b\r\n1,2\r\n"
    assert dict(head["headers"])[b"content-digest"].decode() == format_content_digest(sha256(only["body"]))
    assert "gateway-purpose" in verified(head)


def test_an_answer_that_knows_its_digest_streams() -> None:
    """A million cells do not wait in memory for their signature."""
    digest = format_content_digest(sha256(b"a,b\r\n1,2\r\n"))

    after = sent_after_each(start(content_digest=digest), body(b"a,b\r\n", more=True), body(b"1,2\r\n"))

    assert [len(left) for left in after] == [1, 2, 3]
    assert "content-digest" in verified(after[0][0])
    assert [message["body"] for message in after[-1][1:]] == [b"a,b\r\n", b"1,2\r\n"]


def test_an_answer_belongs_to_its_query_and_its_purpose() -> None:
    head = sent_after_each(start(), body(b"x"))[-1][0]

    for changed in ({"uri": URI.replace("+M", "")}, {"purpose": ("gateway-purpose", "MONITORING")}):
        with pytest.raises(SignatureRefused):
            verified(head, **changed)


def test_not_modified_passes_as_it_is() -> None:
    unchanged = start(304, etag='"1"')

    assert sent_after_each(unchanged, body(b""))[-1] == [unchanged, body(b"")]


def test_a_fault_after_the_first_piece_leaves_nothing_of_it() -> None:
    left = sent_after_each(start(), body(b"half", more=True), start(500), body(b"{}"))[-1]

    assert [left[0]["status"], left[1]["body"]] == [500, b"{}"]
