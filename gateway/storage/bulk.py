# SPDX-License-Identifier: Apache-2.0
"""Many rows at once; this file is about statements on the driver's own connection, beside SQLAlchemy.

Its way of many rows costs more than the rows themselves, when they are few and their transaction is short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Dialect, Table, TypeDecorator
from sqlalchemy.exc import DBAPIError

from gateway.storage.engine import Tx


class KeyStands(Exception):
    """Another row holds a key of the rows that were to be inserted; the transaction is broken to its savepoint."""


def insert_new(tx: Tx, table: Table, rows: Sequence[Mapping[str, object]]) -> int:
    """Insert those of some rows whose keys do not stand, in one statement of one form; return how many those were."""
    if not rows:
        return 0
    written = _written(table, tx.connection.dialect)
    columns = [[write(row[name]) for row in rows] if write else [row[name] for row in rows] for name, write in written]
    if tx.dialect == "postgresql":
        return tx.connection.exec_driver_sql(_insert_arrays(table, tx.connection.dialect), tuple(columns)).rowcount
    names = tuple(name for name, _ in written)
    return insert_rows(tx, table.name, names, list(zip(*columns, strict=True)))


def insert_rows(tx: Tx, table: str, names: tuple[str, ...], rows: Sequence[Sequence[object]]) -> int:
    """Insert those of some rows into a table of SQLite whose keys do not stand, and return how many those were."""
    return tx.connection.exec_driver_sql(_insert_marks(table, names), list(rows)).rowcount


@cache
def _written(table: Table, dialect: Dialect) -> tuple[tuple[str, Callable[[Any], Any] | None], ...]:
    """Return the columns of a table, each with what makes a value ready for the driver."""
    own = TypeDecorator.process_bind_param
    return tuple(
        (column.name, partial(kind.process_bind_param, dialect=dialect))
        if isinstance(kind := column.type, TypeDecorator) and type(kind).process_bind_param is not own
        else (column.name, None)
        for column in table.columns
    )


@cache
def _insert_arrays(table: Table, dialect: Dialect) -> str:
    names = ", ".join(column.name for column in table.columns)
    # In binary: psycopg escapes the text of an array value by value, in Python.
    arrays = ", ".join(f"%b::{column.type.compile(dialect)}[]" for column in table.columns)
    return f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING"  # noqa: S608 - names of our own tables


@cache
def _insert_marks(table: str, names: tuple[str, ...]) -> str:
    columns = ", ".join(f'"{name}"' for name in names)
    marks = ", ".join("?" for _ in names)
    return f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608 - our own names, and those of contracts, which governments signed


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
