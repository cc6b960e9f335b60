# SPDX-License-Identifier: Apache-2.0
"""Tables of governance; this file is about changes, stops, and the number that every act on the registry moves."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

from gateway.storage.tables import Instant

_METADATA = MetaData()

# One row: who sees another number than the one that it read the registry at reads it again.
registry_version = Table(
    "registry_version",
    _METADATA,
    Column("id", Integer, primary_key=True),
    Column("version", BigInteger, nullable=False),
)
# A row is a stop in force; lifting it takes the row away, and the audit log has both.
stopped = Table(
    "stopped",
    _METADATA,
    Column("kind", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("since", Instant, nullable=False),
    Column("actor", String, nullable=False),
)
# What officers signed. Only `status`, `event_id` and `envelope` ever change: a signature more, a step further.
change = Table(
    "change",
    _METADATA,
    Column("id", String, primary_key=True),
    Column("act", String, nullable=False),
    Column("proposer", String, nullable=False),
    Column("status", String, nullable=False),
    Column("envelope", Text, nullable=False),
    Column("proposed_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("event_id", String, nullable=False),
    Index("change_status", "status", "id"),
)
TABLES = (registry_version, stopped, change)
