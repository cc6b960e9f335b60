# SPDX-License-Identifier: Apache-2.0
"""One face for both engines; this file is about connections, transactions and what a lost database means.

Nothing outside this file says commit. SQLite has one writing connection in one process, held by a lock file;
its readers open the file read-only and never checkpoint, because a checkpoint beside another connection's WAL
reset can corrupt the file in SQLite before 3.51.3.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from gateway.errors import Fault, StorageUnavailable
from gateway.storage.vacuum import rewrite, truncate_wal

WRITE_ATTEMPTS_MAX = 5
RETRY_AFTER_SECONDS = 2
BUSY_MILLISECONDS = 10_000
POOL_SIZE = 16
SQLITE_READERS_MAX = 32
POOL_WAIT_SECONDS = 10
STATEMENT_SECONDS_MAX = 120
LOCK_SECONDS_MAX = 10
CONNECT_SECONDS_MAX = 10
# Longer than the server's own bound, which tells more; a ping has nothing to do but to come back.
ANSWER_SECONDS_MAX = STATEMENT_SECONDS_MAX + 10
PING_SECONDS_MAX = 5

T = TypeVar("T")
DialectName = Literal["sqlite", "postgresql"]

_MAY_NOT_SQLSTATE = "42501"
_AGAIN_SQLSTATES = frozenset({"40001", "40P01"})
# Query cancelled, lock not available; classes 08 connection, 53 resources, 57P shutdown, 58 system error.
_AWAY_SQLSTATES = frozenset({"57014", "55P03", "25006"})
_AWAY_CLASSES = ("08", "53", "57P", "58")
_AWAY_SQLITE = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY")

# Without a code: the client's side of the driver speaks, for example of a connection that does not come about.
_OPERATIONAL = (psycopg.OperationalError, sqlite3.OperationalError)


class StorageInUse(Fault):
    """Another process holds the database file for writing."""


class WriteConflict(Fault):
    """A concurrent transaction changed what this one had read; `Storage.write` runs the work again."""


@dataclass(frozen=True, slots=True)
class Tx:
    """One open transaction, handed to `work`; only `gateway.storage` looks inside."""

    connection: Connection
    dialect: DialectName
    # For what cannot wait for the commit. Not the pool of `connection`: those who hold all of it would wait for more.
    aside: Engine | None = None


class Storage:
    """The database, opened; safe to use from many threads."""

    def __init__(
        self,
        *,
        dialect: DialectName,
        writer: Engine | None,
        reader: Engine,
        lock: FileLock | None = None,
        aside: Engine | None = None,
    ) -> None:
        self.dialect: DialectName = dialect
        self._aside = aside
        self._writer = writer
        self._reader = reader
        self._lock = lock
        # SQLite has one writer at a time; waiting here is fairer than in its busy handler.
        self._turn: AbstractContextManager[object] = threading.Lock() if dialect == "sqlite" else nullcontext()

    def write(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in one transaction and commit it; when two writers collide, run it again from the start.

        Raises:
            StorageUnavailable: when the database cannot be reached, or a collision does not clear.
        """
        if self._writer is None:
            raise Fault("the storage is open for reading only")
        for _ in range(WRITE_ATTEMPTS_MAX):
            try:
                with self._turn:
                    return self._attempt(self._writer, work)
            except WriteConflict:
                continue
            except (DBAPIError, PoolTimeout) as error:
                if not _collided(error):
                    raise _away(error) from error
        raise StorageUnavailable(retry_after_seconds=RETRY_AFTER_SECONDS)

    def read(self, work: Callable[[Tx], T]) -> T:
        """Run `work` on one unchanging view of the database; it cannot write.

        Raises:
            StorageUnavailable: when the database cannot be reached.
        """
        try:
            return self._attempt(self._reader, work)
        except (DBAPIError, PoolTimeout) as error:
            raise _away(error) from error

    def probe(self) -> None:
        """Return when the database answers.

        Raises:
            StorageUnavailable: when it does not.
        """
        if self._writer is None:
            self.read(_nothing)
        else:
            self.write(_nothing)

    def vacuum(self, tables: Iterable[str]) -> None:
        """Make deleted rows of some tables unreadable in the files of the database, as far as the role may.

        Raises:
            StorageUnavailable: when it cannot be done now, or a reader still looks at them; the job comes back.
        """
        assert self._writer is not None
        try:
            if self.dialect == "sqlite":
                with self._turn:
                    truncate_wal(self._writer)
            else:
                rewrite(self._writer, sorted(tables))
        except (DBAPIError, PoolTimeout) as error:
            raise _away(error) from error

    def close(self) -> None:
        """Close every connection and let go of the lock file."""
        # Readers first: the last connection to close checkpoints, and that must be the writer.
        self._reader.dispose()
        for engine in (self._writer, self._aside):
            if engine is not None:
                engine.dispose()
        if self._lock is not None:
            self._lock.release()

    def _attempt(self, engine: Engine, work: Callable[[Tx], T]) -> T:
        with engine.begin() as connection:
            return work(Tx(connection, self.dialect, self._aside))


def rehearsed(tx: Tx, work: Callable[[], T]) -> T | None:
    """Do some work and undo it; return what it returned, or None where the role of this process may not do it."""
    savepoint = tx.connection.begin_nested()
    try:
        return work()
    except ProgrammingError as error:
        if _sqlstate(error) != _MAY_NOT_SQLSTATE:
            raise
        return None
    finally:
        savepoint.rollback()


class FileLock:
    """An exclusive lock beside a SQLite file; the kernel drops it when the process dies.

    Raises:
        StorageInUse: when another process, or another `Storage` in this one, holds it.
    """

    def __init__(self, database: Path) -> None:
        self._file = os.open(f"{database}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise StorageInUse(
                f"{database} is in use by another process: stop the gateway, or use its operator socket"
            ) from error

    def release(self) -> None:
        """Let the next process in."""
        os.close(self._file)


def open_storage(url: str, *, read_only: bool = False) -> Storage:
    """Open the database at `sqlite:///path` or `postgresql+psycopg://…`; the schema must stand already.

    Raises:
        StorageInUse: when another process writes to the SQLite file.
        StorageUnavailable: when the database cannot be reached.
    """
    database = sqlite_file(url)
    storage = _postgresql(url, read_only=read_only) if database is None else _sqlite(database, read_only=read_only)
    try:
        storage.probe()
    except BaseException:
        storage.close()
        raise
    return storage


def sqlite_file(url: str) -> Path | None:
    """Return the file of a SQLite storage, or None for PostgreSQL."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    assert parsed.database, "a SQLite storage is a file"
    return Path(parsed.database).absolute()


def sqlite_engine(database: Path) -> Engine:
    """Return the engine of the one writing connection to a SQLite file; the caller holds its `FileLock`."""
    pragmas = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")
    return _sqlite_pool(database, pragmas, mode="rwc", begin="BEGIN IMMEDIATE", connections_max=1)


def postgresql_engine(url: str, *, connections_max: int = POOL_SIZE) -> Engine:
    """Return a pooled PostgreSQL engine with time-outs on every session."""
    seconds = f"-c statement_timeout={STATEMENT_SECONDS_MAX}s -c lock_timeout={LOCK_SECONDS_MAX}s"
    engine = create_engine(
        url,
        connect_args={
            "options": f"{seconds} -c synchronous_commit=on -c timezone=UTC",
            "connect_timeout": CONNECT_SECONDS_MAX,
            "client_encoding": "utf8",
        },
        pool_size=connections_max,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,
    )
    event.listen(engine, "do_connect", lambda _dialect, _record, words, named: _Bounded.connect(*words, **named))
    # The pool asks for a sign of life on the way out, so that who lies in it is under the bound of a ping.
    event.listen(engine, "checkin", lambda connection, _record: _bound(connection, PING_SECONDS_MAX))
    event.listen(engine, "checkout", lambda connection, _record, _proxy: _bound(connection, ANSWER_SECONDS_MAX))
    return engine


class _Bounded(psycopg.Connection[Any]):
    """A connection that waits for its server within a bound: one that hangs keeps none of its own time-outs."""

    seconds_max: float | None = ANSWER_SECONDS_MAX

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, timeout or self.seconds_max)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                # No answer came, and the next one would be taken for another question's.
                self.pgconn.finish()
            raise


def _bound(connection: _Bounded | None, seconds: float) -> None:
    if connection is not None:
        connection.seconds_max = seconds


def _sqlite(database: Path, *, read_only: bool) -> Storage:
    lock = None if read_only else FileLock(database)
    pragmas = ("wal_autocheckpoint=0",)
    reader = _sqlite_pool(database, pragmas, mode="ro", begin="BEGIN", connections_max=SQLITE_READERS_MAX)
    # The writer opens the file first and keeps it open, so that readers find the WAL in place.
    writer = None if read_only else sqlite_engine(database)
    return Storage(dialect="sqlite", writer=writer, reader=reader, lock=lock)


def _sqlite_pool(database: Path, pragmas: Iterable[str], *, mode: str, begin: str, connections_max: int) -> Engine:
    def connect() -> sqlite3.Connection:
        uri = f"file:{quote(str(database))}?mode={mode}"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        for pragma in (f"busy_timeout={BUSY_MILLISECONDS}", *pragmas):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        return connection

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=connections_max,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        hide_parameters=True,
    )
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _postgresql(url: str, *, read_only: bool) -> Storage:
    engine = postgresql_engine(url)
    reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    if read_only:
        return Storage(dialect="postgresql", writer=None, reader=reader)
    return Storage(dialect="postgresql", writer=engine, reader=reader, aside=postgresql_engine(url, connections_max=1))


def _nothing(tx: Tx) -> None:
    tx.connection.execute(text("SELECT 1"))


def _sqlstate(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def _collided(error: DBAPIError | PoolTimeout) -> bool:
    return isinstance(error, DBAPIError) and _sqlstate(error) in _AGAIN_SQLSTATES


def _away(error: DBAPIError | PoolTimeout) -> Exception:
    """Return the refusal when the database is out of reach, else the error as it is: a fault of ours."""
    met: BaseException | None = error
    while met is not None:
        # Behind it, too: SQLite ends a transaction on some errors, and going back to its savepoint fails in turn.
        if isinstance(met, PoolTimeout) or (isinstance(met, DBAPIError) and _is_away(met)):
            return StorageUnavailable(retry_after_seconds=RETRY_AFTER_SECONDS)
        met = met.__context__
    return error


def _is_away(error: DBAPIError) -> bool:
    state = _sqlstate(error)
    sqlite_name = getattr(error.orig, "sqlite_errorname", "")
    return (
        error.connection_invalidated
        # A collision meets even a reader: a standby that must take up a change cancels its query.
        or state in _AWAY_SQLSTATES | _AGAIN_SQLSTATES
        or state.startswith(_AWAY_CLASSES)
        or sqlite_name.startswith(_AWAY_SQLITE)
        or (not state and not sqlite_name and isinstance(error.orig, _OPERATIONAL))
    )
