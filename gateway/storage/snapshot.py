# SPDX-License-Identifier: Apache-2.0
"""A database at one moment, as bytes; this file is about taking and filling one: sqlite3's backup, pg_dump, pg_restore.

Both read one unchanging view beside a running gateway, and what is said of the log comes from the same view. A database
that is filled is marked before it can be used, and is empty before: nothing is ever restored over anything.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, BinaryIO
from urllib.parse import quote

from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from gateway.errors import Fault, StorageUnavailable
from gateway.storage import log, migrate, tables
from gateway.storage.engine import (
    RETRY_AFTER_SECONDS,
    FileLock,
    Storage,
    Tx,
    open_storage,
    postgresql_engine,
    sqlite_engine,
    sqlite_file,
)
from gateway.wire.digests import b64

STEP_PAGES = 4096
_SQLITE_MAGIC, _DUMP_MAGIC = b"SQLite format 3\x00", b"PGDMP"
_OWN = "nspname NOT LIKE 'pg\\_%%' AND nspname <> 'information_schema'"


class NotEmpty(Fault):
    """There is something in the database; a backup is restored into an empty one only."""


class SnapshotFailed(Fault):
    """A program of the database could not do it; the text is its own."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Which database it is: engine, schema, and how far its log was; `checkpoint` is the newest signed note."""

    engine: str
    schema: str | None
    origin: str
    tree_size: int
    root: str
    checkpoint: str | None


def facts_in(url: str) -> Facts:
    """Return the facts of a database."""
    storage = open_storage(url, read_only=True)
    try:
        return storage.read(_facts)
    finally:
        storage.close()


@contextmanager
def taken(url: str, programs: Path | None) -> Iterator[tuple[Facts, BinaryIO]]:
    """Yield the facts and the bytes of a database at one moment; an error at the end says the bytes are not whole."""
    database = sqlite_file(url)
    if database is None:
        with _dumped(url, programs) as dumped:
            yield dumped
        return
    # Beside the database: as protected as it is, and on a disk that holds it.
    copy = database.with_name(f"{database.name}.backup")
    lock = FileLock(copy)
    try:
        _copy(database, copy)
        facts = facts_in(f"sqlite:///{copy}")
        with copy.open("rb") as source:
            yield facts, source
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{copy}{suffix}").unlink(missing_ok=True)
        lock.release()


@contextmanager
def filled(url: str, programs: Path | None, *, at: datetime, owners: bool) -> Iterator[Callable[[bytes], object]]:
    """Yield where the bytes of a snapshot go; when the block ends well they are a database, marked as restored.

    `owners` keeps who owned and might do what, which on PostgreSQL needs the same roles.

    Raises:
        NotEmpty: when there is anything already.
        SnapshotFailed: when the bytes are of another engine, or the database cannot take them.
    """
    database = sqlite_file(url)
    if database is None:
        with _restoring(url, programs, at, owners=owners) as sink:
            yield _expecting(_DUMP_MAGIC, sink)
        return
    if any(Path(f"{database}{suffix}").exists() for suffix in ("", "-wal", "-shm")):
        raise NotEmpty(f"{database} exists; a backup is restored into an empty database only")
    lock = FileLock(database)
    part = database.with_name(f"{database.name}.restoring")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            yield _expecting(_SQLITE_MAGIC, out.write)
        _mark(part, at)
        with part.open("rb") as whole:
            os.fsync(whole.fileno())
        part.rename(database)
    finally:
        part.unlink(missing_ok=True)
        lock.release()


@contextmanager
def scratch(url: str) -> Iterator[str]:
    """Yield the address of a database on the same engine that does not exist yet or is empty, and remove it after."""
    database = sqlite_file(url)
    if database is not None:
        with tempfile.TemporaryDirectory(prefix=".verify-", dir=database.parent) as folder:
            yield f"sqlite:///{folder}/gateway.db"
        return
    name = f"gateway_verify_{secrets.token_hex(4)}"
    server = create_engine(url, isolation_level="AUTOCOMMIT", hide_parameters=True)
    try:
        try:
            with server.connect() as connection:
                connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        except DBAPIError as error:
            raise SnapshotFailed(f"no database to verify in, name an empty one with --scratch: {error.orig}") from error
        try:
            yield make_url(url).set(database=name).render_as_string(hide_password=False)
        finally:
            with server.connect() as connection:
                connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        server.dispose()


def _facts(tx: Tx) -> Facts:
    head, newest = log.get_head(tx), log.latest_checkpoint(tx)
    note = newest.note if newest else None
    return Facts(tx.dialect, migrate.revision_of(tx), head.origin, head.size, b64(head.root), note)


def _copy(database: Path, copy: Path) -> None:
    os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    try:
        source = sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True, isolation_level=None)
        target = sqlite3.connect(copy)
        try:
            # One view from the first page to the last; else each write of the gateway would start it anew.
            source.execute("BEGIN")
            source.execute("SELECT 1 FROM sqlite_schema").fetchone()
            source.backup(target, pages=STEP_PAGES)
        finally:
            target.close()
            source.close()
    except sqlite3.Error as error:
        raise StorageUnavailable(retry_after_seconds=RETRY_AFTER_SECONDS) from error


def _mark(database: Path, at: datetime) -> None:
    writer = sqlite_engine(database)
    try:
        with writer.begin() as connection:
            log.mark_restored(Tx(connection, "sqlite"), at)
    except DBAPIError as error:
        raise SnapshotFailed(f"the backup holds no database of ours: {error.orig}") from error
    finally:
        writer.dispose()


def _expecting(magic: bytes, sink: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """Look at the first bytes: what one engine wrote, the other cannot take."""
    first = True

    def take(chunk: bytes) -> None:
        nonlocal first
        if first and not chunk.startswith(magic):
            raise SnapshotFailed("the backup is of the other engine than database_url")
        first = False
        sink(chunk)

    return take


@contextmanager
def _dumped(url: str, programs: Path | None) -> Iterator[tuple[Facts, BinaryIO]]:
    engine = postgresql_engine(url)
    reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    storage = Storage(dialect="postgresql", writer=None, reader=reader)
    try:
        with reader.begin() as connection:
            tx = Tx(connection, "postgresql")
            view = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
            # The mark is made anew by whoever restores, before the first row is there.
            words = ["--format=custom", f"--exclude-table={tables.log_restore.name}", f"--snapshot={view}"]
            with _program("pg_dump", programs, url, words, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                yield _facts(tx), process.stdout  # type: ignore[misc] # IO[bytes] reads as BinaryIO does
    except DBAPIError as error:
        raise StorageUnavailable(retry_after_seconds=RETRY_AFTER_SECONDS) from error
    finally:
        storage.close()


@contextmanager
def _restoring(url: str, programs: Path | None, at: datetime, *, owners: bool) -> Iterator[Callable[[bytes], object]]:
    engine = postgresql_engine(url)
    try:
        with engine.begin() as connection:
            kept = connection.exec_driver_sql(
                f"SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE {_OWN}"  # noqa: S608
            ).scalar_one()
            if kept:
                raise NotEmpty("the database is not empty; a backup is restored into an empty one only")
            # Schemas of roles.sql are in the backup too; what is not empty cannot be dropped like this.
            found = connection.exec_driver_sql(
                f"SELECT quote_ident(nspname) FROM pg_namespace WHERE {_OWN} AND nspname <> 'public'"  # noqa: S608
            )
            for schema in found.scalars().all():
                connection.exec_driver_sql(f"DROP SCHEMA {schema}")
            # Marked and committed before any row is there: no crash leaves a log that could be signed.
            tables.log_restore.create(connection)
            log.mark_restored(Tx(connection, "postgresql"), at)
    except DBAPIError as error:
        raise SnapshotFailed(f"the database cannot be restored into: {error.orig}") from error
    finally:
        engine.dispose()
    words = ["--single-transaction", "--exit-on-error", *([] if owners else ["--no-owner", "--no-privileges"])]
    try:
        with _program("pg_restore", programs, url, words, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            yield process.stdin.write
            process.stdin.close()
    except BaseException:
        _unmark_empty(url)
        raise


def _unmark_empty(url: str) -> None:
    """Take the mark from a database into which nothing came, so that it is empty again."""
    engine = postgresql_engine(url)
    try:
        with engine.begin() as connection:
            if connection.exec_driver_sql("SELECT to_regclass('public.log_head')").scalar_one() is None:
                tables.log_restore.drop(connection)
    finally:
        engine.dispose()


@contextmanager
def _program(
    name: str,
    programs: Path | None,
    url: str,
    words: list[str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of PostgreSQL against a database, and raise SnapshotFailed unless it ends well."""
    found = shutil.which(name, path=str(programs) if programs else None)
    if found is None:
        raise SnapshotFailed(f"{name} is not on PATH: install the PostgreSQL client, or set postgresql_programs")
    address = make_url(url)
    target = address.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    # Not on the command line, which everyone on the machine can read.
    environment = {**os.environ, **({"PGPASSWORD": str(address.password)} if address.password else {})}
    with ExitStack() as stack:
        told: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())
        process = stack.enter_context(
            subprocess.Popen(  # noqa: S603 -- a program that the operator installed, without a shell
                [found, *words, "--no-password", "--dbname", target],
                stdin=stdin,
                stdout=stdout,
                stderr=told,
                env=environment,
            )
        )
        try:
            yield process
        except BrokenPipeError:
            pass  # It ended early, and says why.
        except BaseException:
            process.kill()
            raise
        finally:
            # What is still buffered finds no reader when the program has ended; closing must not hide why it did.
            if process.stdin is not None:
                with suppress(BrokenPipeError):
                    process.stdin.close()
        if process.wait() != 0:
            told.seek(0)
            raise SnapshotFailed(f"{name}: {told.read().decode(errors='replace').strip()[-2000:]}")
