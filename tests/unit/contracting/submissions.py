# SPDX-License-Identifier: Apache-2.0
"""Submissions without a wire; this file is about envelopes around lines, as the signing gate would hand them over."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from gateway.contracting.contract import Contract, ContractSet
from gateway.contracting.judge import RECORDS_MEDIA_TYPE, judge
from gateway.contracting.load import load_contracts, packaged_root
from gateway.trip import ClaimedRecords, Partner, RecordLines, ValidSubmission, VerifiedEnvelope
from gateway.wire.canonical import canonical_bytes

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
GTM, USA = "GTM.IGM", "USA.DHS.CBP"


@cache
def contracts() -> ContractSet:
    return load_contracts(packaged_root())


def contract(product: str) -> Contract:
    return contracts().get(product, "1.0.0")


def examples(product: str, kind: str) -> dict[str, dict[str, Any]]:
    folder: Path = packaged_root() / product / "1.0.0" / "examples" / kind
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def record(product: str, name: str, **changes: object) -> dict[str, Any]:
    return examples(product, "valid")[name]["record"] | changes


def numbered(product: str, name: str, number: int, **changes: object) -> dict[str, Any]:
    """Return the example under another id."""
    made = record(product, name, **changes)
    column = contract(product).shape.id_column
    return made | {column: made[column][:-12] + f"{number:012x}"}


def line(value: dict[str, Any]) -> bytes:
    return canonical_bytes(value)


def envelope_of(
    lines: RecordLines,
    *,
    provider: str,
    media_type: str = RECORDS_MEDIA_TYPE,
    claimed: ClaimedRecords | None = None,
) -> VerifiedEnvelope:
    return VerifiedEnvelope(
        partner=Partner(provider, provider[:3], "active", frozenset({"provider"}), ()),
        request_id="request",
        method="POST",
        path="/v1/submissions",
        media_type=media_type,
        received_at=AT,
        keyid="key",
        algorithm="ed25519",
        nonce="nonce",
        created=AT,
        signature_base=b"",
        signature=b"",
        content_digest=b"",
        decoded_digest=b"",
        body_bytes=0,
        idempotency_key="idempotency-key-1",
        claimed_records=claimed,
        lines=lines,
    )


def judged(
    product: str,
    lines: Sequence[bytes],
    *,
    provider: str = USA,
    at: datetime = AT,
    sandbox: bool = False,
    claimed: ClaimedRecords | None = None,
) -> ValidSubmission:
    envelope = envelope_of(lines, provider=provider, claimed=claimed)
    return judge(envelope, contract(product), at=at, sandbox=sandbox)
