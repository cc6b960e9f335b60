# SPDX-License-Identifier: Apache-2.0
"""Requests of every kind, good and bad; this file is about building them byte by byte and judging what comes back."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from gateway.api.problems import ROWS
from gateway.auditlog.receipts import fields_of
from gateway.errors import Reason
from gateway.identifiers import new_id
from gateway.storage import log, submissions
from gateway.storage.engine import Tx
from gateway.storage.log import StoredEvent
from gateway.storage.tables import event as event_table
from gateway.wire.canonical import canonical_bytes
from gateway.wire.digests import format_content_digest, parse_content_digest, sha256
from gateway.wire.http_signature import request_covered, sign_request, verify_answer
from gateway.wire.keys import FileSigner, SigningPublic, public_of_jwk
from tests.running import GTM, MEX, USA, Running, parse_answer

NDJSON = "application/x-ndjson"
EVENT_SECONDS_MAX = 10
_OF_COUNTRY = {
    USA: ("ENC_BETWEEN_PORTS", "USA-MEX", "MEX", "USA.T8", "America/Chicago"),
    MEX: ("IRREG_DETECTION", "MEX-GTM", "GTM", "MEX.LM", "America/Mexico_City"),
    GTM: ("HANDOVER_RECEIVED", "AIR", "USA", "GTM.CM", "America/Guatemala"),
}


def event(partner: str = USA, **changes: Any) -> dict[str, Any]:
    """Return a border event that holds; a change to None takes a field away."""
    kind, segment, other, basis, zone = _OF_COUNTRY.get(partner, _OF_COUNTRY[GTM])
    now = datetime.now(UTC)
    record = {
        "event_id": new_id(now - timedelta(days=1)), "provider": partner, "provider_system": "TEST",
        "event_type": kind, "occurred_on": (now - timedelta(days=3)).date().isoformat(), "tz": zone,
        "reported_at": (now - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ"), "reporting_country": partner[:3],
        "counterpart_country": other, "border_segment": segment, "place_scheme": "_T", "place_code": "_T",
        "direction": "IN", "person_count": 1, "minors": 0, "citizenship": "HND", "legal_basis": basis,
        "retention_until": (now + timedelta(days=90)).date().isoformat(), "purpose": "STATISTICS",
    }  # fmt: skip
    return {name: value for name, value in (record | changes).items() if value is not None}


def line(partner: str = USA, **changes: Any) -> bytes:
    """Return a border event as its canonical line."""
    return canonical_bytes(event(partner, **changes))


@dataclass(frozen=True)
class Asked:
    """A request that can be bent: before signing through `signed`, afterwards by replacing its parts."""

    partner: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    method: str = "POST"
    declared: int | None = None
    extra: tuple[tuple[str, str], ...] = field(default=())

    def with_header(self, name: str, value: str | None) -> Asked:
        """Change, add or (None) drop a header after the signature was made."""
        kept = tuple(pair for pair in self.headers if pair[0] != name)
        return replace(self, headers=kept if value is None else (*kept, (name, value)))

    def wire(self) -> bytes:
        """Return the bytes to send."""
        length = len(self.body) if self.declared is None else self.declared
        lines = [("Host", "localhost"), ("Connection", "close"), ("Content-Length", str(length))]
        text = "".join(f"{name}: {value}\r\n" for name, value in [*lines, *self.headers, *self.extra])
        return f"{self.method} {self.path} HTTP/1.1\r\n{text}\r\n".encode("latin-1") + self.body


def signed(  # every knob that a refusal needs
    gateway: Running,
    lines: Sequence[bytes] = (),
    *,
    partner: str = USA,
    product: str = "border-event",
    version: str = "1.0.0",
    action: str = "",
    body: bytes | None = None,
    headers: Mapping[str, str | None] | None = None,
    covered: Sequence[str] | None = None,
    signer: FileSigner | None = None,
    at: datetime | None = None,
    nonce: str | None = None,
    tag: str = "gateway-submission",
    key: str | None = None,
) -> Asked:
    """Return a signed submission; `headers` change, add or (None) drop fields before it is signed."""
    content = b"".join(one + b"\n" for one in lines) if body is None else body
    path = f"/v1/submissions/{product}/{version}{action}"
    fields: dict[str, str | None] = {
        "content-type": NDJSON,
        "content-digest": format_content_digest(sha256(content)),
        "idempotency-key": key or secrets.token_urlsafe(24),
        **(headers or {}),
    }
    present = {name: value for name, value in fields.items() if value is not None}
    must = request_covered(present) if covered is None else covered
    signature = sign_request(
        signer or FileSigner.load(gateway.party(partner).signing_key),
        method="POST",
        target_uri=gateway.files.public_origin + path,
        headers=present,
        covered=[name for name in must if name.startswith("@") or name in present],
        created=int((at or datetime.now(UTC)).timestamp()),
        nonce=nonce or secrets.token_urlsafe(24),
        tag=tag,
    )
    return Asked(partner, path, tuple({**present, **signature}.items()), content)


@dataclass(frozen=True)
class Answered:
    """What came back for a request, after its signature was checked."""

    status: int
    headers: Mapping[str, str]
    document: dict[str, Any]


def send(gateway: Running, asked: Asked, *, name: str | None = None) -> Answered:
    """Send a request with its partner's certificate, or another's, and check the answer's signature."""
    status, headers, body = parse_answer(gateway.exchange(name or asked.partner, asked.wire()))
    check_signature(gateway, asked, status, headers, body)
    return Answered(status, headers, json.loads(body))


def check_signature(gateway: Running, asked: Asked, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Prove that an answer was signed by the gateway as the answer to this very request."""
    assert parse_content_digest(headers["content-digest"])["sha-256"] == sha256(body)
    parsed = verify_answer(
        status=status,
        headers=list(headers.items()),
        request=(asked.method, gateway.files.public_origin + asked.path, [*asked.headers, *asked.extra]),
        keys=answer_keys(gateway),
    )
    assert parsed.created is not None
    assert abs(time.time() - parsed.created) < 60


def answer_keys(gateway: Running) -> dict[str, SigningPublic]:
    """Return the pinned keys of the gateway."""
    jwks = json.loads(gateway.files.answer_keys.read_bytes())["keys"]
    return {key.keyid: key for key in map(public_of_jwk, jwks)}


def refused(gateway: Running, asked: Asked, reason: Reason, *, name: str | None = None) -> Answered:
    """Send a request that must be refused: problem document, signature and audit event are checked."""
    answer = send(gateway, asked, name=name)
    check_problem(gateway, answer.status, answer.headers, answer.document, reason)
    return answer


def read_refused(
    gateway: Running, name: str | None, path: str, reason: Reason, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """Read something that must be refused; the problem document and its audit event are checked."""
    status, answered, body = gateway.get(name, path, headers)
    document: dict[str, Any] = json.loads(body)
    check_problem(gateway, status, answered, document, reason)
    return document


def check_problem(
    gateway: Running, status: int, headers: Mapping[str, str], document: Mapping[str, Any], reason: Reason
) -> StoredEvent:
    """Check a problem document, its headers, and the event that it names."""
    assert document["reason"] == reason, document
    assert status == document["status"] == ROWS[reason].status
    assert headers["content-type"].startswith("application/problem+json")
    assert document["type"] == f"{gateway.files.public_origin}/problems/{reason}"
    assert document["title"] == ROWS[reason].title["en"]
    assert document["detail"]
    assert document["audit_event"] == headers["audit-event"]
    stored = stored_event(gateway, document["audit_event"])
    assert stored.outcome == "failure"
    assert fields_of(stored.fields)["reason"] == reason
    return stored


def stored_event(gateway: Running, event_id: str) -> StoredEvent:
    """Return an event from the database."""
    with gateway.storage() as storage:
        found = storage.read(lambda tx: log.get_event(tx, event_id))
    assert found is not None
    return found


def newest_event(gateway: Running, kind: str, after: str) -> StoredEvent:
    """Return the first event of a kind after an id, waiting for it for a bounded time."""
    newer = select(event_table.c.id).where(event_table.c.kind == kind, event_table.c.id > after)
    deadline = time.monotonic() + EVENT_SECONDS_MAX
    with gateway.storage() as storage:
        while time.monotonic() < deadline:
            found = storage.read(lambda tx: tx.connection.execute(newer.order_by(event_table.c.id)).first())
            if found is not None:
                return stored_event(gateway, found.id)
    raise AssertionError(f"no event {kind}")


def last_event_id(gateway: Running) -> str:
    """Return the id that events of now come after."""
    return new_id(datetime.now(UTC) - timedelta(milliseconds=2))


def kept_count(gateway: Running, partner: str = USA) -> int:
    """Return how many submissions of a partner are kept."""
    with gateway.storage() as storage:
        return storage.read(lambda tx: sum(1 for _ in _kept(tx, partner)))


def _kept(tx: Tx, partner: str) -> Iterator[str]:
    after = ""
    while page := submissions.list_submissions(tx, partner, after=after):
        yield from (one.id for one in page)
        after = page[-1].id
