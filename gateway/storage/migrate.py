# SPDX-License-Identifier: Apache-2.0
"""From one schema to the next; this file is about running migrations and refusing a schema that is not known."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from gateway.errors import Fault
from gateway.storage.engine import FileLock, Tx, open_storage, postgresql_engine, sqlite_engine, sqlite_file

POSTGRESQL_VERSION_MIN = 150_000
_MIGRATIONS = Path(__file__).parent / "migrations"
# Any number that no other program takes in this database.
_LOCK_NUMBER = 7_163_001


class SchemaUnknown(Fault):
    """The database is not at the schema that this program knows."""


def upgrade(url: str) -> None:
    """Bring the database to this program's schema, in one transaction; a second run changes nothing.

    Raises:
        StorageInUse: when a gateway runs on this SQLite file.
        SchemaUnknown: when the server cannot hold what we store.
    """
    database = sqlite_file(url)
    if database is None:
        _upgrade_postgresql(url)
    else:
        _upgrade_sqlite(database)


def check(url: str) -> None:
    """Return when the database is at this program's schema.

    Raises:
        SchemaUnknown: when it is older, newer, or no database of ours.
        StorageUnavailable: when it cannot be reached.
    """
    database = sqlite_file(url)
    if database is not None and not database.is_file():
        raise SchemaUnknown(f"there is no database at {database}: run `gateway db upgrade`")
    storage = open_storage(url, read_only=True)
    try:
        found = storage.read(revision_of)
    finally:
        storage.close()
    head = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    if found != head:
        raise SchemaUnknown(f"the schema is {found or 'missing'}, this program knows {head}: run `gateway db upgrade`")


def revision_of(tx: Tx) -> str | None:
    """Return the schema's revision, or None when there is no schema of ours."""
    return MigrationContext.configure(tx.connection).get_current_revision()


def _upgrade_sqlite(database: Path) -> None:
    lock = FileLock(database)
    engine = sqlite_engine(database)
    try:
        with engine.begin() as connection:
            _run(connection)
    finally:
        engine.dispose()
        lock.release()


def _upgrade_postgresql(url: str) -> None:
    engine = postgresql_engine(url)
    try:
        with engine.begin() as connection:
            version = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one())
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
            if version < POSTGRESQL_VERSION_MIN or encoding != "UTF8":
                raise SchemaUnknown(f"PostgreSQL 15 or newer with UTF8 is needed, not {version} with {encoding}")
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_LOCK_NUMBER,))
            _run(connection)
    finally:
        engine.dispose()


def _run(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
