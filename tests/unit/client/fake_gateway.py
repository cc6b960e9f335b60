# SPDX-License-Identifier: Apache-2.0
"""A gateway in memory that accuses its caller; this file is about a fake for the SDK's tests.

It keeps these invariants and fails the test itself when the SDK breaks one: every submission is signed over all it
must be, its digests and records root hold, no nonce comes twice, and one idempotency key never names two contents.
Failures come by name: `fail_next("connect")`, `"commit-then-cut"`, or a status.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.client.config import ClientConfig
from gateway.identifiers import new_id
from gateway.wire.checkpoint import format_checkpoint
from gateway.wire.digests import b64, format_content_digest, parse_content_digest, sha256
from gateway.wire.entry import build_event
from gateway.wire.fields import parse_records
from gateway.wire.http_message import RequestHead
from gateway.wire.http_signature import parse_signature, request_covered, sign_answer, signature_base
from gateway.wire.keys import FileSigner, jwk_of, public_of_der, verify_bytes
from gateway.wire.merkle import leaf_hash, root_of
from gateway.wire.note import format_vkey, sign_note, verifier_of
from gateway.wire.policy_file import LogPolicy, PolicyKey, format_policy
from gateway.wire.proof import Proof, format_proof
from gateway.wire.receipt import format_receipt

ORIGIN = "https://gateway.test"
LOG_ORIGIN = "gateway.test/log/2026"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class StoppedClock:
    """A clock that stands at noon."""

    def now(self) -> datetime:
        return NOW


class FakeGateway:
    """See the module."""

    def __init__(self, folder: Path) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.answering = FileSigner.of(self.key)
        self.log = FileSigner.of(Ed25519PrivateKey.generate())
        self.partner_key = Ed25519PrivateKey.generate()
        self.partner = FileSigner.of(self.partner_key)
        self.policy = LogPolicy((PolicyKey(verifier_of(self.log, LOG_ORIGIN)),))
        self.folder = folder
        self.failures: list[str] = []
        self.nonces: set[str] = set()
        self.bodies: dict[str, bytes] = {}
        self.kept: dict[str, dict[str, Any]] = {}
        self.receipts: dict[str, dict[str, Any]] = {}
        self.requests: list[httpx2.Request] = []
        self.pending_polls = 0
        self.refuse_lines: dict[bytes, str] = {}
        self.refuse_with: dict[str, Any] | None = None
        self.tamper: Callable[[httpx2.Response], httpx2.Response] = lambda response: response
        self.change_receipt: Callable[[dict[str, Any]], dict[str, Any]] = lambda receipt: receipt
        self.change_fields: Callable[[dict[str, Any]], dict[str, Any]] = lambda fields: fields
        self.change_answer: Callable[[dict[str, Any]], dict[str, Any]] = lambda document: document
        self.events: dict[str, dict[str, Any]] = {}
        self.sign_answers = True

    def config(self) -> ClientConfig:
        signing, keys, policy = (self.folder / name for name in ("signing.pem", "answers.jwks", "log.policy"))
        signing.write_bytes(
            self.partner_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )
        jwk = {**jwk_of(self.key.public_key()), "kid": self.answering.keyid}
        keys.write_text(json.dumps({"keys": [jwk]}))
        policy.write_text(format_policy(self.policy))
        nothing = self.folder / "unused.pem"
        return ClientConfig(
            gateway_url=ORIGIN, server_ca=nothing, tls_cert=nothing, tls_key=nothing, signing_key=signing,
            answer_keys=keys, log_policy=policy, partner="MEX.SEGOB.UPMRIP",
        )  # fmt: skip

    def fail_next(self, *failures: str) -> None:
        self.failures += failures

    @property
    def lines_kept(self) -> list[bytes]:
        return [line for body in self.bodies.values() for line in body.splitlines()]

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        failure = self.failures.pop(0) if self.failures else ""
        if failure == "connect":
            raise httpx2.ConnectError("refused", request=request)
        if failure.isdigit():
            return httpx2.Response(int(failure), headers={"retry-after": "2"}, content=b"<html>proxy</html>")
        answer = self._post(request) if request.method == "POST" else self._get(request)
        if failure == "commit-then-cut":
            raise httpx2.ReadError("cut", request=request)
        return self.tamper(answer)

    def _post(self, request: httpx2.Request) -> httpx2.Response:
        body = self._verified(request)
        if self.refuse_with is not None:
            return self._answer(request, self.refuse_with["status"], self.refuse_with, new_id(NOW))
        key = request.headers["idempotency-key"]
        assert self.bodies.setdefault(key, body) == body, "one idempotency key for two contents"
        replay = key in self.kept
        if not replay:
            self.kept[key] = self._accept(body, request)
        document = self.change_answer(dict(self.kept[key]))
        event_id = document.pop("event_id")
        if self.pending_polls:
            return self._answer(request, 202, document, event_id, replay=replay)
        document["receipt"] = self.change_receipt(self.receipts[event_id])
        return self._answer(request, 200 if replay else 201, document, event_id, replay=replay)

    def _verified(self, request: httpx2.Request) -> bytes:
        headers = [(name, value) for name, value in request.headers.items()]
        parsed = parse_signature(
            request.headers["signature-input"], request.headers["signature"], tag="gateway-submission"
        )
        covered = {component.name for component in parsed.components}
        assert set(request_covered(headers)) <= covered, "something that decides is not signed"
        head = RequestHead.of(request.method, ORIGIN + request.url.raw_path.decode(), headers)
        base = signature_base(parsed.components, parsed.params, request=head)
        public = public_of_der(self.partner.public_der)
        verify_bytes(public.algorithm, public.der, parsed.signature, base)
        assert parsed.keyid == public.keyid
        assert parsed.nonce not in self.nonces, "a nonce came twice"
        self.nonces.add(str(parsed.nonce))
        assert parsed.created == int(NOW.timestamp())
        content = request.content
        assert parse_content_digest(request.headers["content-digest"])["sha-256"] == sha256(content)
        if request.headers.get("content-encoding") == "zstd":
            content = zstandard.ZstdDecompressor().decompress(content)
        if request.headers["content-type"] == "application/x-ndjson":
            lines = content.splitlines()
            count, root = parse_records(request.headers["gateway-records"])
            assert (count, root) == (len(lines), root_of(map(leaf_hash, lines)))
        return content

    def _accept(self, body: bytes, request: httpx2.Request) -> dict[str, Any]:
        lines = body.splitlines() if "nil" not in request.headers["content-type"] else []
        product, version = request.url.path.split("/")[3:5]
        contract = {"product": product, "version": version, "digest": "c" * 64}
        refused = [
            {
                "line": number,
                "pointer": "/count",
                "code": self.refuse_lines[line],
                "detail": {"en": "No.", "es": "Así no."},
            }
            for number, line in enumerate(lines, start=1)
            if line in self.refuse_lines
        ]
        event_id, submission_id = new_id(NOW), new_id(NOW)
        counts = {"received": len(lines), "accepted": len(lines) - len(refused), "refused": len(refused)}
        counts |= {"duplicate": 0, "quarantined": 0}
        fields = {
            "kind": "submission.accepted",
            "partner": "MEX.SEGOB.UPMRIP",
            "keyid": self.partner.keyid,
            "product": product,
            "version": version,
            "contract_digest": contract["digest"],
            "submission_id": submission_id,
            "decoded_digest": b64(sha256(body)),
            "root_received": b64(root_of(map(leaf_hash, lines))),
            **{f"{name}_count": count for name, count in counts.items()},
        }
        self.receipts[event_id] = self.receipt_of(event_id, self.change_fields(fields))
        return {
            "event_id": event_id,
            "submission_id": submission_id,
            "contract": contract,
            "records": counts,
            "refused": refused[:1],
            "report_url": f"/v1/submissions/{submission_id}/report",
            "report": refused,
        }

    def receipt_of(self, event_id: str, fields: dict[str, Any]) -> dict[str, Any]:
        event = build_event(event_id=event_id, at=NOW, fields=fields, key=b"k" * 32)
        root = root_of([leaf_hash(event.entry)])
        checkpoint = sign_note(format_checkpoint(LOG_ORIGIN, 1, root), self.log, LOG_ORIGIN)
        return format_receipt(
            entry=event.entry, payload=event.payload, disclosures=event.disclosures,
            proof=format_proof(Proof(0, (), checkpoint)), origin=LOG_ORIGIN,
            vkey=format_vkey(self.policy.logs[0].verifier), policy_digest=self.policy.digest, status="unwitnessed",
        )  # fmt: skip

    def _get(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if path.startswith("/v1/receipts/"):
            if self.pending_polls:
                self.pending_polls -= 1
                return httpx2.Response(202, headers={"retry-after": "1"})
            return httpx2.Response(200, json=self.receipts[path.rsplit("/", 1)[1]])
        if path.startswith("/v1/audit/events/"):
            return httpx2.Response(200, json=self.events[path.rsplit("/", 1)[1]])
        if path.endswith("/report"):
            report = next(kept["report"] for kept in self.kept.values() if kept["submission_id"] in path)
            return httpx2.Response(200, content=b"".join(json.dumps(entry).encode() + b"\n" for entry in report))
        problem = {"reason": "not-found", "detail": "There is nothing here for you.", "status": 404}
        return httpx2.Response(404, json=problem, headers={"content-type": "application/problem+json"})

    def _answer(
        self, request: httpx2.Request, status: int, document: dict[str, Any], event_id: str, *, replay: bool = False
    ) -> httpx2.Response:
        body = json.dumps(document).encode()
        headers = {
            "content-type": "application/problem+json" if status >= 400 else "application/json",
            "content-digest": format_content_digest(sha256(body)),
            "audit-event": event_id,
            **({"idempotent-replay": "true"} if replay else {}),
        }
        if self.sign_answers:
            asked = (request.method, ORIGIN + request.url.raw_path.decode(), list(request.headers.items()))
            headers |= sign_answer(
                self.answering, status=status, headers=headers, request=asked, created=int(NOW.timestamp())
            )
        return httpx2.Response(status, headers=headers, content=body)
