# SPDX-License-Identifier: Apache-2.0
"""Making deleted rows unreadable in the files of a database; this file is about how each engine forgets bytes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from gateway.errors import StorageUnavailable

WAIT_SECONDS = 60
POLL_SECONDS = 0.1
RETRY_AFTER_SECONDS = 2
_MAY_NOT = "42501"


def rewrite(writer: Engine, tables: Iterable[str]) -> None:
    """Write tables of PostgreSQL anew, without their deleted rows, and let go of the WAL, as far as the role may."""
    with writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"SET lock_timeout = '{WAIT_SECONDS}s'")
        connection.exec_driver_sql("SET statement_timeout = 0")
        bounded: Any = connection.connection.driver_connection
        bounded.seconds_max = None
        _await_older_transactions(connection)
        for name in tables:
            quoted = connection.dialect.identifier_preparer.quote(name)
            connection.exec_driver_sql(f"VACUUM (FULL) {quoted}")
        _flush_wal(connection)
        connection.invalidate()


def truncate_wal(writer: Engine) -> None:
    """Move everything from the WAL into the file of SQLite, or raise StorageUnavailable while a reader looks at it."""
    # On the driver's connection, because the pool's begins a transaction, in which there is no checkpoint.
    pooled = writer.raw_connection()
    try:
        cursor = pooled.cursor()
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        busy = cursor.fetchall()[0][0]
        cursor.close()
    except sqlite3.Error as error:
        raise DBAPIError("CHECKPOINT", None, error, hide_parameters=True) from error
    finally:
        pooled.close()
    if busy:
        raise StorageUnavailable(retry_after_seconds=RETRY_AFTER_SECONDS)


def _await_older_transactions(connection: Connection) -> None:
    # VACUUM copies a deleted row as long as any transaction could still see it, an ANALYZE of autovacuum for example.
    now = connection.exec_driver_sql("SELECT pg_snapshot_xmax(pg_current_snapshot())::xid::text").scalar_one()
    older = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND greatest(age(backend_xmin), age(backend_xid)) > age(%s::text::xid)"
    )
    deadline = time.monotonic() + WAIT_SECONDS
    while connection.exec_driver_sql(older, (now,)).scalar_one():
        if time.monotonic() > deadline:
            raise StorageUnavailable(retry_after_seconds=RETRY_AFTER_SECONDS)
        time.sleep(POLL_SECONDS)


def _flush_wal(connection: Connection) -> None:
    # Both need a right that a hardened role may lack; the WAL then goes in the server's own time.
    for statement in ("CHECKPOINT", "SELECT pg_switch_wal()", "CHECKPOINT"):
        try:
            connection.exec_driver_sql(statement)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _MAY_NOT:
                raise
