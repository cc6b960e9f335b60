# SPDX-License-Identifier: Apache-2.0
"""Contested numbers and notices; this file is about their tables, and the index over reads that a recall asks."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE contest (
    partner_id VARCHAR NOT NULL, id VARCHAR NOT NULL, idempotency_key VARCHAR NOT NULL, digest BYTES NOT NULL,
    subject VARCHAR NOT NULL, cause VARCHAR NOT NULL, first_period VARCHAR NOT NULL, last_period VARCHAR NOT NULL,
    since VARCHAR(27) NOT NULL, opened_at VARCHAR(27) NOT NULL, record_count INTEGER NOT NULL,
    event_id VARCHAR NOT NULL, withdrawn_at VARCHAR(27), PRIMARY KEY (partner_id, id),
    CONSTRAINT contest_idempotency UNIQUE (partner_id, idempotency_key)
);
CREATE TABLE contested_record (
    partner_id VARCHAR NOT NULL, record_id VARCHAR NOT NULL, contest_id VARCHAR NOT NULL, at VARCHAR(27) NOT NULL,
    PRIMARY KEY (partner_id, record_id, contest_id)
);
CREATE TABLE subscriber (
    partner_id VARCHAR NOT NULL, url VARCHAR, last_number BIGINT NOT NULL, delivered_number BIGINT NOT NULL,
    attempts INTEGER NOT NULL, next_at VARCHAR(27) NOT NULL, PRIMARY KEY (partner_id)
);
CREATE TABLE notice (
    partner_id VARCHAR NOT NULL, number BIGINT NOT NULL, contest_id VARCHAR NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (partner_id, number)
);
CREATE INDEX ix_notice_contest_id ON notice (contest_id);
CREATE INDEX event_reads ON event (id) WHERE kind = 'aggregate.read';
"""


def upgrade() -> None:
    binary = "BYTEA" if op.get_bind().dialect.name == "postgresql" else "BLOB"
    for statement in TABLES.replace("BYTES", binary).strip().split(";\n"):
        op.execute(statement)
