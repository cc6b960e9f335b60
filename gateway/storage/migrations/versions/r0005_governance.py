# SPDX-License-Identifier: Apache-2.0
"""Who says so; this file is about the tables of stops, and the number that every act on the registry moves."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE registry_version (
    id INTEGER NOT NULL, version BIGINT NOT NULL, PRIMARY KEY (id)
);
INSERT INTO registry_version (id, version) VALUES (1, 0);
CREATE TABLE stopped (
    kind VARCHAR NOT NULL, subject VARCHAR NOT NULL, since VARCHAR(27) NOT NULL, actor VARCHAR NOT NULL,
    PRIMARY KEY (kind, subject)
)
"""


def upgrade() -> None:
    for statement in TABLES.strip().split(";\n"):
        op.execute(statement)
