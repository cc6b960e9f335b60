# SPDX-License-Identifier: Apache-2.0
"""The mirror, on both engines; this file is about two sides beside each other, and what keeps a number out of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.aggregates.observations import DataQuery
from gateway.errors import DeniedByPolicy, NotFound, RequestMalformed
from gateway.trip import Partner
from tests.unit.aggregates.counter import CBP, IGM, INM, MIRROR, NOW, SEGEPLAN, Counter, field_of, only

SENT: dict[str, Any] = {
    "provider": INM.id,
    "period": "2024-03",
    "reporting_country": "MEX",
    "counterpart_country": "GTM",
    "direction": "OUT",
    "flow_type": "RETURN_DEPORTATION",
    "citizenship": "GTM",
    "legal_basis": "MEX.LM",
    "definition_id": "urn:mig:def:mex.upm.devolucion:2015",
    "count": 900,
}
RECEIVED: dict[str, Any] = {
    "provider": IGM.id,
    "period": "2024-03",
    "reporting_country": "GTM",
    "counterpart_country": "MEX",
    "direction": "IN",
    "flow_type": "RETURN_RECEIVED",
    "unit": "PER",
    "citizenship": "GTM",
    "legal_basis": "_Z",
    "definition_id": "urn:mig:def:gtm.igm.retornado:2020",
    "count": 800,
}
GIRLS = {"sex": "F", "age_group": "Y_LT18", "accompaniment": "UM"}


def keep(counter: Counter, *sent: dict[str, Any], received: tuple[dict[str, Any], ...] = ({},)) -> None:
    counter.keep(*(SENT | each for each in sent or ({},)), partner_id=INM.id)
    counter.keep(*(RECEIVED | each for each in received), partner_id=IGM.id)


def ask(counter: Counter, reader: Partner = CBP, query: DataQuery | None = None) -> dict[str, Any]:
    """Return the values by indicator; two months would be one too many."""
    found = counter.ask(reader, query, structure=MIRROR)
    assert len({one.period for one in found}) == 1
    return {str(field_of(one, "INDICATOR", MIRROR)): one.value for one in found}


def test_both_sides_stand_beside_each_other(counter: Counter) -> None:
    """Mexico counts events, Guatemala persons: compared, with a note that says so, and never added."""
    keep(counter, {}, {"flow_type": "RETURN_ASSISTED", "count": 100})

    found = counter.ask(CBP, structure=MIRROR)

    told = {one.key[1:]: (one.value, field_of(one, "UNIT_MEASURE", MIRROR)) for one in found}
    assert told == {
        ("MEX", "GTM", "RETURN", "ASYMMETRY"): (222, None),
        ("MEX", "GTM", "RETURN", "DIFFERENCE"): (200, None),
        ("MEX", "GTM", "RETURN", "RECEIVED"): (800, "PER"),
        ("MEX", "GTM", "RETURN", "SENT"): (1000, "EVT"),
    }
    assert {field_of(one, "METHOD", MIRROR) for one in found} == {"UNITS_DIFFER"}
    assert {field_of(one, "DEFINITION", MIRROR) for one in found if one.key[4] == "SENT"} == {
        "urn_mig_def_mex_upm_devolucion_2015"
    }


def test_a_side_is_added_up_from_what_counts_nobody_twice(counter: Counter) -> None:
    """Parts beside their total are left alone; parts without it are added; a half is no whole."""
    keep(
        counter,
        {"count": 900},
        {"sex": "F", "count": 300},
        received=({"sex": "F", "count": 300}, {"sex": "M", "count": 450}),
    )

    assert ask(counter) == {"ASYMMETRY": 182, "DIFFERENCE": 150, "RECEIVED": 750, "SENT": 900}


def test_breakdowns_that_overlap_are_not_added(counter: Counter) -> None:
    keep(counter, received=({"sex": "F", "count": 300}, {"age_group": "Y_GE18", "count": 700}))

    assert ask(counter) == {"ASYMMETRY": None, "DIFFERENCE": None, "RECEIVED": None, "SENT": 900}


def test_two_definitions_of_one_side_are_not_added(counter: Counter) -> None:
    other = {"flow_type": "RETURN_ASSISTED", "definition_id": "urn:mig:def:rollup.border-event:1"}
    keep(counter, {}, {**other, "count": 100})

    assert ask(counter)["SENT"] is None


def test_a_sum_over_something_withheld_is_withheld(counter: Counter) -> None:
    """Else it would give away what it is the rest of."""
    keep(counter, received=({"age_group": "Y_GE18", "count": 790}, {**GIRLS, "count": 10}))

    found = counter.ask(CBP, structure=MIRROR)

    assert {one.key[4]: (one.value, *one.attributes[:2]) for one in found} == {
        "ASYMMETRY": (None, "Q", "A"),
        "DIFFERENCE": (None, "Q", "A"),
        "RECEIVED": (None, "Q", "A"),
        "SENT": (900, "A", "F"),
    }


def test_one_side_alone_is_shown_alone(counter: Counter) -> None:
    counter.keep(SENT, partner_id=INM.id)

    assert ask(counter) == {"SENT": 900}


def test_only_the_receivers_nationals_are_returned_to_it(counter: Counter) -> None:
    keep(counter, {}, {"citizenship": "HND", "count": 55})

    assert ask(counter)["SENT"] == 900


def test_regular_exits_meet_regular_entries(counter: Counter) -> None:
    out = {"flow_type": "EXIT_REGULAR", "unit": "PER", "citizenship": "_T"}
    keep(counter, {**out, "count": 400}, received=({"flow_type": "ENTRY_REGULAR", "citizenship": "_T", "count": 500},))

    found = counter.ask(CBP, structure=MIRROR)

    assert {(one.key[3], one.key[4]): one.value for one in found} == {
        ("REGULAR", "ASYMMETRY"): -222,
        ("REGULAR", "DIFFERENCE"): -100,
        ("REGULAR", "RECEIVED"): 500,
        ("REGULAR", "SENT"): 400,
    }
    assert {field_of(one, "METHOD", MIRROR) for one in found} == {"SAME_UNIT"}


def test_an_agency_finds_its_own_numbers_opposite_another_s(counter: Counter) -> None:
    keep(counter)

    assert ask(counter, IGM) == ask(counter, INM) == ask(counter, CBP)
    # Of another agency of its country it finds nothing: that is not its own, and no agreement shares it.
    other = {"provider": "GTM.OTHER", "legal_basis": "GTM.CM", "count": 50}
    counter.keep(RECEIVED | other, partner_id="GTM.OTHER")
    assert ask(counter, IGM)["RECEIVED"] == 800
    assert ask(counter, CBP)["RECEIVED"] == 850


def test_whoever_has_no_right_to_one_side_has_none_to_the_mirror(counter: Counter) -> None:
    """A reader of Guatemala that provided nothing may pull Mexico's flow, and not its own country's."""
    keep(counter)

    with pytest.raises(DeniedByPolicy):
        counter.ask(SEGEPLAN, only(REF_AREA="MEX", COUNTERPART_AREA="GTM"), structure=MIRROR)
    with pytest.raises(NotFound):
        counter.ask(SEGEPLAN, structure=MIRROR)


def test_the_mirror_can_be_narrowed_and_seen_as_of_a_day(counter: Counter) -> None:
    (first,) = counter.keep({**SENT, "vintage": "2024-05-15"}, partner_id=INM.id)
    counter.keep(RECEIVED, {**RECEIVED, "period": "2024-04"}, partner_id=IGM.id)
    revised = {**SENT, "action": "amend", "supersedes": first, "vintage": "2025-06-04", "count": 990}
    counter.keep(revised, partner_id=INM.id, at=NOW)
    query = only(INDICATOR="SENT", REF_AREA="MEX", COUNTERPART_AREA="GTM")

    assert ask(counter, CBP, query) == {"SENT": 990}
    assert ask(counter, CBP, replace(query, as_of=datetime(2025, 1, 1, tzinfo=UTC))) == {"SENT": 900}
    assert ask(counter, CBP, replace(only(INDICATOR="RECEIVED"), first_month="2024-04")) == {"RECEIVED": 800}
    with pytest.raises(RequestMalformed):
        counter.ask(CBP, DataQuery(include_history=True), structure=MIRROR)


def test_the_reading_of_a_mirror_is_told_to_both_sides(counter: Counter) -> None:
    keep(counter)

    counter.pull(CBP, structure=MIRROR)

    (gtm,), (mex,) = counter.seen_by("GTM"), counter.seen_by("MEX")
    assert (gtm["owner"], mex["owner"]) == ("GTM", "MEX")
    assert gtm["dataflow"] == mex["dataflow"] == "GATEWAY:FLOW_MIRROR(1.0.0)"
    assert gtm["cell_count"] == mex["cell_count"] == 4
