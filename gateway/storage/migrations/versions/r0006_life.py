# SPDX-License-Identifier: Apache-2.0
"""A partner's life; this file is about the tables of invitations, of warnings given, and of requests counted."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE invitation (
    partner_id VARCHAR NOT NULL, token_sha256 BYTES NOT NULL, name VARCHAR NOT NULL, roles VARCHAR NOT NULL,
    expires_at VARCHAR(27) NOT NULL, answered_at VARCHAR(27), envelope TEXT, certificate BYTES,
    activated_at VARCHAR(27), PRIMARY KEY (partner_id)
);
CREATE TABLE expiry_warning (
    kind VARCHAR NOT NULL, subject VARCHAR NOT NULL, ends_at VARCHAR(27) NOT NULL, days INTEGER NOT NULL,
    PRIMARY KEY (kind, subject, ends_at, days)
);
CREATE TABLE spent_request (
    partner_id VARCHAR NOT NULL, owner VARCHAR NOT NULL, minute VARCHAR(27) NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (partner_id, owner, minute)
)
"""


def upgrade() -> None:
    binary = "BYTEA" if op.get_bind().dialect.name == "postgresql" else "BLOB"
    for statement in TABLES.replace("BYTES", binary).strip().split(";\n"):
        op.execute(statement)
