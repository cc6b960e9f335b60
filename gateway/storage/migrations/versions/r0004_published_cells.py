# SPDX-License-Identifier: Apache-2.0
"""Published cells; this file is about the tables that statistics are served from, and the index that fills them."""

from __future__ import annotations

from alembic import op

from gateway.storage.publication import create_cell_tables
from gateway.trip import TableShape

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# What of the shape counts here: the first schema wrote it out in full.
FLOW = TableShape(
    product="flow",
    major=1,
    columns=(),
    id_column="record_id",
    natural_key=(
        *("provider", "period", "reporting_country", "counterpart_country", "direction", "flow_type", "unit"),
        *("citizenship", "sex", "age_group", "accompaniment", "place_scheme", "place_code", "legal_basis"),
    ),
    retention_column=None,
    cubes=(),
    units=("unit", "definition_id"),
    period_column="period",
    measure="count",
)


def upgrade() -> None:
    create_cell_tables(op.get_bind(), FLOW)
    # A schema made by this program has it from the start.
    op.execute("CREATE INDEX submission_flow ON submission (partner_id, id) WHERE product = 'flow'")
    op.execute("CREATE INDEX IF NOT EXISTS flow_1_submission ON flow_1 (partner_id, submission_id)")
