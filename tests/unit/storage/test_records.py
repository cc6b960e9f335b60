# SPDX-License-Identifier: Apache-2.0
"""Repeats, conflicts and corrections; this file is about what a stored record lets the next one be."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.identifiers import new_id
from gateway.storage.engine import POOL_SIZE, Storage, Tx
from gateway.storage.inspection import stream_records
from gateway.storage.records import keep_records
from gateway.storage.statistics import own_totals
from gateway.trip import Row, TableShape
from tests.unit.storage.samples import BORDER_EVENT, CBP, FLOW, IGM, NOW, chunk, id_of, keep, leaf, row

WAIT_SECONDS = 20


def rows_in(storage: Storage, shape: TableShape) -> list[Row]:
    return storage.read(lambda tx: [record.row for record in stream_records(tx, shape) if record.row])


def persons(storage: Storage, partner_id: str = CBP) -> tuple[int, int]:
    totals = storage.read(lambda tx: own_totals(tx, BORDER_EVENT, partner_id=partner_id))
    return sum(total.records for total in totals), sum(total.sums["person_count"] for total in totals)


@pytest.mark.parametrize("shape", [FLOW, BORDER_EVENT], ids=["flow", "border-event"])
def test_what_is_kept_reads_back_as_it_was(storage: Storage, shape: TableShape) -> None:
    rows = [row(shape, citizenship=code) for code in ("GTM", "HND", "SLV")]

    kept = keep(storage, shape, rows)

    assert kept.accepted == (0, 1, 2)
    assert rows_in(storage, shape) == rows


def test_a_repeated_record_is_a_duplicate_and_not_stored_twice(storage: Storage) -> None:
    old, new = row(BORDER_EVENT), row(BORDER_EVENT)
    keep(storage, BORDER_EVENT, [old])

    kept = keep(storage, BORDER_EVENT, [new, old])

    assert (kept.accepted, kept.duplicates, kept.refused) == ((0,), (1,), ())
    assert len(rows_in(storage, BORDER_EVENT)) == 2
    assert persons(storage) == (2, 4)


def test_a_record_repeated_in_its_own_chunk_is_a_duplicate(storage: Storage) -> None:
    once = row(BORDER_EVENT)

    kept = keep(storage, BORDER_EVENT, [once, once])

    assert (kept.accepted, kept.duplicates) == ((0,), (1,))
    assert persons(storage) == (1, 2)


def test_an_id_with_another_line_is_a_conflict(storage: Storage) -> None:
    old = row(BORDER_EVENT)
    keep(storage, BORDER_EVENT, [old])
    other = row(BORDER_EVENT, event_id=id_of(BORDER_EVENT, old), person_count=9)

    kept = keep(storage, BORDER_EVENT, [other])

    assert [(r.line, r.code, r.pointer) for r in kept.refused] == [(1, "record-conflict", "/event_id")]
    assert rows_in(storage, BORDER_EVENT) == [old]
    assert persons(storage) == (1, 2)


def test_an_id_of_another_partner_is_no_conflict(storage: Storage) -> None:
    """Ids of others must have no effect: they would tell who else sends what."""
    old = row(BORDER_EVENT)
    keep(storage, BORDER_EVENT, [old], partner_id=CBP)

    kept = keep(storage, BORDER_EVENT, [old], partner_id=IGM)

    assert kept.accepted == (0,)


def test_a_second_live_value_for_a_cell_is_a_conflict(storage: Storage) -> None:
    keep(storage, FLOW, [row(FLOW)])

    kept = keep(storage, FLOW, [row(FLOW, count=121), row(FLOW, citizenship="HND")])

    assert [(r.line, r.code) for r in kept.refused] == [(1, "record-conflict")]
    assert kept.accepted == (1,)


def test_two_values_for_a_cell_in_one_chunk_conflict(storage: Storage) -> None:
    kept = keep(storage, FLOW, [row(FLOW), row(FLOW, count=121)])

    assert (kept.accepted, [r.line for r in kept.refused]) == ((0,), [2])


def test_an_amendment_takes_the_place_of_what_it_supersedes(storage: Storage) -> None:
    first = row(FLOW)
    keep(storage, FLOW, [first])
    second = row(FLOW, count=99, action="amend", supersedes=id_of(FLOW, first))

    kept = keep(storage, FLOW, [second])

    totals = storage.read(lambda tx: own_totals(tx, FLOW, partner_id=CBP))
    assert kept.accepted == (0,)
    assert [(total.records, total.sums) for total in totals] == [(1, {"count": 99})]
    assert sorted(rows_in(storage, FLOW), key=str) == sorted([first, second], key=str)


def test_a_chain_of_amendments_in_one_chunk_leaves_its_last(storage: Storage) -> None:
    first = row(BORDER_EVENT)
    second = row(BORDER_EVENT, action="amend", supersedes=id_of(BORDER_EVENT, first), person_count=3)
    third = row(BORDER_EVENT, action="amend", supersedes=id_of(BORDER_EVENT, second), person_count=4)

    kept = keep(storage, BORDER_EVENT, [first, second, third])

    assert kept.accepted == (0, 1, 2)
    assert persons(storage) == (1, 4)


def test_a_chain_of_amendments_goes_on_in_a_later_chunk(storage: Storage) -> None:
    first = row(FLOW)
    second = row(FLOW, action="amend", supersedes=id_of(FLOW, first), count=3)
    keep(storage, FLOW, [first, second])
    third = row(FLOW, action="amend", supersedes=id_of(FLOW, second), count=4)
    late = row(FLOW, action="amend", supersedes=id_of(FLOW, first), count=5)

    kept = keep(storage, FLOW, [late, third])

    assert (kept.accepted, [(r.line, r.code) for r in kept.refused]) == ((1,), [(1, "supersedes-unknown")])


def test_a_retraction_takes_the_record_out_and_frees_its_cell(storage: Storage) -> None:
    first = row(FLOW)
    keep(storage, FLOW, [first])
    gone = row(FLOW, action="retract", supersedes=id_of(FLOW, first))
    again = row(FLOW, count=7)

    kept = keep(storage, FLOW, [gone, again])

    totals = storage.read(lambda tx: own_totals(tx, FLOW, partner_id=CBP))
    assert kept.accepted == (0, 1)
    assert [(total.records, total.sums) for total in totals] == [(1, {"count": 7})]


def test_a_retracted_event_leaves_the_totals(storage: Storage) -> None:
    first, other = row(BORDER_EVENT), row(BORDER_EVENT, citizenship="HND", person_count=5)
    keep(storage, BORDER_EVENT, [first, other])

    keep(storage, BORDER_EVENT, [row(BORDER_EVENT, action="retract", supersedes=id_of(BORDER_EVENT, first))])

    assert persons(storage) == (1, 5)


def test_a_retraction_cannot_be_superseded(storage: Storage) -> None:
    first = row(BORDER_EVENT)
    gone = row(BORDER_EVENT, action="retract", supersedes=id_of(BORDER_EVENT, first))
    keep(storage, BORDER_EVENT, [first, gone])

    kept = keep(storage, BORDER_EVENT, [row(BORDER_EVENT, action="amend", supersedes=id_of(BORDER_EVENT, gone))])

    assert [r.code for r in kept.refused] == ["supersedes-unknown"]


@pytest.mark.parametrize("partner_id", [CBP, IGM])
def test_what_is_not_ones_own_cannot_be_superseded(storage: Storage, partner_id: str) -> None:
    """One's own unknown id and another's known one are refused alike."""
    theirs = row(BORDER_EVENT)
    keep(storage, BORDER_EVENT, [theirs], partner_id="MEX.SEGOB.UPMRIP")

    kept = keep(
        storage,
        BORDER_EVENT,
        [row(BORDER_EVENT, action="amend", supersedes=id_of(BORDER_EVENT, theirs))],
        partner_id=partner_id,
    )

    assert [(r.code, r.pointer) for r in kept.refused] == [("supersedes-unknown", "/supersedes")]


def test_an_amendment_stays_in_its_cell(storage: Storage) -> None:
    first = row(FLOW)
    keep(storage, FLOW, [first])

    kept = keep(storage, FLOW, [row(FLOW, action="amend", supersedes=id_of(FLOW, first), citizenship="HND")])

    assert [r.code for r in kept.refused] == ["supersedes-unknown"]


def test_a_refused_record_names_its_line_and_leaf_and_no_value(storage: Storage) -> None:
    bad = row(BORDER_EVENT, action="amend", supersedes=new_id(NOW), place_code="SECRET")

    refused = keep(storage, BORDER_EVENT, [bad]).refused[0]

    assert refused.leaf_hash == leaf(bad)
    assert "SECRET" not in str(refused)


def test_a_failed_transaction_leaves_no_rows_and_no_counts(storage: Storage) -> None:
    def fail(tx: Tx) -> None:
        sent = chunk([row(BORDER_EVENT)])
        keep_records(tx, BORDER_EVENT, sent, partner_id=CBP, submission_id=new_id(NOW), accepted_at=NOW)
        raise RuntimeError("the request went away")

    with pytest.raises(RuntimeError):
        storage.write(fail)

    assert rows_in(storage, BORDER_EVENT) == []
    assert persons(storage) == (0, 0)


def test_racing_amendments_of_one_record_let_exactly_one_win(storage: Storage) -> None:
    first = row(FLOW)
    keep(storage, FLOW, [first])
    racers = [row(FLOW, action="amend", supersedes=id_of(FLOW, first), count=n) for n in range(4)]
    outcomes: list[int] = []
    threads = [
        threading.Thread(target=lambda r=racer: outcomes.append(len(keep(storage, FLOW, [r]).accepted)))
        for racer in racers
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == [0, 0, 0, 1]
    assert len(rows_in(storage, FLOW)) == 2


def test_racing_repeats_store_each_record_once(storage: Storage) -> None:
    rows = [row(BORDER_EVENT) for _ in range(50)]
    outcomes: list[tuple[int, int]] = []

    def send(mine: list[Row]) -> None:
        kept = keep(storage, BORDER_EVENT, mine)
        outcomes.append((len(kept.accepted), len(kept.duplicates)))

    threads = [threading.Thread(target=send, args=(rows[::step],)) for step in (1, -1, 1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == [(0, 50), (0, 50), (0, 50), (50, 0)]
    assert persons(storage) == (50, 100)


def test_a_new_month_that_all_connections_meet_at_once_is_made(storage: Storage) -> None:
    """Its table is made beside their transactions, which hold every connection that there is."""
    all_under_way = threading.Barrier(POOL_SIZE if storage.dialect == "postgresql" else 1)

    def work(tx: Tx) -> int:
        all_under_way.wait(WAIT_SECONDS)
        new = row(BORDER_EVENT)
        kept = keep_records(tx, BORDER_EVENT, chunk([new]), partner_id=CBP, submission_id=new_id(NOW), accepted_at=NOW)
        return len(kept.accepted)

    with ThreadPoolExecutor(all_under_way.parties) as threads:
        kept = [threads.submit(storage.write, work) for _ in range(all_under_way.parties)]

    assert [each.result() for each in kept] == [1] * all_under_way.parties
