# SPDX-License-Identifier: Apache-2.0
"""The stages of a submission; this file is about the values that gates hand to each other.

`SignedRequest -> VerifiedEnvelope -> ValidSubmission`, with `Partner` and `Permit`. Each is constructed
in exactly one file (tests/test_tidy.py holds the list), and every gate takes nothing less than the value
of the gate before it, so that skipping a gate is a type error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

Scalar = str | int | bool | None
Row = tuple[Scalar, ...]
FieldType = Literal["uuid", "code", "string", "date", "month", "datetime", "integer", "decimal", "boolean"]


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """The client certificate that the TLS layer saw, still unjudged; built in `api/peer.py`."""

    der: bytes
    sha256: bytes


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it came, of which nothing is trusted yet; built in `api/requests.py`.

    `headers` have lower-case names and stripped values, in the order received. `body` yields the raw
    content as sent, perhaps only once; it raises `BodyIncomplete` when the peer goes away.
    """

    request_id: str
    method: str
    target_uri: str
    path: str
    headers: tuple[tuple[str, str], ...]
    peer: PeerCertificate
    body: Iterable[bytes]
    received_at: datetime
    language: str = "en"

    def header(self, name: str) -> str | None:
        """Return a field's values joined as RFC 9110, section 5.3 says, or None when it is absent."""
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A partner's public signing key; `public` is SubjectPublicKeyInfo DER, `keyid` its RFC 7638 thumbprint."""

    keyid: str
    algorithm: str
    public: bytes
    not_before: datetime
    not_after: datetime | None


@dataclass(frozen=True, slots=True)
class Partner:
    """A government body that proved a pinned certificate; built in `identity/identify.py`."""

    id: str
    country: str
    status: str
    roles: frozenset[str]
    signing_keys: tuple[SigningKey, ...]


@dataclass(frozen=True, slots=True)
class Officer:
    """A person of a government, with roles, who proved a pinned certificate; built in `identity/identify.py`."""

    id: str
    country: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Supposed:
    """A partner or officer of whom it is only asked what they could do; the decision point gives it no permit."""

    kind: Literal["Partner", "Officer"]
    id: str
    country: str
    roles: frozenset[str]


class RecordLines(Protocol):
    """The decoded body, line by line without LF; it may be iterated more than once and holds constant memory."""

    def __iter__(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class ClaimedRecords:
    """What `Gateway-Records` says: how many lines, and their RFC 6962 root."""

    count: int
    root: bytes


@dataclass(frozen=True, slots=True)
class VerifiedEnvelope:
    """A request whose signature and body digest hold; built in `signing/envelope.py`.

    `content_digest` is SHA-256 of the body as sent, `decoded_digest` of the decoded body.
    """

    partner: Partner
    request_id: str
    method: str
    path: str
    media_type: str
    received_at: datetime
    keyid: str
    algorithm: str
    nonce: str
    created: datetime
    signature_base: bytes
    signature: bytes
    content_digest: bytes
    decoded_digest: bytes
    body_bytes: int
    idempotency_key: str
    claimed_records: ClaimedRecords | None
    lines: RecordLines


@dataclass(frozen=True, slots=True)
class ColumnShape:
    """One field of a record as a typed column."""

    name: str
    type: FieldType
    required: bool


@dataclass(frozen=True, slots=True)
class CubeShape:
    """A small cube kept for own totals: dimensions, and the integer fields summed (records are counted always).

    A dimension is a field name, or `month(<date field>)`.
    """

    name: str
    dimensions: tuple[str, ...]
    sums: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableShape:
    """The table of one data product and major version, generated from its contract."""

    product: str
    major: int
    columns: tuple[ColumnShape, ...]
    id_column: str
    natural_key: tuple[str, ...]
    retention_column: str | None
    cubes: tuple[CubeShape, ...]
    # What own totals may never be summed over: two values of any of these are two results.
    units: tuple[str, ...]
    period_column: str
    measure: str | None

    @property
    def table_name(self) -> str:
        """Return the SQL name, `border_event_1` for the product border-event, major version 1."""
        return f"{self.product.replace('-', '_')}_{self.major}"

    @property
    def column_names(self) -> tuple[str, ...]:
        """Return the names of the record columns, in the order of a `Row`."""
        return tuple(column.name for column in self.columns)


@dataclass(frozen=True, slots=True)
class ContractRef:
    """Which contract applied: the digest is SHA-256, hex, of contract.json."""

    product: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """One record that was not accepted; the submitted value is never part of it."""

    line: int
    record_id: str | None
    pointer: str
    code: str
    leaf_hash: bytes
    en: str = ""
    es: str = ""


@dataclass(frozen=True, slots=True)
class RecordChunk:
    """Some valid records in the order sent: parallel sequences of one length."""

    lines: Sequence[int]
    rows: Sequence[Row]
    leaf_hashes: Sequence[bytes]


class JudgedRecords(Protocol):
    """The valid records of a submission, in chunks; may be walked more than once, outside or inside a transaction."""

    def __iter__(self) -> Iterator[RecordChunk]: ...


@dataclass(frozen=True, slots=True)
class ValidSubmission:
    """A submission measured against its contract, every record judged; built in `contracting/judge.py`.

    `root` is the RFC 6962 root over all lines received. `refused` holds every record that broke the contract.
    `countries` and `providers` are taken from the valid records. `refused_max` is how many records may be
    refused (0 when the contract is atomic) before nothing is kept; what only the database can know is counted
    against it inside the write transaction. `nil_period` is set for a nil return, which has no records.
    """

    envelope: VerifiedEnvelope
    contract: ContractRef
    shape: TableShape
    received_count: int
    root: bytes
    refused: tuple[RefusedRecord, ...]
    refused_max: int
    records: JudgedRecords
    countries: frozenset[str]
    providers: frozenset[str]
    flags: Mapping[str, int] = field(default_factory=dict)
    nil_period: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """What is asked of the decision point: facts from trusted places only."""

    principal: Partner | Officer | Supposed
    action: str
    resource_type: str
    resource_id: str
    context: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Permit:
    """A permitted request; built in `policy/decide.py`. `policies` are the ids of the deciding policies."""

    action: str
    principal_id: str
    resource_id: str
    policies: tuple[str, ...]
    policy_set_digest: str
    request_digest: str
    obligations: Mapping[str, object] = field(default_factory=dict)
