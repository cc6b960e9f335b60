# SPDX-License-Identifier: Apache-2.0
"""Many rows at once on PostgreSQL; this file is about COPY, which runs beside SQLAlchemy on its connection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy.exc import DBAPIError

from gateway.storage.engine import Tx


class KeyStands(Exception):
    """Another row holds a key of the rows that were to be inserted; the transaction is broken to its savepoint."""


def copy_rows(tx: Tx, table: str, names: Iterable[str], rows: Sequence[Sequence[object]]) -> None:
    """Insert rows whose values are in the order of `names`.

    Raises:
        KeyStands: when a key objects.
        DBAPIError: for any other trouble, without the values.
    """
    if not rows:
        return
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), columns)
    driver: Any = tx.connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.errors.UniqueViolation as error:
        raise KeyStands from error
    except psycopg.Error as error:
        # Its errors leave in the same clothes as all others, without their values.
        raise DBAPIError("COPY", None, error, hide_parameters=True) from error
