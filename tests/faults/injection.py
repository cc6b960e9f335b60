# SPDX-License-Identifier: Apache-2.0
"""The n-th statement fails; this file is about a hook that makes one statement or commit of a storage fail."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

import psycopg
import pytest
from sqlalchemy import event

from gateway.storage.engine import DialectName, Storage

P = TypeVar("P")


class Kind(StrEnum):
    """How a statement or a commit fails."""

    LOST = "connection lost or input/output error"
    FULL = "disk full"
    COLLISION = "collision with another writer"
    GONE = "process gone"
    # At a commit only: the transaction stands, and nobody is told so.
    KEPT = "error, yet persisted"


AT_STATEMENT = (Kind.LOST, Kind.FULL, Kind.COLLISION, Kind.GONE)
AT_COMMIT = (*AT_STATEMENT, Kind.KEPT)
_SQLITE = {
    Kind.LOST: ("SQLITE_IOERR_WRITE", "disk I/O error"),
    Kind.KEPT: ("SQLITE_IOERR_FSYNC", "disk I/O error"),
    Kind.FULL: ("SQLITE_FULL", "database or disk is full"),
    Kind.COLLISION: ("SQLITE_BUSY", "database is locked"),
}
_SQLSTATE = {Kind.FULL: "53100", Kind.COLLISION: "40001"}


class ProcessGone(BaseException):
    """Stands for the end of the process: nothing may handle it."""


@dataclass(frozen=True, slots=True)
class Point:
    """Where to fail: the n-th statement or commit, from 0."""

    number: int
    kind: Kind
    commit: bool = False

    def __str__(self) -> str:
        return f"{'commit' if self.commit else 'statement'} {self.number}: {self.kind}"


@dataclass(slots=True)
class Injector:
    """Counts what SQLAlchemy hands to the driver, and makes the statement or commit at `point` fail, once.

    Contract. A statement fails before the database does anything of it, a commit of kind `KEPT` or `GONE` after the
    database has done all of it, any other commit with nothing persisted. What is raised is what the driver raises:
    on PostgreSQL the server itself is made to fail (it ends the connection, or raises the SQLSTATE, and so aborts the
    transaction); on SQLite the error has the code that the library would give, and after an input/output error the
    transaction is rolled back already, as the library does by itself. `GONE` is not an `Exception`, so that nothing
    can handle it, and whoever caught it opens everything anew. Once the point was met, nothing else fails.
    """

    dialect: DialectName
    point: Point | None = None
    statements: list[str] = field(default_factory=list)
    commits_count: int = 0
    fired: bool = False

    def statement(self, connection: Any, text: str) -> None:
        """Let a statement pass, or fail it."""
        number = len(self.statements)
        self.statements.append(text)
        if self._meets(number, commit=False):
            self._fail(connection)

    def commit(self, connection: Any, really: Callable[[Any], None]) -> None:
        """Commit, or fail."""
        number = self.commits_count
        self.commits_count += 1
        if not self._meets(number, commit=True):
            really(connection)
            return
        assert self.point is not None
        if self.point.kind in {Kind.KEPT, Kind.GONE}:
            really(connection)
        self._fail(connection.driver_connection)

    def _meets(self, number: int, *, commit: bool) -> bool:
        met = not self.fired and self.point is not None and (number, commit) == (self.point.number, self.point.commit)
        self.fired = self.fired or met
        return met

    def _fail(self, connection: Any) -> None:
        assert self.point is not None
        kind = self.point.kind
        if kind is Kind.GONE:
            raise ProcessGone
        if self.dialect == "sqlite":
            _fail_sqlite(connection, kind)
        if kind in _SQLSTATE:
            connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'injected' USING ERRCODE = '{_SQLSTATE[kind]}'; END $$")
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        raise AssertionError("the server did not fail")


def _fail_sqlite(connection: sqlite3.Connection, kind: Kind) -> None:
    if kind is Kind.LOST and connection.in_transaction:
        connection.execute("ROLLBACK")
    error = sqlite3.OperationalError(_SQLITE[kind][1])
    error.sqlite_errorname = _SQLITE[kind][0]
    error.sqlite_errorcode = getattr(sqlite3, _SQLITE[kind][0])
    raise error


@contextmanager
def injected(storage: Storage, point: Point | None = None) -> Iterator[Injector]:
    """Count, and fail where `point` says, whatever a storage does inside the block."""
    injector = Injector(storage.dialect, point)

    def statement(cursor: Any, text: str, _parameters: Any, _context: Any) -> None:
        injector.statement(cursor.connection, text)

    engines = [engine for engine in (storage._writer, storage._reader) if engine is not None]
    dialects = {id(engine.dialect): engine.dialect for engine in engines}.values()
    with pytest.MonkeyPatch.context() as patch:
        for dialect in dialects:
            really = dialect.do_commit
            patch.setattr(dialect, "do_commit", lambda c, really=really: injector.commit(c, really), raising=False)
            for name in ("do_execute", "do_executemany"):
                event.listen(dialect, name, statement)
        _count_copies(patch, injector)
        try:
            yield injector
        finally:
            for dialect in dialects:
                for name in ("do_execute", "do_executemany"):
                    event.remove(dialect, name, statement)


def _count_copies(patch: pytest.MonkeyPatch, injector: Injector) -> None:
    """COPY goes past SQLAlchemy: its beginning and its end, with all rows sent, count as a statement each."""
    begin = psycopg.Cursor.copy

    @contextmanager
    def copy(cursor: Any, statement: Any, *arguments: Any, **named: Any) -> Iterator[Any]:
        injector.statement(cursor.connection, "COPY begins")
        with begin(cursor, statement, *arguments, **named) as copying:
            yield copying
            if injector._meets(len(injector.statements), commit=False):
                # The connection is in the middle of its COPY, so that it can only be cut off.
                cursor.connection.close()
                if injector.point and injector.point.kind is Kind.GONE:
                    raise ProcessGone
                raise psycopg.OperationalError("server closed the connection unexpectedly")
            injector.statements.append("COPY ends")

    patch.setattr(psycopg.Cursor, "copy", copy)


def points(injector: Injector) -> list[Point]:
    """Return every way in which what was counted can fail."""
    statements = [Point(number, kind) for number in range(len(injector.statements)) for kind in AT_STATEMENT]
    commits = [Point(number, kind, commit=True) for number in range(injector.commits_count) for kind in AT_COMMIT]
    return statements + commits


def chosen(every: list[P], count: int) -> list[P]:
    """Return some points, others each time; the seed that is printed gives the same again."""
    seed = int(os.environ.get("FAULTS_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"FAULTS_SEED={seed}")
    return random.Random(seed).sample(every, count)
