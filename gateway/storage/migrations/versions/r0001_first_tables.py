# SPDX-License-Identifier: Apache-2.0
"""The first schema; this file is about every table as it was at the start, written out and never changed."""

from __future__ import annotations

from typing import cast

from alembic import op

from gateway.storage.products import create_product_table
from gateway.trip import ColumnShape, CubeShape, FieldType, TableShape

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _fields(words: str) -> tuple[ColumnShape, ...]:
    """Read `name:type` words; a `!` marks a required field."""
    fields = ([*word.rstrip("!").split(":"), word] for word in words.split())
    return tuple(ColumnShape(name, cast("FieldType", kind), word.endswith("!")) for name, kind, word in fields)


FLOW_CELL = (
    "provider period reporting_country counterpart_country direction flow_type unit citizenship sex age_group "
    "accompaniment place_scheme place_code legal_basis"
)
FLOW = TableShape(
    product="flow",
    major=1,
    columns=_fields(
        "record_id:uuid! provider:string! period:month! reporting_country:code! counterpart_country:code! "
        "direction:code! flow_type:code! unit:code! citizenship:code! sex:code! age_group:code! "
        "accompaniment:code! place_scheme:code! place_code:string! legal_basis:code! status:code! "
        "confidentiality:code! rounding_base:integer! definition_id:code! vintage:date! count:integer "
        "action:code supersedes:uuid embargo_until:date note:string "
    ),
    id_column="record_id",
    natural_key=tuple(FLOW_CELL.split()),
    retention_column=None,
    cubes=(),
    units=("unit", "definition_id"),
    period_column="period",
    measure="count",
)
BORDER_EVENT = TableShape(
    product="border-event",
    major=1,
    columns=_fields(
        "event_id:uuid! provider:string! provider_system:code! event_type:code! occurred_on:date! tz:code! "
        "reported_at:datetime! reporting_country:code! counterpart_country:code! border_segment:code! "
        "place_scheme:code! place_code:string! direction:code! person_count:integer! minors:integer! "
        "citizenship:code! legal_basis:code! retention_until:date! purpose:code! occurred_hour:integer "
        "transport_mode:code group_kind:code minors_unaccompanied:integer sex:code age_band:code outcome:code "
        "action:code supersedes:uuid "
    ),
    id_column="event_id",
    natural_key=(),
    retention_column="retention_until",
    cubes=(
        CubeShape("monthly", ("month(occurred_on)", "event_type", "border_segment", "citizenship"), ("person_count",)),
    ),
    units=(),
    period_column="occurred_on",
    measure="person_count",
)
# BYTES is BYTEA on PostgreSQL and BLOB on SQLite; every other word means the same on both.
TABLES = """
CREATE TABLE partner (
    id VARCHAR NOT NULL, country VARCHAR NOT NULL, name VARCHAR NOT NULL, status VARCHAR NOT NULL,
    roles VARCHAR NOT NULL, since VARCHAR(27) NOT NULL, PRIMARY KEY (id)
);
CREATE TABLE partner_key (
    partner_id VARCHAR NOT NULL REFERENCES partner (id), keyid VARCHAR NOT NULL, algorithm VARCHAR NOT NULL,
    public BYTES NOT NULL, not_before VARCHAR(27) NOT NULL, not_after VARCHAR(27), PRIMARY KEY (partner_id, keyid)
);
CREATE TABLE officer (
    id VARCHAR NOT NULL, country VARCHAR NOT NULL, name VARCHAR NOT NULL, roles VARCHAR NOT NULL,
    status VARCHAR NOT NULL, approval_keyid VARCHAR NOT NULL, approval_public BYTES NOT NULL, PRIMARY KEY (id)
);
CREATE TABLE certificate_pin (
    sha256 BYTES NOT NULL, partner_id VARCHAR REFERENCES partner (id), officer_id VARCHAR REFERENCES officer (id),
    der BYTES NOT NULL, not_after VARCHAR(27) NOT NULL, status VARCHAR NOT NULL, PRIMARY KEY (sha256)
);
CREATE TABLE approval (
    subject_kind VARCHAR NOT NULL, digest VARCHAR NOT NULL, keyid VARCHAR NOT NULL, subject_id VARCHAR NOT NULL,
    envelope TEXT NOT NULL, at VARCHAR(27) NOT NULL, PRIMARY KEY (subject_kind, digest, keyid)
);
CREATE TABLE lifecycle (
    product VARCHAR NOT NULL, version VARCHAR NOT NULL, at VARCHAR(27) NOT NULL, state VARCHAR NOT NULL,
    sunset VARCHAR(27), PRIMARY KEY (product, version, at)
);
CREATE TABLE submission (
    partner_id VARCHAR NOT NULL, id VARCHAR NOT NULL, idempotency_key VARCHAR NOT NULL, path VARCHAR NOT NULL,
    content_digest BYTES NOT NULL, decoded_digest BYTES NOT NULL, body_bytes BIGINT NOT NULL, product VARCHAR NOT NULL,
    version VARCHAR NOT NULL, contract_digest VARCHAR NOT NULL, nil_period VARCHAR, received_at VARCHAR(27) NOT NULL,
    received_count INTEGER NOT NULL, accepted_count INTEGER NOT NULL, duplicate_count INTEGER NOT NULL,
    refused_count INTEGER NOT NULL, quarantined_count INTEGER NOT NULL, root_received BYTES NOT NULL,
    root_accepted BYTES NOT NULL, policies VARCHAR NOT NULL, policy_set_digest VARCHAR NOT NULL,
    event_id VARCHAR NOT NULL, keyid VARCHAR NOT NULL, algorithm VARCHAR NOT NULL, signature_base BYTES NOT NULL,
    signature BYTES NOT NULL, PRIMARY KEY (partner_id, id),
    CONSTRAINT submission_idempotency UNIQUE (partner_id, idempotency_key)
);
CREATE TABLE nonce (
    partner_id VARCHAR NOT NULL, nonce VARCHAR NOT NULL, signature_sha256 BYTES NOT NULL,
    expires_at VARCHAR(27) NOT NULL, PRIMARY KEY (partner_id, nonce)
);
CREATE INDEX ix_nonce_expires_at ON nonce (expires_at);
CREATE TABLE refused_record (
    partner_id VARCHAR NOT NULL, submission_id VARCHAR NOT NULL, line INTEGER NOT NULL, pointer VARCHAR NOT NULL,
    code VARCHAR NOT NULL, leaf_hash BYTES NOT NULL, en VARCHAR NOT NULL, es VARCHAR NOT NULL,
    PRIMARY KEY (partner_id, submission_id, line)
);
CREATE TABLE tombstone (
    partner_id VARCHAR NOT NULL, submission_id VARCHAR NOT NULL, line INTEGER NOT NULL, product VARCHAR NOT NULL,
    leaf_hash BYTES NOT NULL, deleted_at VARCHAR(27) NOT NULL, event_id VARCHAR NOT NULL,
    PRIMARY KEY (partner_id, submission_id, line)
);
CREATE TABLE rollup (
    partner_id VARCHAR NOT NULL, product VARCHAR NOT NULL, cube VARCHAR NOT NULL, cell VARCHAR NOT NULL,
    measure VARCHAR NOT NULL, value BIGINT NOT NULL, PRIMARY KEY (partner_id, product, cube, cell, measure)
);
CREATE TABLE rollup_delta (
    partner_id VARCHAR NOT NULL, product VARCHAR NOT NULL, submission_id VARCHAR NOT NULL, part INTEGER NOT NULL,
    cube VARCHAR NOT NULL, cell VARCHAR NOT NULL, measure VARCHAR NOT NULL, value BIGINT NOT NULL,
    PRIMARY KEY (partner_id, product, submission_id, part, cube, cell, measure)
);
CREATE TABLE event (
    id VARCHAR NOT NULL, partner_id VARCHAR NOT NULL, at VARCHAR(27) NOT NULL, kind VARCHAR NOT NULL,
    outcome VARCHAR NOT NULL, request_id VARCHAR NOT NULL, actor VARCHAR NOT NULL, entry BYTES NOT NULL,
    payload BYTES NOT NULL, fields TEXT NOT NULL, key BYTES NOT NULL, personal TEXT, personal_key BYTES,
    PRIMARY KEY (id)
);
CREATE INDEX event_request ON event (request_id);
CREATE TABLE event_audience (
    country VARCHAR NOT NULL, event_id VARCHAR NOT NULL REFERENCES event (id), PRIMARY KEY (country, event_id)
);
CREATE TABLE pending_event (
    partner_id VARCHAR NOT NULL, event_id VARCHAR NOT NULL REFERENCES event (id), PRIMARY KEY (partner_id, event_id)
);
CREATE INDEX ix_pending_event_event_id ON pending_event (event_id);
CREATE TABLE leaf (
    leaf_index BIGINT NOT NULL, event_id VARCHAR NOT NULL REFERENCES event (id), entry BYTES NOT NULL,
    leaf_hash BYTES NOT NULL, PRIMARY KEY (leaf_index), UNIQUE (event_id)
);
CREATE TABLE tile (
    level INTEGER NOT NULL, tile_index BIGINT NOT NULL, hashes BYTES NOT NULL, PRIMARY KEY (level, tile_index)
);
CREATE TABLE log_head (
    origin VARCHAR NOT NULL, size BIGINT NOT NULL, edge BYTES NOT NULL, root BYTES NOT NULL,
    created_at VARCHAR(27) NOT NULL, PRIMARY KEY (origin)
);
CREATE TABLE checkpoint (
    tree_size BIGINT NOT NULL, signed BOOLEAN NOT NULL, at VARCHAR(27) NOT NULL, root BYTES NOT NULL, note TEXT,
    PRIMARY KEY (tree_size, signed, at)
);
"""


def upgrade() -> None:
    binary = "BYTEA" if op.get_bind().dialect.name == "postgresql" else "BLOB"
    for statement in TABLES.replace("BYTES", binary).strip().split(";\n"):
        op.execute(statement)
    create_product_table(op.get_bind(), FLOW)
    create_product_table(op.get_bind(), BORDER_EVENT)
