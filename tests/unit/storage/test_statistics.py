# SPDX-License-Identifier: Apache-2.0
"""Own totals; this file is about numbers being exact at once, and units never being added."""

from __future__ import annotations

import pytest

from gateway.errors import NotAPublishedTable
from gateway.storage.engine import Storage
from gateway.storage.rollups import fold
from gateway.storage.statistics import OwnTotal, own_totals
from gateway.trip import Scalar
from tests.unit.storage.samples import BORDER_EVENT, CBP, FLOW, IGM, id_of, keep, row


def events_by(storage: Storage, *by: str, first: str | None = None, last: str | None = None) -> list[OwnTotal]:
    return storage.read(
        lambda tx: own_totals(tx, BORDER_EVENT, partner_id=CBP, by=by, first_month=first, last_month=last)
    )


def test_own_totals_of_events_are_exact_before_and_after_folding(storage: Storage) -> None:
    first = row(BORDER_EVENT, person_count=2)
    keep(storage, BORDER_EVENT, [first, row(BORDER_EVENT, person_count=3)])
    keep(
        storage,
        BORDER_EVENT,
        [row(BORDER_EVENT, action="amend", supersedes=id_of(BORDER_EVENT, first), citizenship="HND")],
    )
    keep(storage, BORDER_EVENT, [row(BORDER_EVENT, person_count=50)], partner_id=IGM)

    before = events_by(storage, "citizenship")
    folded = storage.write(fold) if storage.dialect == "postgresql" else 1
    after = events_by(storage, "citizenship")

    assert folded > 0
    assert before == [
        OwnTotal({"citizenship": "GTM"}, 1, {"person_count": 3}),
        OwnTotal({"citizenship": "HND"}, 1, {"person_count": 2}),
    ]
    assert after == before


def test_folding_twice_adds_nothing(postgresql_url: str) -> None:
    from gateway.storage.engine import open_storage

    storage = open_storage(postgresql_url)
    keep(storage, BORDER_EVENT, [row(BORDER_EVENT)])
    storage.write(fold)

    assert storage.write(fold) == 0
    assert [total.records for total in events_by(storage)] == [1]
    storage.close()


def test_own_totals_keep_to_the_months_asked_for(storage: Storage) -> None:
    keep(storage, BORDER_EVENT, [row(BORDER_EVENT, occurred_on=f"2026-{month}-30") for month in ("08", "09", "10")])

    totals = events_by(storage, "occurred_on", first="2026-09", last="2026-10")

    assert [(total.dimensions, total.records) for total in totals] == [
        ({"period": "2026-09"}, 1),
        ({"period": "2026-10"}, 1),
    ]


@pytest.mark.parametrize(
    "by", [("place_code",), ("event_type", "citizenship", "border_segment", "period"), ("nonsense",)]
)
def test_totals_of_what_no_cube_keeps_are_refused(storage: Storage, by: tuple[str, ...]) -> None:
    with pytest.raises(NotAPublishedTable):
        events_by(storage, *by)


def test_flow_totals_never_add_two_units(storage: Storage) -> None:
    other: dict[str, Scalar] = {"unit": "PER", "count": 7}
    keep(storage, FLOW, [row(FLOW, count=5), row(FLOW, citizenship="HND", count=6), row(FLOW, **other)])

    totals = storage.read(lambda tx: own_totals(tx, FLOW, partner_id=CBP))

    assert [(t.dimensions["unit"], t.records, t.sums) for t in totals] == [
        ("EVT", 2, {"count": 11}),
        ("PER", 1, {"count": 7}),
    ]


def test_flow_totals_refuse_what_is_no_field(storage: Storage) -> None:
    with pytest.raises(NotAPublishedTable):
        storage.read(lambda tx: own_totals(tx, FLOW, partner_id=CBP, by=("leaf_hash",)))


def test_a_suppressed_count_is_counted_as_a_record_and_adds_nothing(storage: Storage) -> None:
    keep(storage, FLOW, [row(FLOW, status="Q", count=None)])

    totals = storage.read(lambda tx: own_totals(tx, FLOW, partner_id=CBP, by=("period",)))

    assert [(t.dimensions["period"], t.records, t.sums) for t in totals] == [("2026-10", 1, {"count": 0})]
