# SPDX-License-Identifier: Apache-2.0
"""Tables of governance; this file is about what is stopped, and the number that every act on the registry moves."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table

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
TABLES = (registry_version, stopped)
