# SPDX-License-Identifier: Apache-2.0
"""Tables of a partner's life; this file is about invitations, warnings given before an end, and requests counted."""

from __future__ import annotations

from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, Text

from gateway.storage.tables import Instant, TextSet

_METADATA = MetaData()

# One a partner; a new one takes the place of the last. Of the token there is the digest only.
invitation = Table(
    "invitation",
    _METADATA,
    Column("partner_id", String, primary_key=True),
    Column("token_sha256", LargeBinary, nullable=False),
    Column("name", String, nullable=False),
    Column("roles", TextSet, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("answered_at", Instant),
    Column("envelope", Text),
    Column("certificate", LargeBinary),
    Column("activated_at", Instant),
)
# What ends, when, and how many days before it was told of.
expiry_warning = Table(
    "expiry_warning",
    _METADATA,
    Column("kind", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("ends_at", Instant, primary_key=True),
    Column("days", Integer, primary_key=True),
)
# Requests of a reader for an owner's numbers, by minute; what is older than an hour counts for nothing.
spent_request = Table(
    "spent_request",
    _METADATA,
    Column("partner_id", String, primary_key=True),
    Column("owner", String, primary_key=True),
    Column("minute", Instant, primary_key=True),
    Column("count", Integer, nullable=False),
)
TABLES = (invitation, expiry_warning, spent_request)
