# SPDX-License-Identifier: Apache-2.0
"""Forgetting; this file is about deleted records leaving their leaf hash, their count, and no id in any file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.engine import make_url

from gateway.errors import StorageUnavailable
from gateway.identifiers import new_id
from gateway.storage import tables
from gateway.storage.engine import Storage, Tx, open_storage
from gateway.storage.holdings import Holding, holdings
from gateway.storage.inspection import stream_records
from gateway.storage.products import product_table
from gateway.storage.retention import DELETED, bury, delete_due, partners_with_due_records, tables_to_vacuum
from gateway.storage.statistics import own_totals
from gateway.storage.submissions import Kept, insert_submissions, refused_of
from gateway.trip import RefusedRecord
from tests.engines import PostgresServer
from tests.unit.storage.samples import (
    BORDER_EVENT,
    CBP,
    FLOW,
    IGM,
    NOW,
    PERMIT,
    id_of,
    keep,
    leaf,
    row,
    valid_submission,
)

DAY = "2026-12-01"


def files_of(url: str, server: PostgresServer | None) -> list[Path]:
    folder = server.data if server else Path(str(make_url(url).database)).parent
    return [path for path in folder.rglob("*") if path.is_file()]


def files_with(url: str, server: PostgresServer | None, identifier: str) -> list[Path]:
    forms = (identifier.encode(), UUID(identifier).bytes)
    return [path for path in files_of(url, server) if any(form in content(path) for form in forms)]


def content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # The server's own files come and go.
        return b""


def delete_all_due(storage: Storage, day: str = DAY) -> int:
    def delete(tx: Tx) -> int:
        deleted = delete_due(tx, BORDER_EVENT, day=day, partner_id=CBP)
        bury(tx, BORDER_EVENT, deleted, partner_id=CBP, at=NOW, event_id=new_id(NOW))
        return len(deleted)

    count = storage.write(delete)
    storage.vacuum(storage.read(lambda tx: tables_to_vacuum(tx, BORDER_EVENT)))
    return count


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_a_deleted_record_is_in_no_file_of_the_database(dialect: str, request: pytest.FixtureRequest) -> None:
    url = str(request.getfixturevalue(f"{dialect}_url"))
    server: PostgresServer | None = request.getfixturevalue("postgresql_server") if dialect == "postgresql" else None
    storage = open_storage(url)
    due = row(BORDER_EVENT, retention_until="2026-11-30")
    identifier = id_of(BORDER_EVENT, due)
    keep(storage, BORDER_EVENT, [due, *(row(BORDER_EVENT) for _ in range(300))])
    assert keep(storage, BORDER_EVENT, [row(BORDER_EVENT, event_id=identifier, minors=2)]).refused
    assert files_with(url, server, identifier)

    deleted = delete_all_due(storage)

    assert deleted == 1
    assert files_with(url, server, identifier) == []
    storage.close()
    assert files_with(url, server, identifier) == []


def test_a_record_is_kept_on_its_last_day_and_deleted_on_the_next(storage: Storage) -> None:
    last_day = row(BORDER_EVENT, retention_until=DAY)
    day_before = row(BORDER_EVENT, retention_until="2026-11-30")
    keep(storage, BORDER_EVENT, [last_day, day_before])
    keep(storage, BORDER_EVENT, [day_before], partner_id=IGM)

    due = storage.read(lambda tx: partners_with_due_records(tx, BORDER_EVENT, day=DAY))
    deleted = delete_all_due(storage)

    assert due == [IGM, CBP]
    assert deleted == 1
    left = storage.read(lambda tx: [(r.partner_id, r.row) for r in stream_records(tx, BORDER_EVENT)])
    assert left == [(IGM, day_before), (CBP, last_day)]


def test_a_tombstone_keeps_place_and_leaf_and_the_totals_stay(storage: Storage) -> None:
    due = row(BORDER_EVENT, retention_until="2026-11-30")
    submission_id = new_id(NOW)
    keep(storage, BORDER_EVENT, [row(BORDER_EVENT), due], submission_id=submission_id)
    before = storage.read(lambda tx: own_totals(tx, BORDER_EVENT, partner_id=CBP))

    delete_all_due(storage)

    c = tables.tombstone.c
    stones = storage.read(lambda tx: tx.connection.execute(select(c.submission_id, c.line, c.leaf_hash)).all())
    assert [tuple(stone) for stone in stones] == [(submission_id, 2, leaf(due))]
    assert storage.read(lambda tx: own_totals(tx, BORDER_EVENT, partner_id=CBP)) == before


def test_bytes_that_a_reader_still_sees_are_come_back_to(
    postgresql_url: str, postgresql_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """VACUUM keeps what an older transaction could see: an agency's long read, or an ANALYZE of autovacuum."""
    monkeypatch.setattr("gateway.storage.vacuum.WAIT_SECONDS", 1)
    storage = open_storage(postgresql_url)
    due = row(BORDER_EVENT, retention_until="2026-11-30")
    keep(storage, BORDER_EVENT, [due])

    def look(tx: Tx) -> None:
        tx.connection.execute(select(tables.partner.c.id)).all()
        with pytest.raises(StorageUnavailable):
            delete_all_due(storage)

    storage.read(look)
    storage.vacuum(storage.read(lambda tx: tables_to_vacuum(tx, BORDER_EVENT)))

    assert files_with(postgresql_url, postgresql_server, id_of(BORDER_EVENT, due)) == []
    storage.close()


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_a_refused_record_leaves_no_id_in_any_file(dialect: str, request: pytest.FixtureRequest) -> None:
    """Line, leaf hash and code with pointer and text are kept of it; its id would be a value."""
    url = str(request.getfixturevalue(f"{dialect}_url"))
    server: PostgresServer | None = request.getfixturevalue("postgresql_server") if dialect == "postgresql" else None
    storage = open_storage(url)
    identifier = new_id(NOW)
    refused = RefusedRecord(1, identifier, "/minors", "range", bytes(32), "Too many.", "Demasiados.")
    submission_id = new_id(NOW)
    kept_submission = Kept(valid_submission(), PERMIT, submission_id, new_id(NOW), 0, 0, [refused], b"")
    storage.write(lambda tx: insert_submissions(tx, [kept_submission]))

    kept = storage.read(lambda tx: refused_of(tx, CBP, submission_id))

    assert kept == (replace(refused, record_id=None),)
    storage.close()
    assert files_with(url, server, identifier) == []


def test_a_record_stays_superseded_when_its_amendment_is_deleted(storage: Storage) -> None:
    first = row(BORDER_EVENT)
    amendment = row(BORDER_EVENT, action="amend", supersedes=id_of(BORDER_EVENT, first), retention_until="2026-11-30")
    keep(storage, BORDER_EVENT, [first, amendment])

    delete_all_due(storage)

    table = product_table(BORDER_EVENT)
    left = storage.read(lambda tx: tx.connection.execute(select(table.c.event_id, table.c.superseded_by)).all())
    assert [tuple(each) for each in left] == [(id_of(BORDER_EVENT, first), DELETED)]
    late = row(BORDER_EVENT, action="amend", supersedes=id_of(BORDER_EVENT, first))
    assert [r.code for r in keep(storage, BORDER_EVENT, [late]).refused] == ["supersedes-unknown"]


def test_a_product_without_retention_is_never_due(storage: Storage) -> None:
    keep(storage, FLOW, [row(FLOW)])

    assert storage.read(lambda tx: partners_with_due_records(tx, FLOW, day="9999-12-31")) == []


def test_the_inventory_counts_what_is_kept_and_names_the_oldest(storage: Storage) -> None:
    keep(storage, BORDER_EVENT, [row(BORDER_EVENT, retention_until=day) for day in ("2027-01-02", "2027-01-01")])

    found = storage.read(lambda tx: holdings(tx, (BORDER_EVENT, FLOW)))

    assert found[:2] == [Holding("border_event_1", 2, "2027-01-01"), Holding("flow_1", 0, None)]
    assert {holding.table for holding in found} >= {"submission", "event", "tombstone", "refused_record", "nonce"}
