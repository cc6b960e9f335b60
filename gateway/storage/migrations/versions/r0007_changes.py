# SPDX-License-Identifier: Apache-2.0
"""Who signed what; this file is about the table of changes, to which approvals point from now on."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = """
DROP TABLE approval;
CREATE TABLE approval (
    subject_kind VARCHAR NOT NULL, digest VARCHAR NOT NULL, keyid VARCHAR NOT NULL, subject_id VARCHAR NOT NULL,
    change_id VARCHAR NOT NULL, at VARCHAR(27) NOT NULL, PRIMARY KEY (subject_kind, digest, keyid)
);
CREATE TABLE change (
    id VARCHAR NOT NULL, act VARCHAR NOT NULL, proposer VARCHAR NOT NULL, status VARCHAR NOT NULL,
    envelope TEXT NOT NULL, proposed_at VARCHAR(27) NOT NULL, expires_at VARCHAR(27) NOT NULL,
    event_id VARCHAR NOT NULL, PRIMARY KEY (id)
);
CREATE INDEX change_status ON change (status, id)
"""


def upgrade() -> None:
    # An approval of before was signed under another document, which nobody could verify any more.
    if op.get_bind().exec_driver_sql("SELECT count(*) FROM approval").scalar_one():
        raise RuntimeError("approvals of before revision 0007 do not count: found anew, see docs/GOVERNANCE.md")
    for statement in TABLES.strip().split(";\n"):
        op.execute(statement)
