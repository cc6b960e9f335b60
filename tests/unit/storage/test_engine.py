# SPDX-License-Identifier: Apache-2.0
"""Transactions, and what a lost or busy database means; this file is about the one face of both engines."""

from __future__ import annotations

import socket
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import UniqueConstraint, inspect, text
from sqlalchemy.exc import DBAPIError

from gateway.errors import Fault, StorageUnavailable
from gateway.storage import engine as engine_module
from gateway.storage import governance_tables, life_tables
from gateway.storage.engine import Storage, StorageInUse, Tx, WriteConflict, open_storage
from gateway.storage.migrate import SchemaUnknown, check, upgrade
from gateway.storage.products import product_table
from gateway.storage.publication import cell_tables
from gateway.storage.registry import add_partner, partners
from gateway.storage.tables import METADATA
from tests.engines import PostgresServer
from tests.unit.storage.samples import CBP, IGM, SHAPES, partner_entry


def test_what_work_wrote_is_there_after_it(storage: Storage) -> None:
    storage.write(lambda tx: add_partner(tx, partner_entry()))

    assert [entry.id for entry in storage.read(partners)] == [CBP]


def test_work_that_raises_leaves_nothing(storage: Storage) -> None:
    def fail(tx: Tx) -> None:
        add_partner(tx, partner_entry())
        raise LookupError

    with pytest.raises(LookupError):
        storage.write(fail)

    assert storage.read(partners) == []


def test_reading_cannot_write(storage: Storage) -> None:
    with pytest.raises((StorageUnavailable, DBAPIError)):
        storage.read(lambda tx: add_partner(tx, partner_entry()))

    assert storage.read(partners) == []


def test_a_reader_sees_one_moment_while_others_write(storage: Storage) -> None:
    def look_twice(tx: Tx) -> tuple[int, int]:
        before = len(partners(tx))
        thread = threading.Thread(target=storage.write, args=(lambda other: add_partner(other, partner_entry()),))
        thread.start()
        thread.join()
        return before, len(partners(tx))

    assert storage.read(look_twice) == (0, 0)
    assert len(storage.read(partners)) == 1


def test_work_that_collides_runs_again_from_the_start(storage: Storage) -> None:
    runs: list[int] = []

    def collide_once(tx: Tx) -> None:
        add_partner(tx, partner_entry())
        runs.append(1)
        if len(runs) == 1:
            raise WriteConflict

    storage.write(collide_once)

    assert (len(runs), len(storage.read(partners))) == (2, 1)


def test_a_collision_that_does_not_clear_is_said_to_be_unavailable(storage: Storage) -> None:
    runs: list[int] = []

    def collide(tx: Tx) -> None:
        runs.append(1)
        raise WriteConflict

    with pytest.raises(StorageUnavailable) as refusal:
        storage.write(collide)

    assert len(runs) == engine_module.WRITE_ATTEMPTS_MAX
    assert refusal.value.retry_after_seconds


def test_our_own_mistake_is_a_fault_and_shows_no_value(storage: Storage) -> None:
    """An exception may reach the operational log: what was submitted must not be in it."""
    with pytest.raises(DBAPIError) as error:
        storage.write(lambda tx: tx.connection.execute(text("SELECT :value FROM missing"), {"value": "SECRET"}))

    assert "SECRET" not in str(error.value)


def test_many_threads_write_without_losing_any(storage: Storage) -> None:
    names = [f"USA.A{n}" for n in range(24)]
    threads = [
        threading.Thread(target=storage.write, args=(lambda tx, n=name: add_partner(tx, partner_entry(n)),))
        for name in names
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(entry.id for entry in storage.read(partners)) == sorted(names)


def test_a_second_writer_of_a_sqlite_file_is_turned_away(sqlite_url: str) -> None:
    first = open_storage(sqlite_url)

    with pytest.raises(StorageInUse, match="in use by another process"):
        open_storage(sqlite_url)
    with pytest.raises(StorageInUse):
        upgrade(sqlite_url)

    first.close()
    open_storage(sqlite_url).close()


def test_a_reader_may_look_beside_the_writer(sqlite_url: str) -> None:
    writer = open_storage(sqlite_url)
    reader = open_storage(sqlite_url, read_only=True)
    writer.write(lambda tx: add_partner(tx, partner_entry(IGM)))

    assert [entry.id for entry in reader.read(partners)] == [IGM]
    with pytest.raises(Fault):
        reader.write(partners)

    reader.close()
    writer.close()


def test_sqlite_writes_are_durable_and_deleted_bytes_are_overwritten(sqlite_storage: Storage) -> None:
    def pragmas(tx: Tx) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        return [tx.connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names]

    assert sqlite_storage.write(pragmas) == ["wal", 2, 1, 1]


def test_a_sqlite_reader_never_checkpoints(sqlite_storage: Storage) -> None:
    assert sqlite_storage.read(lambda tx: tx.connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar_one()) == 0


def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable):
        open_storage(f"postgresql+psycopg://gateway@/none?host={tmp_path}")
    with pytest.raises(StorageUnavailable):
        open_storage(f"sqlite:///{tmp_path}/missing/gateway.db", read_only=True)


def test_a_stopped_server_is_unavailable_and_comes_back_by_itself(
    postgresql_server: PostgresServer, postgresql_url: str
) -> None:
    storage = open_storage(postgresql_url)
    storage.read(partners)
    postgresql_server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test_%'")

    assert storage.read(partners) == []
    storage.close()


def test_a_connection_that_breaks_in_the_work_is_unavailable(
    postgresql_server: PostgresServer, postgresql_url: str
) -> None:
    storage = open_storage(postgresql_url)

    def cut(tx: Tx) -> None:
        pid = tx.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        postgresql_server.execute(f"SELECT pg_terminate_backend({pid})")
        add_partner(tx, partner_entry())

    with pytest.raises(StorageUnavailable):
        storage.write(cut)

    assert storage.read(partners) == []
    storage.close()


def test_an_error_that_ends_the_transaction_is_unavailable_inside_a_savepoint_too(sqlite_storage: Storage) -> None:
    """SQLite rolls back by itself after an input/output error; that the savepoint is gone then is no other trouble."""

    def break_down(tx: Tx) -> None:
        with tx.connection.begin_nested():
            tx.connection.exec_driver_sql("ROLLBACK")
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = "SQLITE_IOERR_WRITE"
            raise DBAPIError("INSERT", None, error)

    with pytest.raises(StorageUnavailable):
        sqlite_storage.write(break_down)


def test_a_reader_whose_query_is_cancelled_for_a_change_is_told_to_come_back(
    postgresql_server: PostgresServer, postgresql_url: str
) -> None:
    """A standby cancels queries that hold up what the primary sends, with the SQLSTATE of a collision."""
    storage = open_storage(postgresql_url)

    with pytest.raises(StorageUnavailable):
        storage.read(
            lambda tx: tx.connection.exec_driver_sql("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE='40001'; END $$")
        )

    storage.close()


def test_a_server_that_takes_connections_and_says_nothing_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kernel goes on accepting when the server hangs; who connects gives up, and may come back."""
    monkeypatch.setattr(engine_module, "CONNECT_SECONDS_MAX", 2)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{tmp_path}/.s.PGSQL.5432")
        silent.listen()
        with pytest.raises(StorageUnavailable):
            open_storage(f"postgresql+psycopg://gateway@/none?host={tmp_path}")


def test_a_server_that_hangs_in_the_middle_is_unavailable_within_a_bound(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps none of its own time-outs then; the connection is given up, for its next answer would come too late."""
    storage = open_storage(postgresql_url)
    monkeypatch.setattr(engine_module, "ANSWER_SECONDS_MAX", 0.2)

    with pytest.raises(StorageUnavailable):
        storage.read(lambda tx: tx.connection.exec_driver_sql("SELECT pg_sleep(30)"))

    assert storage.read(partners) == []
    storage.close()


def test_cleaning_that_must_wait_too_long_is_put_off_and_no_fault(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daily job comes back for what is unavailable; a fault would end it until the gateway is started again."""
    monkeypatch.setattr("gateway.storage.vacuum.WAIT_SECONDS", 0.1)
    storage, other = open_storage(postgresql_url), open_storage(postgresql_url)

    def hold(tx: Tx) -> None:
        tx.connection.exec_driver_sql("LOCK TABLE nonce IN ACCESS SHARE MODE")
        storage.vacuum(["nonce"])

    with pytest.raises(StorageUnavailable):
        other.write(hold)

    storage.vacuum(["nonce"])
    storage.close()
    other.close()


def test_an_upgraded_schema_is_what_the_program_declares(database_url: str) -> None:
    """Tables are written twice, in the program and in the revisions: they must say the same."""
    declared = [
        *METADATA.sorted_tables,
        *governance_tables.TABLES,
        *life_tables.TABLES,
        *(product_table(shape) for shape in SHAPES.values()),
        *cell_tables(SHAPES["flow"]),
    ]
    storage = open_storage(database_url)

    def compare(tx: Tx) -> None:
        seen = inspect(tx.connection)
        assert {table.name for table in declared} == set(seen.get_table_names()) - {"alembic_version"}
        for table in declared:
            columns = {c["name"]: c for c in seen.get_columns(table.name)}
            assert list(columns) == [c.name for c in table.columns], table.name
            for column in table.columns:
                assert columns[column.name]["nullable"] == column.nullable, column
                declared_type = column.type.compile(tx.connection.dialect)
                assert columns[column.name]["type"].compile(tx.connection.dialect) == declared_type, column
            key = seen.get_pk_constraint(table.name)["constrained_columns"]
            assert key == [c.name for c in table.primary_key.columns], table.name
            found = [i for i in seen.get_indexes(table.name) if not i.get("duplicates_constraint")]
            indexes = {i["name"]: i["column_names"] for i in found}
            # BRIN has no likeness on SQLite, so only the migration of PostgreSQL names it.
            indexes.pop(f"{table.name}_retention", None)
            assert indexes == {i.name: [c.name for c in i.columns] for i in table.indexes}, table.name
            unique = {tuple(u["column_names"]) for u in seen.get_unique_constraints(table.name)}
            declared_unique = [c for c in table.constraints if isinstance(c, UniqueConstraint)]
            assert unique == {tuple(c.name for c in u.columns) for u in declared_unique}, table.name

    storage.read(compare)
    storage.close()


def test_partner_id_comes_first_in_every_key_of_what_partners_own() -> None:
    owned = [
        table
        for table in (*METADATA.sorted_tables, *life_tables.TABLES, *map(product_table, SHAPES.values()))
        if "partner_id" in table.c and table.name not in {"event", "certificate_pin"}
    ]

    assert len(owned) >= 10
    assert [next(iter(table.primary_key.columns)).name for table in owned] == ["partner_id"] * len(owned)


def test_upgrading_twice_changes_nothing(database_url: str) -> None:
    upgrade(database_url)

    check(database_url)


def test_a_schema_that_is_not_known_is_refused(database_url: str, tmp_path: Path) -> None:
    storage = open_storage(database_url)
    storage.write(lambda tx: tx.connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    storage.close()

    with pytest.raises(SchemaUnknown, match="9999"):
        check(database_url)
    with pytest.raises(SchemaUnknown, match="no database"):
        check(f"sqlite:///{tmp_path}/none.db")


def test_a_database_of_nobody_is_refused(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "empty.db").close()

    with pytest.raises(SchemaUnknown, match="missing"):
        check(f"sqlite:///{tmp_path}/empty.db")


def test_a_database_that_is_not_utf8_is_refused(postgresql_server: PostgresServer) -> None:
    postgresql_server.create("latin", "template0 ENCODING 'SQL_ASCII'")

    with pytest.raises(SchemaUnknown, match="UTF8"):
        upgrade(postgresql_server.url("latin"))

    postgresql_server.drop(postgresql_server.url("latin"))
