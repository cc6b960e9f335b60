# SPDX-License-Identifier: Apache-2.0
"""The first schema; this file is about every table as it was at the start, written out and never changed."""

from __future__ import annotations

from typing import cast

import sqlalchemy as sa
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
    natural_key=(
        "provider",
        "period",
        "reporting_country",
        "counterpart_country",
        "direction",
        "flow_type",
        "unit",
        "citizenship",
        "sex",
        "age_group",
        "accompaniment",
        "place_scheme",
        "place_code",
        "legal_basis",
    ),
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
        "event_id:uuid! provider:string! provider_system:string! event_type:code! occurred_on:date! tz:code! "
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
        CubeShape(
            name="monthly",
            dimensions=("month(occurred_on)", "event_type", "border_segment", "citizenship"),
            sums=("person_count",),
        ),
    ),
    units=(),
    period_column="occurred_on",
    measure="person_count",
)


def upgrade() -> None:
    _registry()
    _submissions()
    _rollups()
    _events()
    _log()
    create_product_table(op, FLOW)
    create_product_table(op, BORDER_EVENT)


def _registry() -> None:
    op.create_table(
        "partner",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("country", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("roles", sa.String(), nullable=False),
        sa.Column("since", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "partner_key",
        sa.Column("partner_id", sa.String(), sa.ForeignKey("partner.id"), nullable=False),
        sa.Column("keyid", sa.String(), nullable=False),
        sa.Column("algorithm", sa.String(), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=False),
        sa.Column("not_before", sa.String(27), nullable=False),
        sa.Column("not_after", sa.String(27), nullable=True),
        sa.PrimaryKeyConstraint("partner_id", "keyid"),
    )
    op.create_table(
        "officer",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("country", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("roles", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("approval_keyid", sa.String(), nullable=False),
        sa.Column("approval_public", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "certificate_pin",
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("partner_id", sa.String(), sa.ForeignKey("partner.id"), nullable=True),
        sa.Column("officer_id", sa.String(), sa.ForeignKey("officer.id"), nullable=True),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.Column("not_after", sa.String(27), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_table(
        "approval",
        sa.Column("subject_kind", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("keyid", sa.String(), nullable=False),
        sa.Column("subject_id", sa.String(), nullable=False),
        sa.Column("envelope", sa.Text(), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("subject_kind", "digest", "keyid"),
    )
    op.create_table(
        "lifecycle",
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("sunset", sa.String(27), nullable=True),
        sa.PrimaryKeyConstraint("product", "version", "at"),
    )


def _submissions() -> None:
    op.create_table(
        "submission",
        sa.Column("partner_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("content_digest", sa.LargeBinary(), nullable=False),
        sa.Column("decoded_digest", sa.LargeBinary(), nullable=False),
        sa.Column("body_bytes", sa.BigInteger(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("contract_digest", sa.String(), nullable=False),
        sa.Column("nil_period", sa.String(), nullable=True),
        sa.Column("received_at", sa.String(27), nullable=False),
        sa.Column("received_count", sa.Integer(), nullable=False),
        sa.Column("accepted_count", sa.Integer(), nullable=False),
        sa.Column("duplicate_count", sa.Integer(), nullable=False),
        sa.Column("refused_count", sa.Integer(), nullable=False),
        sa.Column("quarantined_count", sa.Integer(), nullable=False),
        sa.Column("root_received", sa.LargeBinary(), nullable=False),
        sa.Column("root_accepted", sa.LargeBinary(), nullable=False),
        sa.Column("policies", sa.String(), nullable=False),
        sa.Column("policy_set_digest", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("keyid", sa.String(), nullable=False),
        sa.Column("algorithm", sa.String(), nullable=False),
        sa.Column("signature_base", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("partner_id", "id"),
        sa.UniqueConstraint("partner_id", "idempotency_key", name="submission_idempotency"),
    )
    op.create_table(
        "nonce",
        sa.Column("partner_id", sa.String(), nullable=False),
        sa.Column("nonce", sa.String(), nullable=False),
        sa.Column("signature_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("partner_id", "nonce"),
    )
    op.create_index("ix_nonce_expires_at", "nonce", ["expires_at"])
    op.create_table(
        "refused_record",
        sa.Column("partner_id", sa.String(), nullable=False),
        sa.Column("submission_id", sa.String(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("pointer", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.Column("en", sa.String(), nullable=False),
        sa.Column("es", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("partner_id", "submission_id", "line"),
    )
    op.create_table(
        "tombstone",
        sa.Column("partner_id", sa.String(), nullable=False),
        sa.Column("submission_id", sa.String(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.Column("deleted_at", sa.String(27), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("partner_id", "submission_id", "line"),
    )


def _rollups() -> None:
    op.create_table(
        "rollup",
        sa.Column("partner_id", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("cube", sa.String(), nullable=False),
        sa.Column("cell", sa.String(), nullable=False),
        sa.Column("measure", sa.String(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partner_id", "product", "cube", "cell", "measure"),
    )
    op.create_table(
        "rollup_delta",
        sa.Column("partner_id", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("submission_id", sa.String(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("cube", sa.String(), nullable=False),
        sa.Column("cell", sa.String(), nullable=False),
        sa.Column("measure", sa.String(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partner_id", "product", "submission_id", "part", "cube", "cell", "measure"),
    )


def _events() -> None:
    op.create_table(
        "event",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("partner_id", sa.String(), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("personal", sa.Text(), nullable=True),
        sa.Column("personal_key", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("event_request", "event", ["request_id"])
    op.create_table(
        "event_audience",
        sa.Column("country", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), sa.ForeignKey("event.id"), nullable=False),
        sa.PrimaryKeyConstraint("country", "event_id"),
    )
    op.create_table(
        "pending_event",
        sa.Column("partner_id", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), sa.ForeignKey("event.id"), nullable=False),
        sa.PrimaryKeyConstraint("partner_id", "event_id"),
    )
    op.create_index("ix_pending_event_event_id", "pending_event", ["event_id"])


def _log() -> None:
    op.create_table(
        "leaf",
        sa.Column("leaf_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.String(), sa.ForeignKey("event.id"), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("leaf_index"),
        sa.UniqueConstraint("event_id"),
    )
    op.create_table(
        "tile",
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("tile_index", sa.BigInteger(), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "tile_index"),
    )
    op.create_table(
        "log_head",
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("edge", sa.LargeBinary(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("origin"),
    )
    op.create_table(
        "checkpoint",
        sa.Column("tree_size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("signed", sa.Boolean(), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tree_size", "signed", "at"),
    )
