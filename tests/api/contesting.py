# SPDX-License-Identifier: Apache-2.0
"""Numbers to contest; this file is about publishing, pulling and contesting cells, and proving notices."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.identifiers import new_id
from gateway.storage import contests
from gateway.wire.canonical import canonical_bytes
from gateway.wire.digests import format_content_digest, parse_content_digest, sha256
from gateway.wire.http_message import RequestHead
from gateway.wire.http_signature import parse_signature, request_covered, sign_request, signature_base
from gateway.wire.keys import FileSigner, verify_bytes
from tests.api.asking import Answered, Asked, answer_keys, send, signed
from tests.running import USA, Running
from tests.webhooks import Posted

DATA = "/sdmx/v2/data/dataflow/GATEWAY/FLOW/1.0.0/*"
PURPOSE = {"Gateway-Purpose": "STATISTICS"}
NATURAL = {
    "provider": USA, "period": "2024-03", "reporting_country": "USA", "counterpart_country": "_X", "direction": "IN",
    "flow_type": "ENC_BETWEEN_PORTS", "unit": "EVT", "citizenship": "HND", "sex": "_T", "age_group": "_T",
    "accompaniment": "_T", "place_scheme": "_T", "place_code": "_T", "legal_basis": "USA.T8",
}  # fmt: skip
CELL = NATURAL | {
    "status": "A", "confidentiality": "F", "rounding_base": 1, "definition_id": "urn:mig:def:usa.cbp.encounter:2020",
    "vintage": "2024-05-15", "count": 5000,
}  # fmt: skip
MONTHS = iter(f"{year}-{month:02d}" for year in range(2001, 2020) for month in range(1, 13))


def publish(gateway: Running, *, partner: str = USA, **changes: object) -> dict[str, Any]:
    """Push a cell of a month of its own, and return it with the name of its submission."""
    record = CELL | {"record_id": new_id(datetime.now(UTC)), "period": next(MONTHS)} | changes
    kept = send(gateway, signed(gateway, [canonical_bytes(record)], product="flow", partner=partner))
    assert kept.status == 201, kept.document
    return record | {"submission": kept.document["submission_id"]}


def pull(gateway: Running, name: str, owner: str = "USA") -> str:
    status, headers, body = gateway.get(name, f"{DATA}?c%5BREF_AREA%5D={owner}", PURPOSE)
    assert status == 200, body
    return str(headers["audit-event"])


def contest_of(
    gateway: Running,
    said: Mapping[str, object],
    *,
    partner: str = USA,
    key: str = "",
    nonce: str = "",
    media_type: str = "application/json",
) -> Asked:
    """Return a signed contest."""
    body = json.dumps(said).encode()
    headers = {
        "content-type": media_type,
        "content-digest": format_content_digest(sha256(body)),
        "idempotency-key": key or secrets.token_urlsafe(24),
    }
    signature = sign_request(
        FileSigner.load(gateway.party(partner).signing_key),
        method="POST",
        target_uri=f"{gateway.files.public_origin}/v1/corrections",
        headers=headers,
        covered=request_covered(headers),
        created=int(datetime.now(UTC).timestamp()),
        nonce=nonce or secrets.token_urlsafe(24),
    )
    return Asked(partner, "/v1/corrections", tuple({**headers, **signature}.items()), body)


def by_officer(officer: str, said: Mapping[str, object]) -> Asked:
    return Asked(officer, "/v1/corrections", (("content-type", "application/json"),), json.dumps(said).encode())


def opened(gateway: Running, record: Mapping[str, Any], **changes: str) -> Answered:
    answer = send(gateway, contest_of(gateway, {"cause": "COUNT_WRONG", "record_id": record["record_id"]}, **changes))
    assert answer.status == 201, answer.document
    return answer


def marks(gateway: Running) -> set[str]:
    with gateway.storage() as storage:
        return {record for _, record in storage.read(contests.contested)}


def proven(gateway: Running, url: str, posted: Posted) -> dict[str, Any]:
    """Check a notice as its receiver would: the gateway's key, the covered parts, the digest; return the CloudEvent."""
    parsed = parse_signature(posted.headers["signature-input"], posted.headers["signature"], tag="gateway-notification")
    assert {one.name for one in parsed.components} == {"@method", "@target-uri", "content-digest", "content-type"}
    key = answer_keys(gateway)[str(parsed.keyid)]
    head = RequestHead.of("POST", url, posted.headers)
    verify_bytes(
        key.algorithm, key.der, parsed.signature, signature_base(parsed.components, parsed.params, request=head)
    )
    assert parse_content_digest(posted.headers["content-digest"])["sha-256"] == sha256(posted.body)
    assert posted.headers["content-type"] == "application/cloudevents+json"
    event: dict[str, Any] = json.loads(posted.body)
    assert event["specversion"] == "1.0"
    assert {"id", "source", "type", "time", "subject"} <= set(event)
    return event
