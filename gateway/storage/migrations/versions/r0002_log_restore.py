# SPDX-License-Identifier: Apache-2.0
"""The mark of a restored database; this file is about the table that keeps its log from being signed."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE log_restore (restored_at VARCHAR(27) NOT NULL, PRIMARY KEY (restored_at))")
