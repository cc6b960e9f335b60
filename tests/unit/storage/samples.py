# SPDX-License-Identifier: Apache-2.0
"""Records to store; this file is about made-up rows in the shapes of the real contracts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.contracting.load import load_contracts
from gateway.identifiers import new_id
from gateway.storage.engine import Storage
from gateway.storage.records import KeptChunk, keep_records
from gateway.storage.registry import PartnerEntry
from gateway.trip import (
    ContractRef,
    Partner,
    Permit,
    RecordChunk,
    Row,
    Scalar,
    TableShape,
    ValidSubmission,
    VerifiedEnvelope,
)

NOW = datetime(2026, 11, 24, 2, 0, 0, 123456, UTC)
CBP, IGM = "USA.DHS.CBP", "GTM.IGM"
SHAPES = {shape.product: shape for shape in load_contracts(Path(__file__).parents[3] / "contracts").shapes}
FLOW, BORDER_EVENT = SHAPES["flow"], SHAPES["border-event"]

_FLOW = {
    "provider": CBP,
    "period": "2026-10",
    "reporting_country": "USA",
    "counterpart_country": "MEX",
    "direction": "IN",
    "flow_type": "ENC_BETWEEN_PORTS",
    "unit": "EVT",
    "citizenship": "GTM",
    "sex": "_T",
    "age_group": "_T",
    "accompaniment": "_T",
    "place_scheme": "_T",
    "place_code": "_T",
    "legal_basis": "USA.T8",
    "status": "A",
    "confidentiality": "F",
    "rounding_base": 1,
    "definition_id": "USA.CBP.ENCOUNTER.1",
    "vintage": "2026-11-15",
    "count": 120,
}
_EVENT = {
    "provider": CBP,
    "provider_system": "BEMS",
    "event_type": "ENC_AT_PORT",
    "occurred_on": "2026-11-03",
    "tz": "America/Chicago",
    "reported_at": "2026-11-04T00:00:00Z",
    "reporting_country": "USA",
    "counterpart_country": "MEX",
    "border_segment": "USA-MEX",
    "place_scheme": "USA.CBP.PORT",
    "place_code": "2402",
    "direction": "IN",
    "person_count": 2,
    "minors": 1,
    "citizenship": "GTM",
    "legal_basis": "USA.T8",
    "retention_until": "2027-03-01",
    "purpose": "STATISTICS",
}


def row(shape: TableShape, **values: Scalar) -> Row:
    """Return a row of a shape; what is not told is as in the sample, the id new."""
    sample: dict[str, Scalar] = dict(_FLOW if shape is FLOW else _EVENT)
    sample[shape.id_column] = new_id(NOW)
    return tuple((sample | values).get(name) for name in shape.column_names)


def id_of(shape: TableShape, of: Row) -> str:
    return str(of[shape.column_names.index(shape.id_column)])


def leaf(of: Row) -> bytes:
    return hashlib.sha256(repr(of).encode()).digest()


def chunk(rows: Iterable[Row], *, first_line: int = 1) -> RecordChunk:
    kept = list(rows)
    return RecordChunk(range(first_line, first_line + len(kept)), kept, [leaf(each) for each in kept])


def keep(
    storage: Storage,
    shape: TableShape,
    rows: Iterable[Row],
    *,
    partner_id: str = CBP,
    submission_id: str | None = None,
    at: datetime = NOW,
) -> KeptChunk:
    """Store rows as one chunk of one submission in one transaction."""
    kept, name = chunk(rows), submission_id or new_id(at)
    return storage.write(
        lambda tx: keep_records(tx, shape, kept, partner_id=partner_id, submission_id=name, accepted_at=at)
    )


def partner_entry(partner_id: str = CBP) -> PartnerEntry:
    return PartnerEntry(partner_id, partner_id[:3], "An agency", "active", frozenset({"provider"}), NOW)


def valid_submission(
    *, key: str = "key-0123456789abcdef", partner_id: str = CBP, body: bytes = b"body"
) -> ValidSubmission:
    """Return a submission as the gates would hand it over; the storage tests stand behind the gates."""
    partner = Partner(partner_id, partner_id[:3], "active", frozenset({"provider"}), ())
    digest = hashlib.sha256(body).digest()
    envelope = VerifiedEnvelope(
        partner=partner,
        request_id=new_id(NOW),
        method="POST",
        path="/v1/submissions/flow/1.0.0",
        media_type="application/x-ndjson",
        received_at=NOW,
        keyid="keyid",
        algorithm="ed25519",
        nonce="nonce-0123456789",
        created=NOW - timedelta(seconds=1),
        signature_base=b"base",
        signature=b"signature",
        content_digest=digest,
        decoded_digest=digest,
        body_bytes=len(body),
        idempotency_key=key,
        claimed_records=None,
        lines=(),
    )
    return ValidSubmission(
        envelope=envelope,
        contract=ContractRef("flow", "1.0.0", "ab" * 32),
        shape=FLOW,
        received_count=3,
        root=b"r" * 32,
        refused=(),
        refused_max=1,
        records=(),
        countries=frozenset({partner_id[:3]}),
        providers=frozenset({partner_id}),
    )


PERMIT = Permit("submit", CBP, "flow", ("floor", "usa-mex#submit"), "cd" * 32, "ef" * 32)
