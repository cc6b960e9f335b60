# SPDX-License-Identifier: Apache-2.0
"""What every test may ask for; this file is about the fixtures that are shared by all folders."""

from __future__ import annotations

from tests.engines import (
    database_url,
    postgresql_server,
    postgresql_url,
    sqlite_storage,
    sqlite_template,
    sqlite_url,
    storage,
)

__all__ = [
    "database_url",
    "postgresql_server",
    "postgresql_url",
    "sqlite_storage",
    "sqlite_template",
    "sqlite_url",
    "storage",
]
